"""Identities, API tokens, and the file that holds them."""
