"""The official conformance suite, against the shim in front of a reference server of our own."""
