"""What is wrong with a grant as it is written, before any upstream is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from shim.policy.conditions import Condition, ConditionError
from shim.policy.config import GrantBlock
from shim.policy.globs import PatternError
from shim.policy.patterns import Pattern, split

MAX_PATTERN = 1024

_KIND = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):")
_KINDS = ("resource", "prompt", "template")
_NAMED = {"tool": "tool", "prompt": "name", "resource": "uri"}
_PLACE = re.compile(r"(?<!\\)(?:\\\\)*\{[^{}]*\}")
_BRACE = re.compile(r"(?<!\\)(?:\\\\)*\{[^}]*,")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a grant.

    `path` leads to the faulty value from the grant's block, such as `("allow", 0)` or `("when",)`; `offset` counts
    characters within the text of `when` (None where no place can be named). An error makes the grant unusable.
    """

    path: tuple[str | int, ...]
    offset: int | None
    message: str
    level: Literal["error", "warning"]


def faults(grant: GrantBlock) -> list[Fault]:
    """All faults of the grant's patterns, of whom it is for, and of its condition; none: `Policy` takes it."""
    found: list[Fault] = []
    for place, name in enumerate(grant.to):
        if name == "group:":
            found.append(Fault(("to", place), None, "names no group; write `group:NAME`", "error"))
    for effect, patterns in (("allow", grant.allow), ("deny", grant.deny)):
        for place, pattern in enumerate(patterns):
            found += _pattern_faults((effect, place), pattern, denies=effect == "deny")
    if grant.allow_from_upstream and not grant.allow:
        message = "belongs to a grant with `allow`: it says what may be asked in the calls that this one allows"
        found.append(Fault(("allow_from_upstream",), None, message, "error"))
    if grant.when is not None:
        try:
            Condition.of(grant.when)
        except ConditionError as error:
            found += [Fault(("when",), one.offset, one.message, "error") for one in error.faults]
    return found


def fault_of_tools(pattern: str) -> str | None:
    """What is wrong with a pattern that is on tools alone."""
    kind = split(pattern)[0]
    if kind != "tool":
        return f"`{pattern}` is about a {kind}; write `upstream/tool`"
    return _what_is_wrong(pattern) or _why_it_matches_nothing(pattern)


def _pattern_faults(path: tuple[str | int, ...], pattern: str, *, denies: bool) -> list[Fault]:
    wrong = _what_is_wrong(pattern)
    if wrong is not None:
        return [Fault(path, None, wrong, "error")]
    idle = _why_it_matches_nothing(pattern)
    if idle is not None:
        # An allow that allows nothing is a mistake that harms nobody; a deny that denies nothing fails open.
        return [Fault(path, None, idle, "error" if denies else "warning")]
    if _BRACE.search(pattern):
        message = f"`{pattern}`: braces stand for themselves; write one pattern for each alternative"
        return [Fault(path, None, message, "warning")]
    if split(pattern)[0] == "resource" and _PLACE.search(pattern):
        message = f"`{pattern}`: braces stand for themselves, and no URI has them; write `*` or `**` for {{…}}"
        return [Fault(path, None, message, "warning")]
    return []


def _what_is_wrong(pattern: str) -> str | None:
    if not pattern:
        return "an empty pattern matches nothing; write `upstream/tool`"
    if len(pattern) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN:,} characters"
    kind = _KIND.match(pattern)
    if kind is not None and kind[1] not in _KINDS:
        there = "there are `resource:` and `prompt:`, and tools are written without a kind, as `upstream/tool`"
        return f"`{pattern}`: there is no kind `{kind[1]}:`; {there}"
    try:
        Pattern.of(pattern)
    except PatternError as error:
        return f"`{pattern}`, character {error.offset + 1}: {error}"
    return None


def _why_it_matches_nothing(pattern: str) -> str | None:
    kind, body = split(pattern)
    before, name = pattern[: len(pattern) - len(body)], _NAMED.get(kind, "uri")
    names = f"`{before}upstream/{name}`"
    if body.startswith("/"):
        return f"`{pattern}` names no upstream before its `/`; write {names}, or `{before}*/{name}` for any upstream"
    if not Pattern.of(pattern).glob.spans:
        wide = f"`{before}*/*` or `{before}**`"
        return f"`{pattern}` matches no {kind}: names are {names} and `*` does not cross `/`; write {wide}"
    return None
