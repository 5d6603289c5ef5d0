"""A governing MCP gateway: policy, ephemeral secrets, bounds and a durable record in front of existing tools."""

__version__ = "0.1.0"
