"""Which identity the claims of a JWT are.

A claim is the issuer's, but often the person's own choice behind that (a nickname, an address). So what a claim puts
into a name is held to a narrow set of characters, without `:`; a name that is made so begins with `NAME:`, which no
configured name has, and no two templates begin with the same. Nobody can be named like another, whatever they claim.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shim.errors import Unauthenticated
from shim.identity.config import IdentityBlock
from shim.model import Identity, Json, JsonObject

_PLACE = re.compile(r"\{claims\.([^{}]{1,256})\}")
_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._@-]{0,127}):")
_LITERAL = re.compile(r"[A-Za-z0-9._@:-]*")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+=|~-]{0,127}")
_MOST_DIGITS: Final = 20
_RESERVED: Final = frozenset({"group", "resource", "prompt", "claims", "local", "anonymous", "jwt"})

EXAMPLE: Final = 'write "staff:{claims.email}"'


@dataclass(frozen=True, slots=True)
class Template:
    """A name with places for claims. `parts` are texts and, at odd places, the claims between them."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Template:
        """The template that a text writes. Raises ValueError with what would be right."""
        parts = tuple(_PLACE.split(text))
        literals = parts[::2]
        if len(parts) == 1:
            raise ValueError(f"a name without a claim would be the same for everyone; {EXAMPLE}")
        if not all(_LITERAL.fullmatch(literal) for literal in literals):
            raise ValueError(f"around its claims a name has letters, digits and `. _ @ - :`; {EXAMPLE}")
        prefix = _PREFIX.match(literals[0])
        if prefix is None:
            raise ValueError(f"a name begins with a text of its own and `:`, as no configured name does; {EXAMPLE}")
        if prefix[1] in _RESERVED:
            raise ValueError(f"`{prefix[1]}:` means something else; {EXAMPLE}")
        if not all(":" in literal for literal in literals[1:-1]):
            raise ValueError("two claims of a name need a `:` between them: without it two persons could have one name")
        return cls(parts)

    @property
    def prefix(self) -> str:
        """What tells the names of this template from all others."""
        return self.parts[0].partition(":")[0]

    def name(self, claims: Mapping[str, Json]) -> str:
        """The name that these claims make. Raises Unauthenticated where one is missing or cannot stand in a name."""
        return "".join(part if place % 2 == 0 else _value(claims, part) for place, part in enumerate(self.parts))

    def could_name(self, name: str) -> bool:
        """Whether some claims make this name."""
        pieces = (re.escape(part) if place % 2 == 0 else _VALUE.pattern for place, part in enumerate(self.parts))
        return re.fullmatch("".join(pieces), name) is not None


def _value(claims: Mapping[str, Json], name: str) -> str:
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MOST_DIGITS:
        return str(value)
    if value is None:
        raise Unauthenticated(f"a JWT without the claim {name}, which the name of its identity needs")
    if not isinstance(value, str) or _VALUE.fullmatch(value) is None:
        raise Unauthenticated(f"a JWT whose claim {name} cannot stand in the name of an identity")
    return value


@dataclass(frozen=True, slots=True)
class _Rule:
    wanted: Mapping[str, str]
    template: Template | None
    identity: Identity

    def matches(self, claims: Mapping[str, Json]) -> bool:
        return all(_has(claims.get(name), value) for name, value in self.wanted.items())

    def named(self, name: str, claims: JsonObject) -> Identity:
        return Identity(name, self.identity.groups, claims, self.identity.runs)


class People:
    """The identities that JWTs prove. Keeps nothing of those who come."""

    def __init__(self, identities: Mapping[str, IdentityBlock]) -> None:
        self._rules = tuple(_rules(identities.items()))

    def identity(self, claims: JsonObject) -> Identity:
        """Who these claims are. Raises Unauthenticated unless they are exactly one."""
        found = [rule for rule in self._rules if rule.matches(claims)]
        if not found:
            raise Unauthenticated("a JWT that is no identity's")
        if len(found) > 1:
            raise Unauthenticated("a JWT that more than one identity asks for")
        rule = found[0]
        return rule.named(rule.template.name(claims) if rule.template is not None else rule.identity.name, claims)

    def person(self, name: str) -> Identity | None:
        """The identity of somebody who would have this name by a template, without claims; None: nobody would."""
        for rule in self._rules:
            if rule.template is not None and rule.template.could_name(name):
                return rule.named(name, {})
        return None


def groups_of(name: str, block: IdentityBlock) -> tuple[str, ...]:
    """The groups of a block's identity; the persons of a template are also in the group that has its name."""
    if block.name is None or name in block.groups:
        return block.groups
    return (*block.groups, name)


def _rules(identities: Iterable[tuple[str, IdentityBlock]]) -> Iterable[_Rule]:
    for name, block in identities:
        if block.jwt:
            template = Template.of(block.name) if block.name is not None else None
            yield _Rule(block.jwt, template, Identity(name, groups_of(name, block), runs=block.runs))


def _has(claim: Json, wanted: str) -> bool:
    if isinstance(claim, list):
        return any(_is(one, wanted) for one in claim)
    return _is(claim, wanted)


def _is(value: Json, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == ("true" if value else "false")
    if isinstance(value, int):
        return -(10**_MOST_DIGITS) < value < 10**_MOST_DIGITS and wanted == str(value)
    return isinstance(value, str) and value == wanted
