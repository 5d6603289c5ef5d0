"""The three kinds of pattern: on tools, on prompts, on resources; and the names that they are held against.

A name is what policy and record call a thing: `upstream/tool`, `prompt:upstream/name`, `resource:upstream/uri`, and
`template:upstream/uri-template` for a resource template, which no pattern names: those on resources decide on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from shim import uritemplates
from shim.policy import uris
from shim.policy.globs import Glob, PatternError

Kind: TypeAlias = Literal["tool", "prompt", "resource", "template"]

_PREFIX = re.compile(r"(prompt|resource|template):")
_SPECIAL = re.compile(r"[\\*?\[\]]")
_KEPT = re.compile(r"(\\.|\[(?:\\.|[^\]\\])*\]|[*?])", re.DOTALL)
_AUTHORITY = re.compile(r"[^*?\[\\/]+/[A-Za-z][A-Za-z0-9+.-]*:(?://[^*?\[\\/]*)?")


def split(ref: str) -> tuple[Kind, str]:
    """The kind of a name, or of a pattern, and what stands after it. Upstreams' names have no colon."""
    found = _PREFIX.match(ref)
    if found is None:
        return "tool", ref
    kind: Kind = "prompt" if found[1] == "prompt" else "resource" if found[1] == "resource" else "template"
    return kind, ref[found.end() :]


def upstream_of(ref: str) -> str:
    """The upstream in a name; what it is called by where there is none."""
    return split(ref)[1].partition("/")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """One pattern of a grant. `globs` are on what stands after the kind; the first is as it is written.

    One on resources has two more where they differ: a deny is also held against a URI's readings, so its own escapes
    are undone for that.
    """

    kind: Literal["tool", "prompt", "resource"]
    globs: tuple[Glob, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """The pattern that `text` writes. Raises PatternError."""
        kind, body = split(text)
        if kind == "template":
            raise PatternError("a template shows when a pattern on resources could match; write `resource:`", 0)
        try:
            glob = Glob(body)
        except PatternError as error:
            raise PatternError(str(error), error.offset + len(text) - len(body)) from None
        if kind != "resource":
            return cls(kind, (glob,))
        return cls(kind, (glob, *map(Glob, _undone(body))))

    @property
    def glob(self) -> Glob:
        """The pattern as it is written."""
        return self.globs[0]

    def allows(self, ref: str) -> bool:
        """Whether an allow with this pattern is about what has this name."""
        kind, body = split(ref)
        if kind == "template":
            return self.kind == "resource" and self.reaches(body)
        if kind != self.kind:
            return False
        if kind != "resource":
            return self.glob.matches(body)
        return allowed(self.glob, body)

    def denies(self, ref: str) -> bool:
        """Whether a deny with this pattern is about what has this name."""
        kind, body = split(ref)
        if kind == "template":
            return self.kind == "resource" and self.covers(body)
        if kind != self.kind:
            return False
        if kind != "resource":
            return self.glob.matches(body)
        upstream, _, text = body.partition("/")
        uri = uris.read(text)
        return any(glob.matches(f"{upstream}/{form}") for form in (text, *uri.forms) for glob in self.globs)

    def reaches(self, body: str) -> bool:
        """Whether an allow with this pattern matches some URI that begins as this template does."""
        beginning = uritemplates.beginning(body)
        # Something follows the beginning, so a dot at its end need not be a segment.
        straight = self.glob.literal is not None or uris.read(beginning.partition("/")[2] + "x").crooked is None
        return straight and self.glob.possible(beginning)

    def covers(self, body: str) -> bool:
        """Whether this pattern matches every URI that begins as this template does."""
        return any(glob.certain(uritemplates.beginning(body)) for glob in self.globs)


def allowed(glob: Glob, body: str) -> bool:
    """Whether an allow with this glob matches `upstream/uri`: a wildcard does only what is straight."""
    if not glob.matches(body):
        return False
    upstream, _, text = body.partition("/")
    uri = uris.read(text)
    if glob.literal is not None:
        return not uri.endless
    if uri.crooked is not None:
        return False
    return uri.slashed == text or glob.matches(f"{upstream}/{uri.slashed}")


def _undone(body: str) -> dict[str, None]:
    """The same pattern as it reads without escapes and compatibility forms, host and scheme in lower case."""
    found = _AUTHORITY.match(body)
    lowered = found[0].lower() + body[found.end() :] if found is not None else body
    readings = (lowered, _plain(lowered))
    return dict.fromkeys(one for one in readings if one != body)


def _plain(body: str) -> str:
    # What is quoted, and wildcards, stay as they are; what an escape stands for is quoted if it would be one.
    pieces = _KEPT.split(body)
    pieces[::2] = [_SPECIAL.sub(r"\\\g<0>", uris.straight(piece)) for piece in pieces[::2]]
    return "".join(pieces)
