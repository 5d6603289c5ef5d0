"""What a person is told about a value that does not fit: what is wrong, and what would be right."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shim import templates
from shim.config.document import ONLY_MAIN, Main, is_not_yet, keys_at, kind_of, type_at
from shim.model import Json
from shim.upstream.commandline.config import MEDIA
from shim.upstream.config import SECRETS_IN
from shim.upstream.python.config import FUNCTION, PARAMETER
from shim.yamltext import Path

_EXPECTED = {
    "list": "a list is expected here; write [a, b], or one `- item` a line",
    "map": "a mapping is expected here; write `key: value` lines below it",
    "scalar": "text is expected here",
}
_PATTERNS: dict[str, str] = {
    "^[a-z0-9](?:_?[a-z0-9-])*_?$": "an upstream's name has lower-case letters, digits, `-` and single `_`",
    "^[A-Za-z_][A-Za-z0-9_]*$": "a variable's name has letters, digits and `_`",
    "^[A-Za-z0-9_.-]{1,64}$": "a tool's name has letters, digits, `_`, `-` and `.`, and at most 64 characters",
    "^[A-Za-z0-9_-]*$": "a prefix has letters, digits, `_` and `-`",
    f"^{templates.NAME}$": "a secret's name has letters, digits, `_` and `-`, and at most 64 characters",
    f"^{templates.FIELD}$": "a field is the name of a member of a JSON object, without spaces and braces",
    FUNCTION: "write package.module:function, or package.module:* for what the module's __all__ names",
    PARAMETER: "a parameter is named as in Python, in ASCII letters, digits and `_`, at most 64",
    MEDIA: "`output` is text, lines, json, or a media type such as image/png",
    r"^[^\x00]{1,255}$": "write the name that the keyring has for it, at most 255 characters",
    r"^[^{}\x00-\x1f\x7f]{1,256}$": "a claim's name has at most 256 characters, no braces and no control characters",
    r"^[\x21\x23-\x5b\x5d-\x7e]{1,256}$": "a scope is one word, without quotes and backslashes; write one an item",
    "^[0-9a-f]{64}$": "sha256 is the lower-case hex SHA-256 (64 digits) of the whole token, never the token itself",
}
_HANDED = " or ".join(f"`{key}`" for key in sorted(SECRETS_IN))
_FIRST_KEY = re.compile(r"^(?:Value error, )?`(\w+)`")
_NAME = "a name has letters, digits and `. _ @ -`, begins with a letter or a digit, and has at most 128 characters"


def suggestion(wrong: str, right: tuple[str, ...]) -> str:
    """` Did you mean …?` where something that is right is close, else nothing."""
    close = get_close_matches(wrong[:80], right, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: Json) -> str:
    """A value in a message: short, and with whatever cannot be seen escaped."""
    text = repr(value)
    return text if len(text) <= 70 else text[:67] + "…'"


def printable(message: str) -> str:
    """A message on one line, with whatever cannot be seen (control and bidirectional characters) escaped."""
    if message.isprintable():
        return message
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in message)


def astray(path: Path) -> str:
    """What is wrong with a secret at a path where none may stand."""
    if path[0] == "upstreams" and path[2:3] == ("command",):
        return "a secret cannot stand in `command`, where everyone who lists processes sees it; hand it over in `env`"
    if path[0] == "upstreams" and path[2:3] in (("args",), ("tools",)):
        return "a secret cannot stand in a program's words, where everyone sees it; hand it over in `env` or `files`"
    return (
        f"a secret is handed to an upstream in its {_HANDED}, or with calls of its tools in their `fixed` or `meta`, "
        "and stands nowhere else; take the ${secret:…} out"
    )


def explain(model: type, path: Path, fault: ErrorDetails) -> str:
    """One fault that validation found at a path, in one line."""
    kind, key, context = fault["type"], path[-1] if path else "", fault.get("ctx", {})
    what = f"`{key}`" if isinstance(key, str) else f"item {key + 1}"
    if kind == "extra_forbidden":
        return _unknown_key(model, path)
    if kind == "missing":
        return f"`{key}` is missing{_of(path)}; write it"
    if kind in ("tuple_type", "dict_type", "model_type", "model_attributes_type", "string_type"):
        if fault["input"] is None:
            return f"{what} has no value; write one (text in quotes), or leave it out"
        return f"{what}: {_EXPECTED[kind_of(type_at(model, path))]}"
    if kind.startswith("bool"):
        return f"{what} is true or false; write one of them"
    if kind.startswith("int") and key != "version":
        return f"{what} is a whole number; write its digits"
    if key == "version":
        return f"this version reads `version: 1`, not {shown(fault['input'])}"
    if kind == "literal_error":
        return _literal(model, path, fault)
    if kind == "string_pattern_mismatch":
        # What may be a secret is not repeated.
        is_hidden = key == "sha256" or (len(path) > 1 and path[-2] in SECRETS_IN)
        value = "" if is_hidden else f"{shown(fault['input'])} does not fit: "
        return value + _PATTERNS.get(context.get("pattern", ""), _NAME)
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return message if kind == "value_error" else f"{what} {message}"


def key_of(message: str) -> str | None:
    """The key that a fault between the keys of a block is about: its message begins with it."""
    found = _FIRST_KEY.search(message)
    return found[1] if found is not None else None


def first_of(model: type, error: ValidationError) -> tuple[Path, str]:
    """The first fault of a block of this type that was checked by itself: where in it, and what."""
    fault = error.errors(include_url=False)[0]
    path = tuple(step for step in fault["loc"] if step != "[key]")
    if fault["type"] == "value_error" and (key := key_of(fault["msg"])) is not None:
        path = (*path, key)
    return path, explain(model, tuple(fault["loc"]), fault)


def _of(path: Path) -> str:
    return f" in {'.'.join(str(step) for step in path[:-1])}" if len(path) > 1 else ""


def _unknown_key(model: type, path: Path) -> str:
    key = str(path[-1])
    if is_not_yet(path):
        return f"not supported by this version: `{key}`; take it out"
    if len(path) == 1 and key in ONLY_MAIN and model is not Main:
        return f"`{key}` may not stand in an included file; write it in the configuration that includes this one"
    known = keys_at(model, path[:-1])
    if key == "<<":
        return "merge keys (`<<`) are not read; write the keys out"
    hint = suggestion(key, known) or f"; known here are {', '.join(known)}"
    return f"unknown key {shown(key)}{hint}"


def _literal(model: type, path: Path, fault: ErrorDetails) -> str:
    choices = tuple(str(choice) for choice in get_args(type_at(model, path)))
    hint = suggestion(str(fault["input"]), choices)
    return f"`{path[-1]}` is one of {', '.join(choices)}, not {shown(fault['input'])}{hint}"
