"""What an upstream is handed of secrets: headers of its requests, variables of its process, and what its kind has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from shim import templates
from shim.errors import SecretUnavailable
from shim.lending import Leased, Need
from shim.units import Block
from shim.upstream.config import SECRETS_IN, UpstreamBlock

_LONGEST_HEADER = 16_384
_NO_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Handed:
    """Headers, their names in lower case, and variables, all with values of secrets in them: never to be shown.

    `values` are those of the secrets alone, by reference: a kind of upstream that has other places for them fills
    those. `fingerprint` tells sessions apart that were handed others.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    fingerprint: bytes = b""


NOTHING = Handed()


class Handing:
    """Fills the headers and variables of an upstream that hold secrets. Knows what is needed for that, and no value.

    `left_out` names those for which no secret is configured.
    """

    def __init__(self, block: UpstreamBlock, secrets: Mapping[str, str] | None = None) -> None:
        """`secrets`: for each name in the templates the secret that stands behind it; None: the one of that name."""
        written = dict(_texts(block))
        filled = {name: text for name, text in written.items() if secrets is None or _names(text) <= secrets.keys()}
        references = dict.fromkeys(one for text in filled.values() for one in templates.references(text))
        self.needs = tuple(_need(reference, secrets) for reference in references)
        self.left_out = tuple(name for name in written if name not in filled)
        self._headers = {name.lower(): text for name, text in filled.items() if name in block.headers}
        self._env = {name: text for name, text in filled.items() if name in block.env}

    def needs_under(self, bind: tuple[tuple[str, str], ...]) -> tuple[Need, ...]:
        """What is needed where other secrets stand behind some of the names."""
        if not bind or not self.needs:
            return self.needs
        bound = dict(bind)
        return tuple(
            replace(need, secret=bound.get(templates.name_of(need.reference), need.secret)) for need in self.needs
        )

    def hand(self, leased: Leased) -> Handed:
        """The values where they go. Raises SecretUnavailable for one that cannot stand there."""
        if not self.needs:
            return NOTHING
        values = leased.values
        for text in self._headers.values():
            for reference in templates.references(text):
                _check_header(reference, values[reference])
        return Handed(
            {name: templates.filled(text, values) for name, text in self._headers.items()},
            {name: templates.filled(text, values) for name, text in self._env.items()},
            values,
            leased.fingerprint,
        )


def _texts(block: UpstreamBlock) -> Iterator[tuple[str, str]]:
    """Every text of a block that holds secrets, by a name for where it stands: that of a header or a variable."""
    for key in sorted(SECRETS_IN):
        for name, text in _texts_in(getattr(block, key), key):
            if templates.references(text):
                yield name.removeprefix(f"{key}.") if key in ("headers", "env") else name, text


def _texts_in(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Block):
        for key in type(value).model_fields:
            yield from _texts_in(getattr(value, key), f"{name}.{key}")
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts_in(one, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for position, one in enumerate(value):
            yield from _texts_in(one, f"{name}.{position + 1}")


def plain(written: Mapping[str, str]) -> Mapping[str, str]:
    """The headers or variables that hold no secret."""
    return {name: text for name, text in written.items() if not templates.references(text)}


def _names(text: str) -> set[str]:
    return {templates.name_of(reference) for reference in templates.references(text)}


def _need(reference: str, secrets: Mapping[str, str] | None) -> Need:
    name = templates.name_of(reference)
    return Need(reference, name if secrets is None else secrets[name], templates.field_of(reference))


def _check_header(reference: str, value: str) -> None:
    # Whatever else stands beside it in the header was checked when the configuration was read.
    why = None
    if _NO_HEADER.search(value):
        why = "it holds a control character, such as the end of a line, which no header can"
    elif len(value) > _LONGEST_HEADER:
        why = f"it is longer than {_LONGEST_HEADER} characters, which is too long for a header"
    if why is not None:
        raise SecretUnavailable(templates.name_of(reference), why)
