"""The keys of an upstream that is an HTTP API with an OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from shim.paths import LOCATION
from shim.units import Block
from shim.urls import is_safe

OPENAPI_KEYS: Final = frozenset({"base", "operations", "auth", "fixed", "slashes", "response_headers", "tls"})

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_TEXT = re.compile(r"[\x00\t\x20-\x7e]*")
_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "*")
_PLAIN = re.compile(r"[\x21-\x7e]+")
OWN: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "cookie", "expect", "host"}
    | {"keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that HTTP itself needs: no credential is one."""


def _credentials(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, said in value.items():
        if name == "header":
            _headers(said)
        elif isinstance(said, Mapping):
            if set(said) != {"user", "password"} or not all(_is_text(one) for one in said.values()):
                raise ValueError(f"`{name}` has a `user` and a `password`, each a text, and nothing else")
        elif name == "basic":
            raise ValueError("`basic` has a user and a password; write {user: …, password: …}")
        elif not _is_text(said):
            raise ValueError(f'`{name}` is no text that a credential can be; write "${{secret:NAME}}"')
    return value


def _headers(said: object) -> None:
    for name, value in said.items() if isinstance(said, Mapping) else [("", None)]:
        if not _HEADER.fullmatch(name) or name.lower() in OWN:
            raise ValueError(f"`header` cannot set {name[:60]!r}: that is no header, or one that HTTP itself needs")
        if not _is_text(value):
            raise ValueError(f"`header` has a value for {name} that is no text of one line")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and _TEXT.fullmatch(value) is not None


def _selector(text: str) -> str:
    bare = text.removeprefix("!")
    method, space, path = bare.partition(" ")
    if not bare:
        raise ValueError("an operation is empty; write tag:NAME, GET /path/**, or a name")
    # A tag is any text, and often one of several words.
    if space and not bare.startswith("tag:") and (method not in _METHODS or not path.startswith("/")):
        raise ValueError(f"{text[:60]!r} is no method and path; write them as GET /path/** (methods in capitals)")
    return text


Selector = Annotated[str, AfterValidator(_selector)]
Credentials = Annotated[dict[str, Any], AfterValidator(_credentials)]
ShownHeader = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]


class OpenApiBlock(Block):
    """`openapi`: a path, or a URL below `base`. What is under `auth` and `fixed` may hold `${secret:NAME}`."""

    openapi: Annotated[str, LOCATION] | None = None
    base: str | None = None
    operations: tuple[Selector, ...] = ()
    auth: Credentials = Field(default_factory=dict)
    fixed: dict[str, Any] = Field(default_factory=dict)
    slashes: tuple[str, ...] = ()
    response_headers: tuple[ShownHeader, ...] = ()

    @property
    def is_fetched(self) -> bool:
        """Whether the document comes from the service."""
        return self.openapi is not None and "://" in self.openapi

    def check_openapi(self, *, unset: bool) -> None:
        """What is wrong between its keys. `unset`: it was read without its environment. Raises ValueError."""
        if not self.openapi:
            raise ValueError("`openapi` is empty; write the path of a document, or its URL below `base`")
        if self.base is None:
            raise ValueError("`openapi` needs a `base`: the address below which all requests go")
        if not self.operations:
            raise ValueError('`operations` is missing; write which are offered, such as ["GET /**"]')
        if all(one.startswith("!") for one in self.operations):
            raise ValueError("`operations` only takes away; write first which are offered")
        # Read without its environment, an address may be a variable that is not known here.
        if not (unset and ("${env:" in self.base or "${env:" in self.openapi)):
            self._check_addresses(self.base)

    def _check_addresses(self, base: str) -> None:
        if not is_safe(base) or not _is_plain(base):
            raise ValueError(
                "`base` is not the address of an HTTP API; write https://HOST/PATH, or http:// for one on this "
                "machine, without user, query and fragment"
            )
        if self.is_fetched and not is_below(self.openapi or "", base):
            raise ValueError(f"`openapi` is a URL that is not below {base}; put the document into a file")


def is_below(url: str, base: str) -> bool:
    """Whether a URL leads to the same origin, below the path of `base`, and nowhere else by any of its segments."""
    try:
        there, here = urlsplit(url), urlsplit(base)
        same = (there.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port)
    except ValueError:
        return False
    return (
        same
        and there.username is None
        and there.password is None
        and _is_plain(url)
        and not there.fragment
        and there.path.startswith(here.path.rstrip("/") + "/")
    )


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    dots = any(segment.lower().replace("%2e", ".") in (".", "..") for segment in parts.path.split("/"))
    return bool(_PLAIN.fullmatch(url)) and not dots and port != 0 and "\\" not in url
