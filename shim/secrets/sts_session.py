"""What STS is asked for one lease: a session that carries whom and what it is for, as short as can be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from shim.secrets.filling import filled
from shim.secrets.source import Purpose, Unavailable
from shim.secrets.sts_policy import filled_policy

SHORTEST: Final = 900
"""Seconds: STS gives nothing shorter."""
MOST_TAGS: Final = 48
"""Two of the fifty that AWS takes are the shim's own."""

_OWN: Final = ("identity", "invocation")
_KEY = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_+=,.@-]")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9 _.:/+@-]")
_LONGEST_NAME: Final = 64
_LONGEST_TAG: Final = 256


def request(
    purpose: Purpose,
    *,
    role_arn: str,
    policy: str | None,
    tags: Mapping[str, str],
    duration: float | None,
    end: datetime | None,
) -> dict[str, Any]:
    """The parameters of AssumeRole. `end`: when the lease ends at the latest, where it has a `ttl`.

    STS gives no session under 15 minutes: where that is too long, the session's policy denies everything from `end` on.
    Raises Unavailable.
    """
    seconds = duration or SHORTEST
    if purpose.ttl is not None:
        seconds = max(SHORTEST, min(seconds, purpose.ttl))
    early = end if purpose.ttl is not None and purpose.ttl < seconds else None
    parameters: dict[str, Any] = {
        "RoleArn": filled(role_arn, purpose, _part_of_name),
        "RoleSessionName": _session_name(purpose),
        "DurationSeconds": int(seconds),
        "Tags": [{"Key": key, "Value": value} for key, value in _tags(tags, purpose).items()],
    }
    document = filled_policy(policy, purpose, early)
    return parameters if document is None else {**parameters, "Policy": document}


def wrong_tag(tags: Mapping[str, str]) -> str | None:
    """What is wrong with tags of a configuration."""
    for key in tags:
        if key.lower() in _OWN:
            return f"the tag {key} is set by the shim itself; choose another name"
        if not _KEY.fullmatch(key) or key.lower().startswith("aws:"):
            return f"{key[:60]!r} is no name of a tag in AWS; use letters, digits, spaces and _ . : / = + @ -"
    if len({key.lower() for key in tags}) < len(tags):
        return "two tags differ only in upper and lower case, which AWS takes for one; leave one out"
    return None


def _tags(tags: Mapping[str, str], purpose: Purpose) -> dict[str, str]:
    result = {key: filled(value, purpose, tag_value) for key, value in tags.items()}
    for key, value in zip(_OWN, (purpose.identity, purpose.invocation), strict=True):
        if value is not None:
            result[key] = tag_value(value)
    for key, value in result.items():
        if len(value) > _LONGEST_TAG:
            raise Unavailable(f"its tag {key} is longer than the {_LONGEST_TAG} characters that AWS takes")
    return result


def tag_value(value: str) -> str:
    """A text as AWS takes it in a tag, and different for different texts: what it does not take is `=` and hex."""
    return _NOT_IN_TAGS.sub(
        lambda found: "".join(f"={byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass")), value
    )


def _session_name(purpose: Purpose) -> str:
    """The identity, cut, and the invocation, for whoever reads AWS's own log; the tags have both whole."""
    what = _NOT_IN_NAMES.sub("-", purpose.invocation or purpose.lease)[: _LONGEST_NAME // 2 + 8]
    who = _NOT_IN_NAMES.sub("-", purpose.identity or "mcp-shim")
    return f"{who[: _LONGEST_NAME - 1 - len(what)]}.{what}"


def _part_of_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise Unavailable("its `role_arn` would be filled with what cannot stand in the name of a role")
    return value
