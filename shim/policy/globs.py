"""Patterns on names, matched in time linear in the text whatever the pattern is.

`*` and `?` match within a segment and never `/`; `**` matches anything, also nothing; `[abc]`, `[a-z]` and `[!abc]`
match one character that is not `/`; a backslash quotes the character after it. A pattern matches the whole text, and
case counts. Anything else stands for itself.

A pattern is a non-deterministic automaton whose states are the bits of one integer: state i means that the first i
consuming parts have matched, and a star is a loop on a state. Every character of the text is looked at once, so no
text and no pattern makes it backtrack (the shift-and method of Baeza-Yates and Gonnet, "A new approach to text
searching", 1992).
"""

from __future__ import annotations

from dataclasses import dataclass


class PatternError(ValueError):
    """A pattern that cannot be read; `offset` is the character where it goes wrong."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class _Class:
    """`[abc]` or `[!abc]`: inclusive ranges of characters. Never asked about a `/`."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def holds(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) is not self.negated


@dataclass(frozen=True, slots=True)
class _Star:
    crosses: bool


class _Any:
    """`?`"""


_ANY = _Any()
_Part = str | _Class | _Star | _Any


def _read_class(pattern: str, start: int) -> tuple[_Class, int]:
    at, ranges, negated = start + 1, list[tuple[str, str]](), False
    if pattern.startswith("!", at):
        at, negated = at + 1, True
    elif pattern.startswith("^", at):
        raise PatternError("`[^` is not a negation here; write `[!`, or quote the `^` with a backslash", at)

    def character() -> str:
        nonlocal at
        if pattern.startswith("\\", at):
            at += 1
        if at >= len(pattern):
            raise PatternError("`[` without its `]`; a `[` that stands for itself is written `\\[`", start)
        at += 1
        return pattern[at - 1]

    while not pattern.startswith("]", at):
        low = high = character()
        if pattern.startswith("-", at) and not pattern.startswith("-]", at):
            at += 1
            high = character()
            if high < low:
                raise PatternError(f"the range `{low}-{high}` is empty; write `{high}-{low}`", at - 1)
        ranges.append((low, high))
    if not ranges:
        raise PatternError("an empty class; a `]` that stands for itself is written `\\]`", start)
    return _Class(tuple(ranges), negated), at + 1


def _read(pattern: str) -> list[_Part]:
    parts: list[_Part] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "[":
            part, at = _read_class(pattern, at)
            parts.append(part)
            continue
        if character == "*":
            end = at
            while pattern.startswith("*", end):
                end += 1
            parts.append(_Star(crosses=end - at > 1))
            at = end
            continue
        if character == "\\":
            at += 1
            if at == len(pattern):
                raise PatternError(
                    "a backslash at the end quotes nothing; a backslash itself is written `\\\\`", at - 1
                )
            parts.append(pattern[at])
        else:
            parts.append(_ANY if character == "?" else character)
        at += 1
    return parts


def _leading(parts: list[_Part]) -> str:
    text = []
    for part in parts:
        if not isinstance(part, str):
            break
        text.append(part)
    return "".join(text)


class Glob:
    """One compiled pattern. Raises PatternError for what cannot be read.

    `prefix` and `suffix` are the literal texts that every match begins and ends with; `literal` is the one text that
    the pattern matches when it has no wildcard, else None.
    """

    __slots__ = (
        "_any",
        "_classes",
        "_consuming",
        "_crosses",
        "_loops",
        "_loops_anywhere",
        "_one_star",
        "_places",
        "literal",
        "pattern",
        "prefix",
        "suffix",
    )

    def __init__(self, pattern: str) -> None:
        parts = _read(pattern)
        self.pattern = pattern
        self.prefix = _leading(parts)
        self.suffix = _leading(parts[::-1])[::-1]
        self.literal = self.prefix if len(self.prefix) == len(parts) else None
        self._one_star = len(self.prefix) + len(self.suffix) + 1 == len(parts) and isinstance(
            parts[len(self.prefix)], _Star
        )
        self._crosses = any(isinstance(part, _Star) and part.crosses for part in parts)
        self._compile(parts)

    def _compile(self, parts: list[_Part]) -> None:
        places: dict[str, int] = {}
        classes: list[tuple[int, _Class]] = []
        consuming = anywhere = within = any_one = 0
        for part in parts:
            bit = 1 << consuming
            if isinstance(part, _Star):
                within |= bit
                anywhere |= bit if part.crosses else 0
                continue
            consuming += 1
            if isinstance(part, str):
                places[part] = places.get(part, 0) | bit
            elif isinstance(part, _Class):
                classes.append((bit, part))
            else:
                any_one |= bit
        self._places, self._classes, self._any = places, tuple(classes), any_one
        self._loops, self._loops_anywhere, self._consuming = within, anywhere, consuming

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"

    def matches(self, text: str) -> bool:
        """Whether the pattern matches the whole of `text`."""
        if self.literal is not None:
            return text == self.literal
        if not (text.startswith(self.prefix) and text.endswith(self.suffix)):
            return False
        if self._one_star:
            end = len(text) - len(self.suffix)
            return end >= len(self.prefix) and (self._crosses or text.find("/", len(self.prefix), end) < 0)
        return bool(self._run(text, len(self.prefix), 1 << len(self.prefix)) >> self._consuming)

    def possible(self, prefix: str) -> bool:
        """Whether some text that begins with `prefix` matches."""
        return self._run(prefix, 0, 1) != 0

    def certain(self, prefix: str) -> bool:
        """Whether every text that begins with `prefix` matches."""
        end = 1 << self._consuming
        return bool(self._run(prefix, 0, 1) & self._loops_anywhere & end)

    @property
    def spans(self) -> bool:
        """Whether a text with a `/` in it can match."""
        return self._crosses or "/" in self._places

    def _run(self, text: str, start: int, states: int) -> int:
        places, loops, loops_anywhere, any_one = self._places, self._loops, self._loops_anywhere, self._any
        for at in range(start, len(text)):
            character = text[at]
            step = places.get(character, 0)
            if character == "/":
                stay = loops_anywhere
            else:
                stay = loops
                step |= any_one
                for bit, one in self._classes:
                    if one.holds(character):
                        step |= bit
            states = ((states & step) << 1) | (states & stay)
            if not states:
                return 0
        return states
