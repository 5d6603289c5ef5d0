"""The reference server: all that the official conformance suite asks of a server, in both eras, in one process.

It is written on the SDK's low-level server, so that what the suite says of it directly is the measure for what it says
through the shim. Start it with `python -m tests.conformance.server --era both --transport http`.
"""
