"""The configuration files of MCP clients: where they lie, what they say, and how one entry is put in or taken out.

`server.py` is what is found in one; one file a client knows its places and its shape.
"""
