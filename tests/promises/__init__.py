"""One file a promise: what the README says, held against real parts."""
