"""Taking what a child was handed out of what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote

_SHORTEST = 8
"""Characters of a variable, or of one line of a value, that are worth hiding; a whole secret always is."""


class Hiding:
    """Called with a line, gives it without the secrets and variables of one child, and without what `known` takes out.

    A variable is found as it is, percent-encoded, as JSON writes it, and each of its lines alone, because what a child
    says is read line by line; secrets of any length likewise. What else there is of secrets, in all other writings
    too, is for `known` to find, which sees one line after the other.
    """

    def __init__(self, secrets: Mapping[str, str], variables: Mapping[str, str], known: Callable[[str], str]) -> None:
        """`secrets` by reference, `variables` by name: that is what stands in their place."""
        self._known = known
        self._named: dict[str, str] = {}
        for name, value in variables.items():
            self._add(f"[env:{name}]", value, _SHORTEST)
        for reference, value in secrets.items():
            self._add(f"[secret:{reference}]", value, 1)
        # The longest first: a shorter one may be a part of it.
        self._forms = sorted(self._named.items(), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> str:
        for form, name in self._forms:
            if form in text:
                text = text.replace(form, name)
        return self._known(text)

    def _add(self, name: str, value: str, shortest: int) -> None:
        # A variable may hold bytes that are no text.
        percent = quote(value, safe="", errors="surrogatepass")
        for form in (value, percent, percent.replace("%20", "+"), json.dumps(value)[1:-1]):
            if len(form) >= shortest:
                self._named[form] = name
        for line in _lines(value):
            self._named[line] = name


def _lines(value: str) -> Iterator[str]:
    for line in value.splitlines():
        if len(line.strip()) >= _SHORTEST:
            yield line.strip()
