"""What governing a call costs: mcp-shim beside the bare upstream and another gateway, on this machine."""
