"""Which literal texts of a client's configuration are credentials: by the name before them, by their shape.

A guess in doubt is a yes: a text that was none is kept as a secret and reaches its server all the same.
"""

from __future__ import annotations

import re
from dataclasses import replace

from shim.clients.issued import looks_issued
from shim.clients.options import Options
from shim.clients.values import Key, Part, Text, Value, Variable, joined, literal
from shim.record.redact import Redactor, names_secret

_MORE_NAMES = re.compile(
    r"(?:(?:^|[_.-])(?:keys?|pat|pwd|pass|passphrase|auth|dsn|sig|signature|session|jwt|bearer|mnemonic|webhook"
    r"|licen[cs]e)|(?:access|auth|secret|licen[cs]e)key|session[_-]?string|(?:seed|recovery|backup)[_-]?phrase|webhook[_-]?url)\d*$"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SWITCH = re.compile(r"(?:no|use|with|without|enable|disable|require|skip|allow|max)[-_]")

# What stands under a telling name and tells nothing.
_PLAIN = re.compile(r"(?:true|false|yes|no|on|off|none|null|auto|\d{1,3})?", re.IGNORECASE)
_FILE = re.compile(r"(?:~|\.{1,2})?/[\w./@ -]*\.[A-Za-z]\w{0,9}")
_REFERENCE = re.compile(r"\$(?:\w+|\{[^{}]*\})")

_SCHEME = re.compile(r"((?:bearer|basic|token|apikey|digest)[ \t]+)(?=\S)", re.IGNORECASE)
_BEFORE = re.compile(r"--?[A-Za-z][\w.-]*=|[A-Za-z_][\w.-]*=|[A-Za-z][A-Za-z0-9-]*:[ \t]*(?!//)")
_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)")
_INSIDE = re.compile(
    r"(?<![\w.-])(?:--?(?P<flag>[A-Za-z][\w.-]*)[ \t=]+|(?P<name>[A-Za-z_][\w-]*)[\\\"']{0,8}+[ \t]*[=:][ \t]*)"
    r"[\\\"']{0,8}+(?P<value>[^\s\\\"';,$]+)"
)
"""A name and its value, also as JSON has them, and JSON within JSON."""

_USED = re.compile(
    r"(?:(?<![\w-])-{0,2}(?P<before>[A-Za-z][\w-]{0,99})[\"']?[ \t]{0,9}[=:][ \t\"']{0,9}|(?<![^\"' \t]))"
    r"(?P<scheme>(?:bearer|basic|token|apikey)[ \t]{1,9})?\$\{?(?P<variable>[A-Za-z_]\w*)",
    re.IGNORECASE,
)

_ANNOUNCES = re.compile(
    r"(?:(?P<user>://[^/?#\s]*:)|(?P<name>[A-Za-z][\w-]{0,99})[\"']{0,8}[ \t]{0,9}[=:][ \t\"']{0,9}"
    r"(?:(?:bearer|basic|token|apikey)[ \t]{1,9})?)\Z",
    re.IGNORECASE,
)
"""The end of a text after which a credential comes."""

_NESTED = 3
"""Names before a value, one inside the other: `--header=Authorization: …`, `--env=NAME=…`."""

_RANDOM = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_-]{32,4096}={0,2}")
_RUN = re.compile(r"[A-Za-z0-9]{16}")
_HEX = re.compile(r"[0-9a-fA-F]{32,}")
_LONG_RUN = re.compile(r"[A-Za-z0-9]{24,}")
_SWITCHES = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# Also a password with `@`, and one with the characters that end a host: people do not always escape them.
_USER = re.compile(r"(?<=://)(?:[^/?#\s]+(?=@)|[^/?#\s:@]*:(?!\d{1,5}[/?#])\S{1,256}(?=@))")
_ACCOUNT = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_PARAMETER = re.compile(r"(?<=[?&])([^=&#?\s]+)=([^&#\s]+)")
_LINK = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def names_credential(name: str) -> bool:
    """Whether what has this name (a variable, a header, a flag without its dashes, a query parameter) is secret."""
    plain = _HUMP.sub("_", name).casefold()
    return names_secret(plain) or (
        _MORE_NAMES.search(plain) is not None and not plain.endswith(("public_key", "public-key"))
    )


def looks_like_one(text: str) -> bool:
    """Whether a text is, or holds, what looks like a credential whatever it is called."""
    if _SCHEME.match(text) or _has_shape(text) or is_random(text) or _ends_random(text):
        return True
    if _LINK.fullmatch(text):
        return bool(url_keys(text))
    return any(
        names_credential(found["flag"] or found["name"]) and not _PLAIN.fullmatch(found["value"])
        for found in _INSIDE.finditer(text)
    )


def _has_shape(text: str) -> bool:
    return looks_issued(text) or Redactor().redact(text)[1] > 0


def is_random(text: str) -> bool:
    """Whether a text is one long word that nobody would choose. An UUID names things more often than it opens them."""
    if _UUID.fullmatch(text) or not _RANDOM.fullmatch(text.replace(".", "_")):
        return False
    if any(len(_SWITCHES.findall(run)) >= _MOST_SWITCHES for run in _LONG_RUN.findall(text)):
        return True
    return "." not in text and _RUN.search(text) is not None and (_is_mixed(text) or _HEX.fullmatch(text) is not None)


_MOST_SWITCHES = 5
"""Between letters and digits, in what somebody chose."""


def _is_mixed(text: str) -> bool:
    return text.lower() != text and text.upper() != text


def _ends_random(text: str) -> bool:
    # `123456:AA…`, `ID:SECRET`. A path may end so as well, and an image has its commit there, in small letters.
    before, _, last = text.rpartition(":")
    return bool(before) and "://" not in text and "@" not in before and _is_mixed(last) and is_random(last)


def in_member(
    value: Value, name: str, wanted: str, *, known: frozenset[str] = frozenset(), used: frozenset[str] = frozenset()
) -> Value:
    """The value of a variable or header of this name, its credentials made keys, its variables told to be secret.

    `known` are keys found elsewhere. `used` are names that stand where a credential would (`used_as_keys`).
    """
    text, named = literal(value), name in used or names_credential(name)
    if text is None:
        return _in_pieces(value, wanted, known, named=named)
    return _found(text, wanted, named=named, known=known)


def used_as_keys(words: tuple[Value, ...]) -> frozenset[str]:
    """The variables that a server puts into its own command line where a credential would stand.

    So `Authorization: Bearer ${MINE}` tells what `MINE` is.
    """
    names: set[str] = set()
    flag: str | None = None
    for text in map(literal, words):
        for found in _USED.finditer(text or ""):
            if found["scheme"] or names_credential(found["before"] or flag or ""):
                names.add(found["variable"])
        option = _FLAG.fullmatch(text or "")
        flag = option[1] if option is not None else None
    return frozenset(names)


def in_words(words: tuple[Value, ...], wanted: str, *, known: frozenset[str] = frozenset()) -> tuple[Value, ...]:
    """The words of a command line, their credentials made keys. `wanted` goes before what the word is called."""
    result: list[Value] = []
    flag: str | None = None
    after_option = False
    options = Options()
    for value in words:
        text = literal(value)
        if text is None:
            result.append(_in_pieces(value, wanted, known, named=flag is not None))
            flag, after_option = None, False
            continue
        password = options.password_in(text)
        options.see(text)
        if password is not None:
            result.append(joined([Text(text[:password]), Key(text[password:], f"{wanted}-password")]))
            flag, after_option = None, False
            continue
        option = _FLAG.fullmatch(text)
        if flag is not None and not (option is not None and (text.startswith("--") or len(text) == 2)):
            result.append(_found(text, f"{wanted}-{flag}", named=True, known=known))
            flag, after_option = None, False
            continue
        is_telling = option is not None and names_credential(option[1]) and not _SWITCH.match(option[1].casefold())
        flag = option[1] if option is not None and is_telling else None
        # What an UUID is, its option says; alone it is more often a key than a thing.
        is_lone = _UUID.fullmatch(text) is not None and not after_option
        result.append((Key(text, wanted),) if is_lone else _in_word(text, wanted, known))
        after_option = option is not None
    return tuple(result)


def _in_word(text: str, wanted: str, known: frozenset[str]) -> Value:
    """One word: `--flag=value`, `NAME=value`, `Header: value`, one inside the other, or a value alone."""
    at, named = 0, False
    for _ in range(_NESTED):
        before = _BEFORE.match(text, at)
        if before is None or not text[before.end() :].strip("="):
            break
        name = before[0].rstrip(" \t").rstrip("=:")
        at = before.end()
        if names_credential(name):
            named, wanted = True, f"{wanted}-{name.strip('-')}"
    if not named and looks_issued(text) and not looks_issued(text[at:]):
        # `jdbc:oracle:thin:…`: what was taken for names belongs to it.
        return (Key(text, wanted),)
    return joined([Text(text[:at]), *_found(text[at:], wanted, named=named, known=known)])


def in_url(value: Value, wanted: str, *, known: frozenset[str] = frozenset()) -> Value:
    """The parts of an address, its credentials made keys: user and password, parameters, steps of the path."""
    result: list[Part] = []
    for part in value:
        if not isinstance(part, Text):
            result.append(part)
            continue
        at = 0
        for start, end in url_keys(part.text, known):
            result += [Text(part.text[at:start]), Key(part.text[start:end], wanted)]
            at = end
        result.append(Text(part.text[at:]))
    return joined(result)


def user_of(url: str) -> str | None:
    """User and password of an address as they stand before its `@`; None where there are none."""
    found = _USER.search(url)
    return found[0] if found is not None else None


def url_keys(text: str, known: frozenset[str] = frozenset()) -> list[tuple[int, int]]:
    """Where credentials stand in the text of an address, in order."""
    spans = [found.span() for found in _USER.finditer(text) if not _ACCOUNT.fullmatch(found[0]) or _has_shape(found[0])]
    scheme = text.find("://")
    begin = text.find("/", scheme + 3) if scheme >= 0 else 0
    end = len(re.split(r"[?#]", text, maxsplit=1)[0])
    spans += [
        (begin + step.start(), begin + step.end())
        for step in re.finditer(r"[^/]+", text[begin:end] if begin >= 0 else "")
        if is_random(step[0]) or _has_shape(step[0]) or _is_known(step[0], known)
    ]
    for found in _PARAMETER.finditer(text, end):
        telling = names_credential(found[1]) and not _PLAIN.fullmatch(found[2])
        if telling or is_random(found[2]) or _has_shape(found[2]) or _is_known(found[2], known):
            spans.append(found.span(2))
    return spans


def holds_id(url: str) -> bool:
    """Whether a step of an address is an UUID, which may open what it names: that nobody can tell by its looks."""
    return any(map(_UUID.fullmatch, re.split(r"[/?#]", url)))


def _found(text: str, wanted: str, *, named: bool, known: frozenset[str]) -> Value:
    telling = named and not _PLAIN.fullmatch(text) and not _FILE.fullmatch(text)
    if not text or _REFERENCE.fullmatch(text) or not (telling or _is_known(text, known) or looks_like_one(text)):
        return joined([Text(text)])
    scheme = _SCHEME.match(text)
    at = scheme.end() if scheme is not None else 0
    if _REFERENCE.fullmatch(text, at):
        return joined([Text(text)])
    return joined([Text(text[:at]), Key(text[at:], wanted)])


def _in_pieces(value: Value, wanted: str, known: frozenset[str], *, named: bool) -> Value:
    # Between what the client puts in, a name tells nothing of the text; beside a key that was found, nor does shape.
    is_fresh = not any(isinstance(part, Key) for part in value)

    def found(part: Part, before: Part | None, after: Part | None) -> Part:
        if isinstance(part, Variable):
            telling = named or names_credential(part.name) or _announces(before, after)
            return replace(part, secret=part.secret or telling)
        if isinstance(part, Text) and (_is_known(part.text, known) or (is_fresh and looks_like_one(part.text))):
            return Key(part.text, wanted)
        return part

    return tuple(map(found, value, (None, *value), (*value[1:], None)))


def _announces(before: Part | None, after: Part | None) -> bool:
    # `postgres://user:…@`, `--header=X-Api-Key: …`, `Server=host;Password=…`
    ending = _ANNOUNCES.search(before.text) if isinstance(before, Text) else None
    if ending is None:
        return False
    if ending["user"]:
        return isinstance(after, Text) and after.text.startswith("@")
    return names_credential(ending["name"])


_ALONE, _WITHIN = 8, 12
"""How long a key is to be known again where it is all of a text, and within one; shorter ones are words as well."""


def _is_known(text: str, known: frozenset[str]) -> bool:
    return (len(text) >= _ALONE and text in known) or any(key in text for key in known if len(key) >= _WITHIN)
