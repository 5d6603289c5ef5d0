"""What an `oauth` source and its secrets are configured by."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from shim.paths import PATH
from shim.secrets.oauth_answer import TOKEN
from shim.secrets.sealkeys import KeyText
from shim.units import Block
from shim.urls import is_safe

_PLACE = re.compile(r"\{(?:identity|tool|invocation|claims\.[^{}]+)\}")
SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""One scope (RFC 6749 section 3.3)."""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Keys(Block):
    """What such a secret is asked for by."""

    grant: Literal["client_credentials", "token_exchange", "authorization_code"] | None = None
    scopes: Annotated[tuple[_Text, ...], Field(min_length=1, max_length=100)] | None = None
    audience: _Text | None = None
    resource: _Text | None = None

    @field_validator("scopes")
    @classmethod
    def _each_is_one(cls, scopes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for scope in scopes or ():
            if not SCOPE.fullmatch(_PLACE.sub("x", scope)):
                raise ValueError(f"{scope[:60]!r} is no scope; write each as an element of its own, in ASCII")
        return scopes

    @field_validator("resource")
    @classmethod
    def _absolute(cls, resource: str | None) -> str | None:
        if resource is not None and not _is_resource(_PLACE.sub("x", resource)):
            raise ValueError("`resource` is no absolute URI without a fragment; write the address of what it is for")
        return resource

    @model_validator(mode="after")
    def _of_a_call(self) -> Keys:
        if any("{arguments." in text for text in (*(self.scopes or ()), self.audience or "", self.resource or "")):
            raise ValueError("{arguments.NAME} is not supported here; write what the token is for")
        return self

    @model_validator(mode="after")
    def _of_each_person(self) -> Keys:
        texts = (*(self.scopes or ()), self.audience or "", self.resource or "")
        if self.grant == "authorization_code" and any(_PLACE.search(text) for text in texts):
            raise ValueError("`grant` authorization_code asks the same of each person, who allows it; take {…} out")
        return self


class Where(Block):
    """The authorization server, and how the shim proves itself there: a secret, or a key in a file."""

    token_url: str
    client_id: Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,500}$")]
    client_secret: Annotated[str | None, Field(repr=False, min_length=1, max_length=4096)] = None
    private_key: Annotated[str | None, Field(min_length=1), PATH] = None
    revocation_url: str | None = None
    authorization_url: str | None = None
    issuer: Annotated[str | None, Field(min_length=1, max_length=2000)] = None
    key: KeyText | None = None

    @field_validator("authorization_url")
    @classmethod
    def _safe_for_people(cls, url: str | None) -> str | None:
        # The only one that may have a query (RFC 6749 section 3.1).
        if url is not None and ("#" in url or not is_safe(url.partition("?")[0])):
            raise ValueError("it is neither https nor on this machine (without user and fragment); use https")
        if url is not None and not TOKEN.fullmatch(url):
            raise ValueError("it is no address in ASCII; write that of the page where people sign in")
        return url

    @field_validator("token_url", "revocation_url")
    @classmethod
    def _safe(cls, url: str | None) -> str | None:
        if url is not None and not is_safe(url):
            raise ValueError("it is neither https nor on this machine (without user, query and fragment); use https")
        return url

    @model_validator(mode="after")
    def _one_proof(self) -> Where:
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("a source of type oauth has either `client_secret` or `private_key`; write one of them")
        return self

    @model_validator(mode="after")
    def _people_as_a_whole(self) -> Where:
        if (self.authorization_url is None) != (self.key is None):
            raise ValueError(
                "`authorization_url` and `key` come together: where people sign in, and what seals the rest"
            )
        if self.issuer is not None and self.authorization_url is None:
            raise ValueError("`issuer` is who sends people back from `authorization_url`; there is none, take it out")
        return self


def misfit(secret: Keys, where: Where | None) -> str | None:
    """What is wrong with a secret at this source, the key first."""
    if secret.grant == "authorization_code" and getattr(where, "authorization_url", None) is None:
        return "`grant` authorization_code is for a source that has `authorization_url` and `key`, which this has not"
    return None


def _is_resource(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.scheme) and "#" not in uri and bool(TOKEN.fullmatch(uri))
