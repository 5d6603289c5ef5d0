"""Who may do what: grants compiled to decisions."""

from __future__ import annotations

from shim.policy.engine import Facts, Policy

__all__ = ["Facts", "Policy"]
