"""The web pages of the shim, for people; what agents speak is in `shim.server`."""
