"""The real parts that tests stand on: installed once under `.parts`, or written here where no other exists."""
