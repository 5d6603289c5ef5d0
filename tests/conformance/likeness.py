"""Whether the suite saw the same through the shim as it saw directly, and not only the same verdict.

A server that refuses everything passes some scenarios. So each check's details (the answers that it looked at) are
compared too, after what may differ is taken out: what one run makes up anew (ports, sessions, states), and what a
client can tell a fronted server by (docs/protocol.md).
"""

from __future__ import annotations

import json
import re

from shim.model import Json
from tests.conformance.suite import Verdict

MADE_UP = frozenset(("sessionId", "sessionIdSent", "requestState", "subscriptionId", "serverUrl", "timestamp", "trace"))
"""Members that no two runs have alike."""
OWN = frozenset(
    (
        "capabilities",
        "discoverCapabilities",
        "instructions",
        "serverInfo",
        "ttlMs",
        "cacheScope",
        "nextCursor",
        "supportedVersions",
        "event",
    )
)
"""Members that the shim answers for itself."""
COMES_AND_GOES = re.compile(r"test_dynamic_\w+|test://dynamic-resource")

_COUNTS = frozenset(
    (
        "toolCount",
        "promptCount",
        "resourceCount",
        "messagesValidated",
        "errorResponsesObserved",
        "inspectedNotificationCount",
    )
)
"""What is counted while lists grow and shrink, and while notices come when they come."""

_OWN_META = ("io.modelcontextprotocol/", "io.github.mcp-shim/")
_PORT = re.compile(r"127\.0\.0\.1:\d+")


def unlike(direct: Verdict, fronted: Verdict, *, nameless: bool = False) -> tuple[str, ...]:
    """What the checks of a scenario say differently, one line each.

    `nameless`: the upstream asks in the legacy era, whose questions have no names, so the shim gives them some.
    """
    there, here = list(direct.checks), list(fronted.checks)
    if [(check.id, check.name) for check in there] != [(check.id, check.name) for check in here]:
        gone = {check.id for check in there} ^ {check.id for check in here}
        return (f"other checks than directly: {', '.join(sorted(gone)) or 'in another number or order'}",)
    lines: list[str] = []
    for was, now in zip(there, here, strict=True):
        if (was.status, was.message) != (now.status, now.message):
            lines.append(f"{was.id}: directly {was}, through the shim {now}")
        elif _seen(was.details, nameless) != _seen(now.details, nameless):
            lines.append(f"{was.id}: directly {_text(was.details)}, through the shim {_text(now.details)}")
    return tuple(lines)


def neutral(value: Json) -> Json:
    """A value without what may differ; lists in an order of their own."""
    if isinstance(value, dict):
        if isinstance(value.get("code"), int) and "message" in value:
            # What the shim refuses for itself it refuses in its own words.
            return {"code": value["code"]}
        return {key: neutral(item) for key, item in sorted(value.items()) if not _left_out(key, item)}
    if isinstance(value, list):
        items = [neutral(item) for item in value if not _passing(item)]
        return sorted(items, key=_text) if all(_named(item) for item in value) else items
    return _said(value) if isinstance(value, str) else value


def _seen(details: Json, nameless: bool) -> str:
    return _text(_unnamed(details) if nameless else details)


def _unnamed(value: Json) -> Json:
    """A value whose questions are a list in an order of its own."""
    if isinstance(value, dict):
        asked = value.get("inputRequests")
        named = {key: _unnamed(item) for key, item in value.items()}
        return {**named, "inputRequests": sorted(map(_text, asked.values()))} if isinstance(asked, dict) else named
    return [_unnamed(item) for item in value] if isinstance(value, list) else value


def _left_out(key: str, item: Json) -> bool:
    if key in MADE_UP or key in OWN or key in _COUNTS or key.startswith(_OWN_META) or COMES_AND_GOES.fullmatch(key):
        return True
    # What is empty once the shim's and the protocol's own members are gone might as well not be there.
    return key == "_meta" and not neutral(item)


def _passing(item: Json) -> bool:
    name = (item.get("name") or item.get("uri")) if isinstance(item, dict) else item
    return isinstance(name, str) and COMES_AND_GOES.fullmatch(name) is not None


def _named(item: Json) -> bool:
    return isinstance(item, str) or (isinstance(item, dict) and ("name" in item or "uriTemplate" in item))


def _said(text: str) -> Json:
    """A text; where it is an answer as JSON, that answer."""
    if text.startswith("{"):
        try:
            return neutral(json.loads(text))
        except ValueError:
            pass
    return _PORT.sub("127.0.0.1", text)


def _text(value: Json) -> str:
    return json.dumps(neutral(value), sort_keys=True)
