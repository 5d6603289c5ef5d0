"""Secrets: their sources, and the broker that asks them."""
