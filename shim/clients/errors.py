"""Why a client's file is left alone."""

from __future__ import annotations


class Unreadable(Exception):
    """`str()` says in one line why a file is not read."""


class Uneditable(Exception):
    """`str()` says in one line why a file cannot be changed without changing more than was asked."""
