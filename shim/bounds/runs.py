"""Which run a call belongs to.

A run is a bounded episode of an agent's reasoning. It is named by the first that there is of: the run that the token
was issued for; the session (the one process of `mcp-shim stdio`, or a legacy session); the W3C trace id; else the
identity's calls since it was last idle for 30 minutes. Every name is used under its identity, so that naming
another's run enters nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shim.model import Caller

IDLE = timedelta(minutes=30)
KEPT = 10_000
"""Identities may be as many as an issuer has persons: of more than these, those idle longest begin a new run."""


@dataclass(slots=True)
class _Episode:
    name: str
    last: datetime


class Runs:
    """Names runs. Owns the idle episodes of this process, one for each identity that needs one."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._episodes: OrderedDict[str, _Episode] = OrderedDict()

    def name(self, caller: Caller, now: datetime) -> str:
        """The run of a call that begins now."""
        named = _named(caller)
        if named is not None:
            return named
        episode = self._episode(caller, now)
        if episode is None:
            episode = _Episode(self._new_id(), now)
            self._episodes[caller.identity.name] = episode
            if len(self._episodes) > KEPT:
                self._episodes.popitem(last=False)
        self._episodes.move_to_end(caller.identity.name)
        episode.last = now
        return episode.name

    def would_be(self, caller: Caller, now: datetime) -> str:
        """The run of a call that could begin now, but does not: none begins by that, and none goes on."""
        episode = self._episode(caller, now)
        return _named(caller) or (episode.name if episode is not None else self._new_id())

    def _episode(self, caller: Caller, now: datetime) -> _Episode | None:
        episode = self._episodes.get(caller.identity.name)
        return episode if episode is not None and now - episode.last < IDLE else None


def _named(caller: Caller) -> str | None:
    if caller.credential.run is not None:
        return caller.credential.run
    if caller.session is not None:
        return caller.session
    return caller.trace if caller.identity.runs == "auto" else None
