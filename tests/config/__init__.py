"""Configuration: reading it, and every fault at its line."""
