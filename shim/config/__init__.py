"""Reading and checking the configuration."""

from __future__ import annotations

from shim.config.configuration import Configuration
from shim.config.loader import load

__all__ = ["Configuration", "load"]
