"""The record: nothing happens that is not first, durably, here."""

from __future__ import annotations

from shim.record.keeper import Process, recording
from shim.record.recorder import Record

__all__ = ["Process", "Record", "recording"]
