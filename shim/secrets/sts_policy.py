"""A session policy (IAM): what limits a role to the resources of one call, and to a time that STS itself cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from shim import jsontext
from shim.errors import InvalidText
from shim.model import Json, JsonObject
from shim.secrets.arguments import ANY, filled_of_call
from shim.secrets.source import Purpose, Unavailable

LONGEST: Final = 2048
"""Characters that AWS takes of a session policy."""

_FILLED: Final = frozenset({"Resource", "Condition"})
_VERSION: Final = "2012-10-17"


def filled_policy(text: str | None, purpose: Purpose, end: datetime | None) -> str | None:
    """The policy for one lease, as AWS takes it. `end`: after it everything is denied. Raises Unavailable."""
    if text is None and end is None:
        return None
    policy: JsonObject = jsontext.parse_object(text.encode()) if text is not None else _everything()
    statements = policy["Statement"]
    policy["Statement"] = [
        {key: _filled(value, purpose) if key in _FILLED else value for key, value in statement.items()}
        for statement in (statements if isinstance(statements, list) else [statements])
    ]
    if end is not None:
        policy["Statement"].append(_over(end))
    result = json.dumps(policy, separators=(",", ":"))
    if len(result) > LONGEST:
        raise Unavailable(f"its `policy` is longer than {LONGEST} characters once it is filled; shorten it")
    return result


def _everything() -> JsonObject:
    # A session policy only takes away from what the role may.
    return {"Version": _VERSION, "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def _over(end: datetime) -> JsonObject:
    when = end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    late = {"DateGreaterThan": {"aws:CurrentTime": when}}
    return {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": late}


def _filled(value: Json, purpose: Purpose) -> Json:
    # Below text that was read, so no value can end the string that it stands in.
    if isinstance(value, str):
        return filled_of_call(value, purpose, _literal)
    if isinstance(value, list):
        return [_filled(one, purpose) for one in value]
    if isinstance(value, dict):
        return {key: _filled(one, purpose) for key, one in value.items()}
    return value


def _literal(value: str) -> str:
    if not value:
        raise Unavailable("its `policy` would be filled with an empty text, which may stand for more than one thing")
    # A `$` at the end could be one with what follows.
    if any(sign in value for sign in "*?") or "${" in value or value.endswith("$"):
        raise Unavailable(
            "its `policy` would be filled with a wildcard or a variable of AWS (* ? ${), which is refused"
        )
    return value


def _text(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict) else value


def _sound(text: str) -> str:
    try:
        policy = jsontext.parse_object(text.encode())
    except InvalidText:
        raise ValueError("`policy` is not one JSON object; write a session policy of AWS") from None
    statements = policy.get("Statement")
    statements = statements if isinstance(statements, list) else [statements]
    if not statements or not all(isinstance(one, dict) for one in statements):
        raise ValueError("`policy` has no Statement; write a session policy of AWS")
    if policy.get("Version") != _VERSION:
        raise ValueError(f'`policy` needs `"Version": "{_VERSION}"`')
    for one in statements:
        rest = {key: value for key, value in one.items() if key not in _FILLED}
        names = [name for key in _FILLED for name in _names(one.get(key))]
        for part in (*_texts(rest), *names):
            if found := ANY.search(part):
                raise ValueError(
                    f"{found[0]} may stand in the values of Resource and Condition of a `policy`, not here"
                )
    return text


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from _texts(one)


def _names(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from _names(one)
    elif isinstance(value, list):
        for one in value:
            yield from _names(one)


PolicyText = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | JsonObject), AfterValidator(_sound)]
"""The JSON text of a session policy. In a configuration: that, or the same as a mapping."""
