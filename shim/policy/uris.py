"""Ways to spell a URI so that it reads like one and is taken for another.

Servers disagree on what they undo before they look at a path: layers of percent escapes, overlong UTF-8, compatibility
forms of Unicode, `;parameters`, backslashes, control characters, dot segments. Policy does not guess which: a crooked
URI is matched by no wildcard of an allow, and a deny holds for everything that any of these readings makes of it.

Sources: RFC 3986, sections 3.3, 5.2.4 and 6.2; RFC 3629, section 10 (overlong forms); Unicode Technical Report 36,
section 3 (non-visual security); the WHATWG URL Standard, "basic URL parser" (backslashes, tabs, empty hosts).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_URI = 2048
"""A longer URI is matched by nothing, so that looking at one of megabytes costs nothing."""

_MAX_ROUNDS = 8
_MAX_LAYERS = 24
_MAX_FORMS = 96

# What NFKC leaves alone although file systems and code pages take it for `/`, `\` or `.`.
_LOOKALIKES = str.maketrans(
    {
        "\u2044": "/",  # fraction slash
        "\u2215": "/",  # division slash
        "\u29f8": "/",  # big solidus
        "\u2571": "/",  # box drawings diagonal
        "\u2216": "\\",  # set minus
        "\u29f5": "\\",  # reverse solidus operator
        "\u29f9": "\\",  # big reverse solidus
        "\u2572": "\\",  # box drawings diagonal
        "\u00a5": "\\",  # yen sign, in code page 932
        "\u20a9": "\\",  # won sign, in code page 949
        "\u3002": ".",  # ideographic full stop
    }
)
_UNPRINTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_HEX = "[0-9A-Fa-f]"
_ESCAPES = re.compile(f"(?:%{_HEX}{{2}})+")
_WIDE_ESCAPE = re.compile(f"%[uU]({_HEX}{{4}})")
_LAYERED = re.compile(f"%(?:25)+(?={_HEX}{{2}}|[uU]{_HEX}{{4}})")
_AN_ESCAPE = re.compile(f"%(?:{_HEX}{{2}}|[uU]{_HEX}{{4}})")
_ESCAPED_SLASH = re.compile("%2[fF]")
_DOTS = re.compile(r"(?:^|[/\\?#&=;:,])(?= *\.)[. ]++(?=$|[/\\?#&=;:,])")
# What nearly every URI looks like: one way to read it, and nothing to undo.
_PLAIN = re.compile(
    r"""(?: file:/// (?!/)
          | (?!file:) [a-z][a-z0-9+-]*:// [a-z0-9-]+ (?:\.[a-z0-9-]+)* (?: /(?!/) | $ )
          | (?! (?:https?|file|wss?|ftp): ) [a-z][a-z0-9+-]*: (?!//)
        )
        (?: [A-Za-z0-9_~!$'()*+,@:-] | /(?!/) | \.(?=[A-Za-z0-9_]) )*""",
    re.VERBOSE,
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HIERARCHICAL = re.compile(r"(//[^/?#]*)?(.*)", re.DOTALL)
_SPECIAL = frozenset({"http", "https", "ws", "wss", "ftp", "file"})
_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443", "ftp": ":21"}
_PARAMETERS = re.compile(r";[^/?#]*")
_TRAILING = re.compile(r"(?<=[^/. ])[. ]++(?=/|$)")
_SLASHES = re.compile("/{2,}")


@dataclass(frozen=True, slots=True)
class Uri:
    """How one URI can be read.

    `crooked` says why no wildcard of an allow may match it (None: one may). `slashed` is the URI with its escaped
    slashes as slashes: what a wildcard must match besides, since `*` stops at them. `forms` are the other URIs that
    some server takes it for: what a deny matches besides. `endless`: nobody knows what it means, so nothing may match.
    """

    text: str
    crooked: str | None
    slashed: str
    forms: tuple[str, ...]
    endless: bool = False


@lru_cache(maxsize=16)
def read(text: str) -> Uri:
    """How `text` can be read. Costs little for what has nothing odd in it, and is bounded for what has.

    One request asks for each pattern, each upstream and each of its identity's groups: what was read last is kept.
    """
    if len(text) > MAX_URI:
        return Uri(text, "it is too long", text, (), endless=True)
    if _PLAIN.fullmatch(text) and not _DOTS.search(text):
        return Uri(text, None, text, ())
    layers = _layers(text)
    if layers is None:
        return Uri(text, "it has too many layers of escapes, or grows with them", text, (), endless=True)
    forms = dict.fromkeys(form for layer in layers for form in _readings(layer))
    # Dot segments may be taken out before escapes are undone, and leave others than after.
    for late in {straight(form) for form in forms} - forms.keys():
        forms.update(dict.fromkeys(_readings(late)))
    forms.pop(text, None)
    if len(forms) > _MAX_FORMS:
        return Uri(text, "it can be read in too many ways", text, (), endless=True)
    return Uri(text, _why_crooked(text, layers), _ESCAPED_SLASH.sub("/", text), tuple(forms))


def straight(text: str) -> str:
    """A text with every escape undone, in compatibility form: how patterns are compared with readings."""
    for _ in range(_MAX_ROUNDS):
        undone = _composed(_decoded(_LAYERED.sub("%", text)))
        if undone == text:
            break
        text = undone
    return text


def _why_crooked(text: str, layers: list[str]) -> str | None:
    if text != text.strip():
        return "it begins or ends with white space"
    if _LAYERED.search(text) or _WIDE_ESCAPE.search(text):
        return "it has a second layer of escapes"
    if any(_broken(run[0]) for run in _ESCAPES.finditer(text)):
        return "its escapes are not UTF-8"
    decoded = _decoded(text)
    if _AN_ESCAPE.search(decoded):
        return "it has a second layer of escapes"
    if any(_is_disguise(character) for character in set(decoded) if not character.isascii()):
        return "it has a character that stands for another one"
    for layer in layers:
        if "\\" in layer:
            return "it has a backslash"
        if any(unicodedata.category(character) in _UNPRINTED for character in set(layer)):
            return "it has a control character"
        if _DOTS.search(layer):
            return "it has dot segments"
    return None


def _is_disguise(character: str) -> bool:
    plain = unicodedata.normalize("NFKC", character).translate(_LOOKALIKES)
    return plain != character and any(one.isascii() for one in plain)


def _layers(text: str) -> list[str] | None:
    """The text as sent, and after each layer of escapes that can be undone; None where that does not end, or grows."""
    waiting, found = [text], [text]
    for _ in range(_MAX_ROUNDS):
        undone = dict.fromkeys(one for layer in waiting for one in _undone(layer))
        waiting = [one for one in undone if one not in found]
        if not waiting:
            return found
        found += waiting
        # One character can stand for eighteen: what grows so is not looked at further.
        if len(found) > _MAX_LAYERS or any(len(one) > MAX_URI for one in waiting):
            break
    return None


def _undone(text: str) -> Iterator[str]:
    flat = _LAYERED.sub("%", text)
    yield _composed(flat)
    yield _composed(_decoded(flat))
    if any(_broken(run[0]) for run in _ESCAPES.finditer(flat)):
        yield _composed(_decoded(flat, masked=True))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_LOOKALIKES)


def _decoded(text: str, *, masked: bool = False) -> str:
    text = _WIDE_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return _ESCAPES.sub(lambda run: _lenient(_bytes(run[0]), masked=masked), text)


def _bytes(run: str) -> bytes:
    return bytes.fromhex(run.replace("%", ""))


def _broken(run: str) -> bool:
    try:
        _bytes(run).decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _lenient(data: bytes, *, masked: bool) -> str:
    """UTF-8 as the most forgiving decoder reads it: overlong forms and those of five and six bytes are characters.

    What is no sequence at all is dropped, or, `masked`, put together from the bits that are there.
    """
    text: list[str] = []
    at = 0
    while at < len(data):
        lead = data[at]
        length = _length(lead)
        rest = data[at + 1 : at + length]
        whole = len(rest) == length - 1 and (masked or all(byte & 0xC0 == 0x80 for byte in rest))
        if not length or not whole:
            at += 1
            continue
        point = lead if length == 1 else lead & (0x7F >> length)
        for byte in rest:
            point = point << 6 | (byte & 0x3F)
        text.append(chr(point) if point <= 0x10FFFF else "")
        at += length
    return "".join(text)


def _length(lead: int) -> int:
    """How many bytes a sequence has that begins so; 0 for a byte that begins none."""
    if lead < 0x80:
        return 1
    for length, bound in ((0, 0xC0), (2, 0xE0), (3, 0xF0), (4, 0xF8), (5, 0xFC), (6, 0xFE)):
        if lead < bound:
            return length
    return 0


def _readings(text: str) -> Iterator[str]:
    yield text
    cut = text.partition("\0")[0]
    for visible in dict.fromkeys((_visible(text), _visible(cut))):
        slashed = visible.replace("\\", "/")
        for one in dict.fromkeys((slashed, _PARAMETERS.sub("", slashed))):
            scheme, authority, rest = _parts(one)
            if scheme is None:
                continue
            begin = f"{scheme}:{authority}"
            path, query = _split(rest)
            dropped, as_path = _resolved(path), _resolved(rest)
            for end in (dropped, dropped + query, as_path):
                yield begin + end
                yield begin + _TRAILING.sub("", end)


def _visible(text: str) -> str:
    return "".join(one for one in text if unicodedata.category(one) not in _UNPRINTED).strip()


def _parts(text: str) -> tuple[str | None, str, str]:
    """Scheme in lower case, `//` and the authority as everybody writes it, and the rest."""
    found = _SCHEME.match(text)
    if found is None:
        return None, "", text
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme in _SPECIAL:
        # As browsers' parsers have it: however many slashes; only a file may lack a host.
        if scheme == "file" and not rest.startswith("//"):
            rest = "///" + rest.lstrip("/")
        elif scheme != "file":
            rest = "//" + rest.lstrip("/")
        elif rest.startswith("///"):
            rest = "///" + rest.lstrip("/")
    split = _HIERARCHICAL.fullmatch(rest)
    authority, rest = (split[1] or "", split[2]) if split is not None else ("", rest)
    host = authority.rpartition("@")[2].removeprefix("//").lower().removesuffix(_PORTS.get(scheme, "\0")).rstrip(".")
    if scheme == "file" and host == "localhost":
        host = ""
    return scheme, f"//{host}" if authority else "", rest


def _split(rest: str) -> tuple[str, str]:
    at = min((found for mark in "?#" if (found := rest.find(mark)) >= 0), default=len(rest))
    return rest[:at], rest[at:]


def _resolved(path: str) -> str:
    """Without dot segments and empty ones (RFC 3986, section 5.2.4)."""
    path = _SLASHES.sub("/", path)
    kept: list[str] = []
    segments = path.split("/")
    for place, segment in enumerate(segments):
        bare = segment.strip()
        last = place == len(segments) - 1
        if bare == "..":
            if kept and kept != [""]:
                kept.pop()
        elif bare != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/".join(kept)
