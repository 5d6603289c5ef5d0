"""Writes the record; the interface that the gateway relies on."""

from __future__ import annotations

from collections.abc import Sequence

from shim.model import Call, Decision, JsonObject, Outcome, Tool


class Record:
    """Appends events. Every method returns only after its events are committed and synced.

    Raises RecordUnavailable when that could not be done in time; then nothing was written.
    """

    async def intent(self, call: Call, decision: Decision) -> None:
        """What is about to happen, or was denied (a denial has no outcome)."""
        raise NotImplementedError

    async def outcome(self, call: Call, outcome: Outcome) -> None:
        """How an invocation ended."""
        raise NotImplementedError

    async def shown(self, identity: str, policy: str, tools: Sequence[Tool]) -> None:
        """That an identity was shown these tools: once for each version of policy and catalog."""
        raise NotImplementedError

    async def event(self, kind: str, body: JsonObject, invocation: str | None = None) -> None:
        """Any other event."""
        raise NotImplementedError
