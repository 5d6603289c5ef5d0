"""`type: github-app`: a token of an app's installation, for the repositories and permissions of one call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator

from shim.model import Json, JsonObject
from shim.paths import PATH
from shim.secrets.arguments import ANY, filled_of_call
from shim.secrets.aside import Aside
from shim.secrets.file import read
from shim.secrets.filling import filled
from shim.secrets.githubapi import GitHubApi
from shim.secrets.source import Around, Issued, Purpose, Unavailable
from shim.units import Block
from shim.urls import is_safe

_LEVELS: Final = {"read": 1, "write": 2, "admin": 3}
_ALWAYS: Final = {"metadata": "read"}
"""What GitHub gives with every token."""

_NUMBER = re.compile(r"[0-9]{1,20}")
_REPOSITORY = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
_BACK: Final = timedelta(seconds=60)
"""GitHub's advice: clocks differ."""
_LIFE: Final = timedelta(minutes=5)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Repository = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Permission = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,63}$")]


class Keys(Block):
    """What such a secret is asked for by. Without `repositories` it is for all of the installation."""

    installation: Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int)] | None = None
    repositories: Annotated[tuple[_Repository, ...], Field(min_length=1, max_length=500)] | None = None
    permissions: Annotated[dict[_Permission, Literal["read", "write", "admin"]], Field(min_length=1)] | None = None

    @field_validator("installation")
    @classmethod
    def _one(cls, installation: str | None) -> str | None:
        if installation is not None and not _NUMBER.fullmatch(ANY.sub("1", installation)):
            raise ValueError("`installation` is no number; it is the last part of the installation's address")
        return installation

    @field_validator("repositories")
    @classmethod
    def _names(cls, repositories: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in repositories or ():
            if not _REPOSITORY.fullmatch(ANY.sub("x", name)):
                raise ValueError(f"{name[:60]!r} is no name of a repository; write it without its owner")
        return repositories


class Where(Block):
    """The app: its id (or client id) and the file with its private key."""

    app_id: Annotated[
        str,
        BeforeValidator(_text, json_schema_input_type=str | int),
        StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$"),
    ]
    private_key: Annotated[str, StringConstraints(min_length=1), PATH]
    api_url: str = "https://api.github.com"

    @field_validator("api_url")
    @classmethod
    def _safe(cls, url: str) -> str:
        if not is_safe(url):
            raise ValueError("`api_url` is neither https nor on this machine; tokens could be read on the way")
        return url


class GitHubApp:
    """One app. Its key is read from its file for each token, so one that was replaced holds from the next on."""

    def __init__(self, name: str, where: Where, around: Around) -> None:
        self._name = name
        self._where = where
        self._clock = around.clock
        self._aside: Aside[str] = Aside("the app's private key")
        self._api = GitHubApi(where.api_url)

    async def prepare(self, secret: Keys, purpose: Purpose) -> JsonObject | None:  # noqa: ARG002 (see `Source`)
        """See `Source`. Only a token itself can end it, so one whose answer was lost lives its hour: nobody has it."""
        return None

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """See `Source`. A token that may do more than was asked for is ended, and refused."""
        if unknown := fields - {None, "token"}:
            raise Unavailable(f"it has no field {min(str(one) for one in unknown)}; there is token")
        installation = filled(secret.installation or "", purpose, _installation)
        asked = _asked(secret, purpose)
        made = await self._api.make(installation, await self._aside.run(self._jwt), asked)
        token = made.get("token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise Unavailable("GitHub gave an answer without a token; see that `api_url` is its API")
        expires = _time(made.get("expires_at"))
        wrong = "when it ends" if expires is None else _wider(made, asked)
        if wrong is not None:
            raise await self._given_back(token, wrong)
        return Issued(dict.fromkeys(fields, token), expires, {"token": token})

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:  # noqa: ARG002 (see `Source`)
        """See `Source`. Whoever has the token can end it."""
        await self._api.end(str(revocation["token"]))

    async def close(self) -> None:
        """See `Source`."""
        await self._api.close()

    async def _given_back(self, token: str, wrong: str) -> Unavailable:
        try:
            await self._api.end(token)
        except Unavailable:
            return Unavailable(
                f"GitHub gave another token than was asked for ({wrong}), and it ends by itself within 1 h"
            )
        return Unavailable(f"GitHub gave another token than was asked for ({wrong}); it was revoked")

    def _jwt(self) -> str:
        import jwt

        now = self._clock()
        claims = {"iss": self._where.app_id, "iat": now - _BACK, "exp": now + _LIFE}
        path = self._where.private_key
        try:
            return jwt.encode(claims, read(path), algorithm="RS256")
        # What these say may quote the file.
        except (ValueError, TypeError, jwt.PyJWTError):
            pass
        raise Unavailable(f"{path} is no RSA key in PEM; take the one that GitHub made for the app")


def _asked(secret: Keys, purpose: Purpose) -> JsonObject:
    asked: JsonObject = {"permissions": dict(secret.permissions or {})}
    if secret.repositories is not None:
        names = (filled_of_call(name, purpose, _repository) for name in secret.repositories)
        asked["repositories"] = list(dict.fromkeys(names))
    return asked


def _wider(made: Mapping[str, Json], asked: JsonObject) -> str | None:
    """In which way a token may do more than was asked for, or does not say."""
    given = made.get("permissions")
    if not isinstance(given, dict):
        return "it does not say which permissions it has"
    allowed: Mapping[str, Any] = {**_ALWAYS, **asked["permissions"]}
    for name, level in given.items():
        if _LEVELS.get(str(level), 99) > _LEVELS.get(allowed.get(name, ""), 0):
            return "it has more permissions"
    if "repositories" not in asked:
        return None
    repositories = made.get("repositories")
    if made.get("repository_selection") != "selected" or not isinstance(repositories, list):
        return "it is for all repositories"
    wanted = {name.lower() for name in asked["repositories"]}
    for one in repositories:
        if not isinstance(one, dict) or str(one.get("name")).lower() not in wanted:
            return "it is for other repositories"
    return None


def _time(value: Json) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return None if time.tzinfo is None else time


def _installation(value: str) -> str:
    if not _NUMBER.fullmatch(value):
        raise Unavailable("its `installation` would be filled with what is no number")
    return value


def _repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value):
        raise Unavailable("its `repositories` would be filled with what is no name of a repository (without its owner)")
    return value
