"""Existing sources of tools behind the shim, their sessions and who shares them."""

from __future__ import annotations

from shim.upstream.supervisor import Upstreams

__all__ = ["Upstreams"]
