"""The process that functions run in. It is run by their interpreter: nothing here may import the shim."""
