"""`secret_sources:` and `secrets:` of the configuration: where credentials come from, and what is asked for there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, create_model, model_validator
from pydantic.fields import FieldInfo

from shim import templates
from shim.model import Scope
from shim.secrets import aws_sts, command, env, file, github_app, keyring, oauth, oauth_blocks, user, vault
from shim.secrets.source import Around, Source
from shim.units import Block, Duration, SecretName

_OF_A_CALL = re.compile(r"\{(?:tool|invocation|arguments\.[^{}]*)\}")
_LONGEST = 10 * 365 * 86400
_CLAIM = re.compile(r"\{claims\.([^{}]+)\}")
_OF_A_CALLER = re.compile(r"\{(?:identity|claims\.[^{}]*|tool|invocation|arguments\.[^{}]*)\}")


def _dated(seconds: float) -> float:
    # The end of a lease has to be a date: else a credential is issued that nobody can keep, and nobody ends.
    if seconds > _LONGEST:
        raise ValueError("no lease lasts longer than 3650d; leave `ttl` out where its source says when it ends")
    return seconds


class Nothing(Block):
    """What a source that is there without being declared is told."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source: the keys that its secrets have and must have, and whether they have fields.

    `where` are the keys of a declared source; None: it is there without being declared. `fills`: whether texts of its
    secrets may hold `{identity}` and its like. `lasts`: whether what a secret with these keys has lives until somebody
    changes it. `misfit` says what is wrong with a secret at one such source.
    """

    keys: type[Block]
    required: tuple[str, ...]
    has_fields: bool
    make: Callable[[str, Any, Around], Source[Any]]
    where: type[Block] | None = None
    fills: bool = False
    lasts: Callable[[Any], bool] = lambda _: False
    misfit: Callable[[Any, Any], str | None] = lambda _keys, _where: None


def _always(_: object) -> bool:
    return True


KINDS: Mapping[str, Kind] = {
    "env": Kind(
        env.Keys, ("name",), has_fields=False, make=lambda _name, _where, around: env.Env(around), lasts=_always
    ),
    "file": Kind(
        file.Keys,
        ("path",),
        has_fields=True,
        make=lambda *_: file.File(),
        fills=True,
        lasts=_always,
    ),
    "keyring": Kind(
        keyring.Keys, ("service", "user"), has_fields=False, make=lambda *_: keyring.Keyring(), lasts=_always
    ),
    "vault": Kind(
        vault.Keys, ("path",), has_fields=True, make=vault.Vault, where=vault.Where, fills=True, lasts=vault.is_kept
    ),
    "oauth": Kind(
        oauth_blocks.Keys,
        ("grant",),
        has_fields=True,
        make=oauth.OAuth,
        where=oauth_blocks.Where,
        fills=True,
        misfit=oauth_blocks.misfit,
    ),
    "command": Kind(
        command.Keys, ("run",), has_fields=True, make=command.Command, where=command.Where, fills=True, lasts=_always
    ),
    "aws-sts": Kind(aws_sts.Keys, ("role_arn",), has_fields=True, make=aws_sts.AwsSts, where=aws_sts.Where, fills=True),
    "github-app": Kind(
        github_app.Keys,
        ("installation", "permissions"),
        has_fields=True,
        make=github_app.GitHubApp,
        where=github_app.Where,
        fills=True,
    ),
    "user": Kind(user.Keys, ("prompt",), has_fields=False, make=user.User, where=user.Where, lasts=_always),
}
"""By the name that `type`, or of an undeclared one `source`, has for it. A new source is a file, a line here, and its
keys among those of the blocks below."""

UNDECLARED = tuple(name for name, kind in KINDS.items() if kind.where is None)


def _fields(key: str) -> list[FieldInfo]:
    """What each kind of declared source has under a key."""
    wheres = [kind.where.model_fields for kind in KINDS.values() if kind.where is not None]
    return [fields[key] for fields in wheres if key in fields]


if TYPE_CHECKING:
    _EveryWhere = Block
else:
    # Which of them are required, and what is wrong between them, is for the kind's own block to say.
    _EveryWhere = create_model(
        "EveryWhere",
        __base__=Block,
        **{
            key: (
                Annotated[field.annotation, "of its kind", *field.metadata] | None,
                # One that is secret for one kind is shown for none.
                Field(None, repr=all(other.repr for other in _fields(key))),
            )
            for kind in KINDS.values()
            if kind.where is not None
            for key, field in kind.where.model_fields.items()
        },
    )


class SourceBlock(_EveryWhere):
    """One declared source: its kind, and that kind's keys."""

    type: Annotated[str, Field(json_schema_extra={"enum": [name for name, kind in KINDS.items() if kind.where]})]

    @model_validator(mode="after")
    def _of_its_kind(self) -> SourceBlock:
        kind = KINDS.get(self.type)
        if kind is None or kind.where is None:
            known = ", ".join(name for name, one in KINDS.items() if one.where is not None) or "none yet"
            if self.type in UNDECLARED:
                raise ValueError(f"`type` {self.type} is a source without being declared; name it under `secrets:`")
            raise ValueError(f"`type` is none of the kinds of source that there are ({known})")
        _only(self, kind.where, {"type"}, f"a source of type {self.type}")
        return self

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    def where(self) -> Block:
        """The keys of its kind, as that kind's own block. Raises pydantic's ValidationError."""
        assert self.kind.where is not None
        return self.kind.where.model_validate(_written(self, {"type"}))


class SecretBlock(
    env.Keys,
    file.Keys,
    keyring.Keys,
    vault.Keys,
    oauth_blocks.Keys,
    command.Keys,
    aws_sts.Keys,
    github_app.Keys,
    user.Keys,
):
    """One named credential: its source, what that is asked by, how long a lease of it lasts, and for what.

    `ttl` is in seconds. `public` names fields that are no secret: they are not scrubbed, and may be short.
    """

    source: SecretName
    ttl: Annotated[Duration, Field(gt=0), AfterValidator(_dated)] | None = None
    scope: Scope = "call"
    public: tuple[Annotated[str, StringConstraints(pattern=f"^{templates.FIELD}$")], ...] = ()

    @model_validator(mode="after")
    def _of_its_source(self) -> SecretBlock:
        if self.source in UNDECLARED:
            self.check(KINDS[self.source])
        return self

    def check(self, kind: Kind) -> None:
        """Raises ValueError, with the key first, where it is no secret of this kind."""
        _only(self, kind.keys, _GENERAL, f"a secret of source {self.source}")
        for key in kind.required:
            if getattr(self, key) is None:
                raise ValueError(f"`{key}` is missing; a secret of source {self.source} is asked for by it")
        for key, text in _texts(self, _GENERAL):
            of_a_caller, of_a_call = _OF_A_CALLER.search(text), _OF_A_CALL.search(text)
            # As text it would be one secret for everybody, and whoever wrote it means one for each.
            if of_a_caller and not kind.fills:
                raise ValueError(
                    f"`{key}` holds {of_a_caller[0]}, which a secret of source {self.source} cannot fill; "
                    "write a secret for each, or one for all"
                )
            if of_a_call and self.scope != "call":
                raise ValueError(
                    f"`{key}` holds {of_a_call[0]}, which differs from call to call, and `scope` is {self.scope}: "
                    "write `scope: call`, or take it out"
                )
        if self.public and not kind.has_fields:
            raise ValueError(f"`public` names fields, and a secret of source {self.source} has none; take it out")

    @property
    def is_given(self) -> bool:
        """Whether each person gives their own."""
        return self.prompt is not None or self.grant == "authorization_code"

    @property
    def is_of_a_caller(self) -> bool:
        """Whether it is another for each caller, so that reading a catalog cannot use it."""
        return (
            self.is_given
            or self.grant == "token_exchange"
            or any(_OF_A_CALLER.search(text) for _, text in _texts(self, _GENERAL))
        )

    @property
    def claims(self) -> frozenset[str]:
        """The claims of a caller by which it is asked for."""
        return frozenset(name for _, text in _texts(self, _GENERAL) for name in _CLAIM.findall(text))

    def is_by_token(self, source: SourceBlock) -> bool:
        """Whether this source is asked for it by the caller's own access token."""
        auth = getattr(source, "auth", None)
        return self.grant == "token_exchange" or (auth is not None and auth.is_callers)

    def keys(self, kind: Kind) -> Block:
        """What its source is asked by, as that kind's own block. Raises pydantic's ValidationError."""
        return kind.keys.model_validate(_written(self, _GENERAL))


_GENERAL = frozenset({"source", "ttl", "scope", "public"})


def _only(block: Block, own: type[Block], general: set[str] | frozenset[str], what: str) -> None:
    for key in block.model_fields_set - general - own.model_fields.keys():
        raise ValueError(f"`{key}` is no key of {what}; it has {', '.join(own.model_fields)}")


def _written(block: Block, general: set[str] | frozenset[str]) -> dict[str, object]:
    return {key: getattr(block, key) for key in block.model_fields_set - general}


def _texts(block: Block, general: frozenset[str]) -> list[tuple[str, str]]:
    """Every text in what its source is asked by, with the key below which it stands."""

    def texts(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, Mapping):
            return [text for member in (*value, *value.values()) for text in texts(member)]
        return [text for member in value for text in texts(member)] if isinstance(value, list | tuple) else []

    return [(key, text) for key, value in _written(block, general).items() for text in texts(value)]
