"""Credentials for upstreams: asked of their source at call time, handed to the upstream alone."""
