"""An MCP server that answers what no library would, in either era, over stdio or HTTP, and keeps a ledger.

Run it as `python -m tests.parts.odd_server --era legacy|modern|both [--http] [--ledger FILE]`.
"""
