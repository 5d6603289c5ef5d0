"""Upstreams that are Python functions (`python`), in a warm process of their own interpreter."""
