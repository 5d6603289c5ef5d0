"""What a plain server reads out of a request: written from the specifications, apart from what writes requests.

It decodes percents either before it splits or after, as servers do; both have to find what was sent.

Source: OpenAPI Specification 3.1.1, "Style Values"; RFC 6570; RFC 6265.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

from shim.upstream.openapi.operations import Parameter

MISSING = object()


def value_of(text: str, schema: Any) -> Any:
    """One scalar, by its schema."""
    kind = schema.get("type")
    if kind == "integer":
        return int(text)
    if kind == "number":
        return float(text)
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    return text


def _split(text: str, separator: str, *, first: bool) -> list[str]:
    """`first`: it decodes before it splits."""
    if first:
        return unquote(text).split(unquote(separator))
    return [unquote(one) for one in text.split(separator)]


def _whole(items: list[str], schema: Any, *, explode: bool) -> Any:
    if schema["type"] == "array":
        return [value_of(one, schema["items"]) for one in items]
    of = schema["additionalProperties"]
    if explode:
        return {key: value_of(one, of) for key, _, one in (item.partition("=") for item in items)}
    return {key: value_of(one, of) for key, one in zip(items[::2], items[1::2], strict=True)}


def path_value(text: str, parameter: Parameter, *, first: bool) -> Any:
    """What stood for a parameter in the path."""
    schema: Any = parameter.schema
    if parameter.media is not None:
        return json.loads(unquote(text))
    is_one = schema["type"] not in ("array", "object")
    match parameter.style:
        case "label":
            assert text[0] == "."
            text = text[1:]
            separator = "." if parameter.explode else ","
        case "matrix":
            return _matrix(text, parameter, first=first)
        case _:
            separator = ","
    if is_one:
        return value_of(unquote(text), schema)
    return _whole(_split(text, separator, first=first), schema, explode=parameter.explode)


def _matrix(text: str, parameter: Parameter, *, first: bool) -> Any:
    schema: Any = parameter.schema
    pairs = [one.partition("=")[::2] for one in _split(text, ";", first=first)[1:]]
    if parameter.explode and schema["type"] == "object":
        return {key: value_of(one, schema["additionalProperties"]) for key, one in pairs}
    assert all(name == parameter.name for name, _ in pairs)
    if parameter.explode and schema["type"] == "array":
        return [value_of(one, schema["items"]) for _, one in pairs]
    ((_, held),) = pairs
    if schema["type"] in ("array", "object"):
        return _whole(held.split(","), schema, explode=False)
    return value_of(held, schema)


def query_value(pairs: list[tuple[str, str]], parameter: Parameter, *, first: bool) -> Any:
    """What a query has for a parameter; MISSING where it has nothing. `pairs` are still encoded."""
    schema: Any = parameter.schema
    named = [(unquote(name), one) for name, one in pairs]
    own = [one for name, one in named if name == parameter.name]
    if parameter.media is not None:
        return json.loads(unquote(own[0])) if own else MISSING
    if parameter.style == "deepObject":
        return _deep([(name, unquote(one)) for name, one in named], parameter)
    if schema["type"] == "object" and parameter.explode:
        of = schema["additionalProperties"]
        return {name: value_of(unquote(one), of) for name, one in named} or MISSING
    if not own:
        return MISSING
    if schema["type"] == "array" and parameter.explode:
        return [value_of(unquote(one), schema["items"]) for one in own]
    assert len(own) == 1
    if schema["type"] not in ("array", "object"):
        return value_of(unquote(own[0]), schema)
    separator = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}[parameter.style]
    return _whole(_split(own[0], separator, first=first), schema, explode=False)


def _deep(pairs: list[tuple[str, str]], parameter: Parameter) -> Any:
    found: Any = {}
    for name, text in pairs:
        steps = re.findall(r"\[([^\[\]]*)\]", name)
        assert name == parameter.name + "".join(f"[{step}]" for step in steps)
        holder = found
        for step in steps[:-1]:
            holder = holder.setdefault(step, {})
        assert steps[-1] not in holder
        holder[steps[-1]] = text
    return _typed(found, parameter.schema) if found else MISSING


def _typed(value: Any, schema: Any) -> Any:
    if schema["type"] == "object":
        return {key: _typed(one, schema["additionalProperties"]) for key, one in value.items()}
    if schema["type"] == "array":
        assert sorted(value) == sorted(str(index) for index in range(len(value)))
        return [_typed(value[str(index)], schema["items"]) for index in range(len(value))]
    return value_of(value, schema)


def header_value(text: str | None, parameter: Parameter) -> Any:
    """What a header says; servers take the white space away around it, and around what is between commas."""
    schema: Any = parameter.schema
    if text is None:
        return MISSING
    if parameter.media is not None:
        return json.loads(text)
    if schema["type"] not in ("array", "object"):
        return value_of(text.strip(), schema)
    return _whole([one.strip() for one in text.split(",")], schema, explode=parameter.explode)


def cookie_value(header: str, parameter: Parameter) -> Any:
    """What the cookies of a request say."""
    schema: Any = parameter.schema
    pairs = [one.strip().partition("=")[::2] for one in header.split(";")] if header else []
    own = [one for name, one in pairs if name == parameter.name]
    if parameter.media is not None:
        return json.loads(unquote(own[0])) if own else MISSING
    if schema["type"] == "object" and parameter.explode:
        return {name: value_of(one, schema["additionalProperties"]) for name, one in pairs} or MISSING
    if not own:
        return MISSING
    if schema["type"] == "array" and parameter.explode:
        return [value_of(one, schema["items"]) for one in own]
    assert len(own) == 1
    if schema["type"] not in ("array", "object"):
        return value_of(own[0], schema)
    return _whole(own[0].split(","), schema, explode=False)
