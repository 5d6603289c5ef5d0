"""How the shim proves itself to a service: `auth` of the configuration, with secrets in it.

Source: OpenAPI Specification 3.1.1, "Security Scheme Object"; RFC 7617 (basic), RFC 6750 (bearer), RFC 6265 (cookies).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from shim import templates
from shim.errors import SecretUnavailable
from shim.model import JsonObject
from shim.upstream.openapi.config import OWN
from shim.upstream.openapi.document import Broken, Document, Unsuited

_HEADER: Final = re.compile(r"[\t\x20-\x7e]*")
_COOKIE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")
_LONGEST: Final = 16_384


@dataclass(frozen=True, slots=True)
class _One:
    """One credential: its place and name there, what stands before it, and the texts that it is made of."""

    where: str
    name: str
    before: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """Credentials with the values of secrets: never to be shown."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cookies: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that an upstream is sent to prove who asks."""

    _all: tuple[_One, ...]

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """Where they go, which is not for a caller to fill: places and names in lower case."""
        return frozenset((one.where, one.name.lower()) for one in self._all)

    def filled(self, values: Mapping[str, str]) -> Sent:
        """With these secrets. One that needs a secret that is not there is left out. Raises SecretUnavailable."""
        found: dict[str, list[tuple[str, str]]] = {"header": [], "query": [], "cookie": []}
        for one in self._all:
            references = [reference for text in one.texts for reference in templates.references(text)]
            if any(reference not in values for reference in references):
                continue
            texts = [templates.filled(text, values) for text in one.texts]
            value = one.before + (_basic(texts) if len(texts) > 1 else texts[0])
            _check(one, references, texts, value)
            found[one.where].append(
                (quote(one.name, safe=""), quote(value, safe="")) if one.where == "query" else (one.name, value)
            )
        return Sent(tuple(found["header"]), tuple(found["query"]), tuple(found["cookie"]))


def credentials(auth: Mapping[str, Any], document: Document | None) -> Credentials:
    """Those that are configured. Without a document those by the name of a scheme are left out. Raises Unsuited."""
    found: list[_One] = []
    for name, said in auth.items():
        if name == "header":
            found += [_One("header", header.lower(), "", (text,)) for header, text in said.items()]
        elif name == "bearer":
            found.append(_One("header", "authorization", "Bearer ", (said,)))
        elif name == "basic":
            found.append(_One("header", "authorization", "Basic ", (said["user"], said["password"])))
        elif document is not None:
            found.append(_of_scheme(name, said, document))
    places = [(one.where, one.name) for one in found]
    if len(set(places)) != len(places):
        raise Unsuited("two credentials would be sent in one place; keep one of them", "auth")
    return Credentials(tuple(found))


def _scheme(name: str, document: Document) -> JsonObject:
    components = document.root.get("components")
    held = components.get("securitySchemes") if isinstance(components, dict) else None
    schemes = {key: one for key, one in held.items() if isinstance(one, dict)} if isinstance(held, dict) else {}
    if name not in schemes:
        there = ", ".join(schemes) or "none"
        raise Unsuited(f"the document has no scheme {name[:60]!r}; it has {there[:300]}", "auth", name)
    try:
        return document.resolved(schemes[name])
    except Broken as error:
        raise Unsuited(f"the scheme {name[:60]!r} cannot be read: {error}; use `header`", "auth", name) from None


def _of_scheme(name: str, said: Any, document: Document) -> _One:
    scheme = _scheme(name, document)
    kind, where, called = scheme.get("type"), scheme.get("in"), scheme.get("name")
    way = str(scheme.get("scheme", "")).lower()
    is_basic = kind == "http" and way == "basic"
    if is_basic != isinstance(said, Mapping):
        wanted = "{user: …, password: …}" if is_basic else "a text"
        raise Unsuited(f"{name[:60]!r} is something else in the document; write {wanted}", "auth", name)
    if is_basic:
        return _One("header", "authorization", "Basic ", (said["user"], said["password"]))
    if kind == "apiKey" and where in ("header", "query", "cookie") and isinstance(called, str) and called:
        is_none = where != "query" and not re.fullmatch(r"[A-Za-z0-9!#$&'*+.^_`|~-]+", called)
        if is_none or (where == "header" and called.lower() in OWN):
            raise Unsuited(f"the scheme {name[:60]!r} has no name that a {where} can have", "auth", name)
        return _One(where, called.lower() if where == "header" else called, "", (said,))
    if kind in ("oauth2", "openIdConnect") or (kind == "http" and way == "bearer"):
        return _One("header", "authorization", "Bearer ", (said,))
    raise Unsuited(f"the scheme {name[:60]!r} is of a kind that is not written here; use `header`", "auth", name)


def _basic(texts: list[str]) -> str:
    return base64.b64encode(":".join(texts).encode("utf-8", "surrogatepass")).decode("ascii")


def _check(one: _One, references: list[str], texts: list[str], value: str) -> None:
    fits = {"header": _HEADER, "cookie": _COOKIE}.get(one.where)
    why = None
    if any(re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text) for text in texts):
        why = "it holds a control character, such as the end of a line, which no credential of HTTP can"
    elif len(texts) > 1 and ":" in texts[0]:
        why = "it is a user with a colon, which basic authentication cannot say"
    elif fits is not None and not fits.fullmatch(value):
        why = f"it holds a character that a {one.where} cannot"
    elif len(value) > _LONGEST:
        why = f"it is longer than {_LONGEST} characters"
    elif any("\ud800" <= character <= "\udfff" for text in texts for character in text):
        why = "it holds half of a surrogate pair"
    if why is not None:
        if references:
            raise SecretUnavailable(templates.name_of(references[0]), why)
        raise SecretUnavailable("of `auth`", why)
