"""`python -m shim` is `mcp-shim`."""

from shim.cli import main

main()
