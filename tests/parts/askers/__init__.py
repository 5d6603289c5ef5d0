"""Servers that ask their clients: one on the SDK 1.x (`legacy.py`), one on the SDK 2.x that is modern (`modern.py`).

Both offer the same tools. Started as `python FILE stdio|PORT`; over HTTP they print their URL once they listen. Each
line of the file named by LEDGER is a run of a tool: its name, and what it was called with.
"""
