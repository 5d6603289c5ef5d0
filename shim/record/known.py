"""Text that looks like a credential whoever issued it: bearer headers, cloud keys, private key blocks.

Every expression is tried only where its marker occurs, and takes time linear in the text: no repetition is followed
by something that could make it give back, and where a run of characters can be long, a match may not begin inside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

REDACTED = "[redacted]"

_BEGIN_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END_KEY = re.compile(r"-----END [A-Z0-9 ]{0,40}-----")
_PLAIN_WORD = re.compile(r"[a-z]{1,40}\.?")


def _bearer(match: re.Match[str]) -> str:
    # "bearer instruments" is prose. A token has digits, capitals or punctuation, or the scheme has its capital.
    is_prose = match[1].startswith("b") and _PLAIN_WORD.fullmatch(match[2])
    return match[0] if is_prose else match[1] + REDACTED


def _all(_: re.Match[str]) -> str:
    return REDACTED


def _after_name(match: re.Match[str]) -> str:
    return match[1] + REDACTED


_Form: TypeAlias = tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]]

# Between a name and its value, however deep in quoted and escaped text both are.
_GAP = r"[\\\"'\s]{0,32}+"
_IS = rf"{_GAP}(?::|=>?){_GAP}"
_SCHEME = r"(?:bearer|basic|token)\\{0,16}+\s{1,16}+[\\\"']{0,16}+"
_VALUE = r"[^\s\"'\\,;<>]++"

_ANY_CASE: tuple[_Form, ...] = tuple(
    (marker, re.compile(pattern, re.ASCII | re.IGNORECASE), replace)
    for marker, pattern, replace in (
        ("authorization", rf"(authorization{_IS}{_SCHEME}){_VALUE}", _after_name),
        ("bearer", r"(\bbearer\s{1,16}+)([A-Za-z0-9._~+/=-]{8,}+)", _bearer),
        ("accountkey", rf"(accountkey{_IS}){_VALUE}", _after_name),
        ("sharedaccesskey", rf"(sharedaccesskey{_IS}){_VALUE}", _after_name),
        ("secret", rf"(aws_?secret_?access_?key{_IS})[A-Za-z0-9+/]{{40}}", _after_name),
    )
)
"""What has a name before it, which is written in any case: the marker is looked for in the text in lower case."""

_FORMS: tuple[_Form, ...] = tuple(
    (marker, re.compile(pattern, re.ASCII), replace)
    for marker, pattern, replace in (
        ("mcpshim_", r"mcpshim_[A-Za-z0-9_-]{43}", _all),
        ("AKIA", r"\bAKIA[A-Z0-9]{16}\b", _all),
        ("ASIA", r"\bASIA[A-Z0-9]{16}\b", _all),
        ("AIza", r"(?<![\w-])AIza[A-Za-z0-9_-]{35}", _all),
        ("ya29.", r"(?<![\w-])ya29\.[A-Za-z0-9_-]{20,}+", _all),
        ("gh", r"(?<!\w)gh[pousr]_[A-Za-z0-9]{36,}+", _all),
        ("github_pat_", r"(?<!\w)github_pat_[A-Za-z0-9_]{22,}+", _all),
        ("glpat-", r"(?<![\w-])glpat-[A-Za-z0-9_-]{20,}+", _all),
        ("xox", r"(?<![\w-])xox[abeoprs]-[A-Za-z0-9-]{10,}+", _all),
        ("sk", r"(?<![\w-])sk[-_][A-Za-z0-9_-]{20,}+", _all),
        ("rk_", r"(?<![\w-])rk_(?:live|test)_[A-Za-z0-9]{16,}+", _all),
        ("npm_", r"(?<!\w)npm_[A-Za-z0-9]{36}", _all),
        ("pypi-", r"(?<![\w-])pypi-[A-Za-z0-9_-]{50,}+", _all),
        ("hv", r"(?<![\w.-])hv[sbr]\.[A-Za-z0-9_-]{20,}+", _all),
        ("eyJ", r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+", _all),
        ("://", r"(://)[^\s:/@\"']{1,128}:[^\s/@\"']{1,256}(?=@)", _after_name),
    )
)


def without_credentials(text: str) -> tuple[str, int]:
    """The text with what looks like a credential replaced, and how many were."""
    count = 0
    if "PRIVATE KEY" in text:
        text, count = _without_keys(text)
    lower = text.lower()
    due = [form for form in _ANY_CASE if form[0] in lower] + [form for form in _FORMS if form[0] in text]
    for _, pattern, replace in due:
        before = text
        text = pattern.sub(replace, text)
        if text != before:
            count += max(1, text.count(REDACTED) - before.count(REDACTED))
    return text, count


def harmless(text: str) -> str:
    """The text with what looks like a credential replaced."""
    return without_credentials(text)[0]


def _without_keys(text: str) -> tuple[str, int]:
    # By hand: a lazy "anything up to END" would run to the end of the text once for every BEGIN without one.
    kept: list[str] = []
    position = count = 0
    while (begin := _BEGIN_KEY.search(text, position)) is not None:
        kept += [text[position : begin.start()], REDACTED]
        count += 1
        end = _END_KEY.search(text, begin.end())
        position = end.end() if end is not None else len(text)
    kept.append(text[position:])
    return "".join(kept), count
