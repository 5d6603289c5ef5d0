"""The methods that are governed, one class each: what differs between them on the one way that all go.

How the target of a request is named, what it is among what upstreams offer, what goes upstream in the caller's place,
and the answer where there is no such thing, which is the same where the caller may not know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from mcp_types import INVALID_PARAMS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim import jsontext, uritemplates
from shim.catalog import Catalog
from shim.errors import ProtocolError
from shim.model import Answer, Caller, Json, JsonObject, Offered, Reply, Resource
from shim.policy.uris import MAX_URI

MAX_NAME = 1024
"""No tool has a longer name, and what a caller spells stays on the record for good."""

_MAX_VALUES: Final = 100
"""No completion has more (schema, `CompleteResult`)."""

_LEGACY_NOT_FOUND: Final = -32002
_NOTHING: Final = jsontext.digest({})

Sees: TypeAlias = Callable[[str], bool]
"""Whether the caller may see what policy calls so."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asks for: the target as the caller spelled it, and its arguments as they are recorded.

    `args` are what conditions look at. `by_uri`: the name is a URI, or a URI template. `completing` is the name of the
    argument that is being completed. `task`: the target is the tool whose call left the task with this id.
    """

    name: str
    arguments: JsonObject
    args: JsonObject
    by_uri: bool = False
    completing: str = ""
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What that is. `ref` is what policy decides on, also where there is no such thing (None: it means nothing).

    `under` is the grant by which a call began that goes on with this request.
    """

    target: Offered | None
    ref: str | None
    under: str | None = None

    @classmethod
    def of(cls, target: Offered) -> Found:
        return cls(target, target.ref)


class Method(Protocol):
    """One method. Holds nothing."""

    name: str
    waits: bool
    """Whether all upstreams must have been looked at before a target is the right one."""

    def read(self, params: JsonObject) -> Asked:
        """What the caller's params ask for. Raises ProtocolError for params of another shape."""

    def find(self, asked: Asked, catalog: Catalog, sees: Sees, /) -> Found:
        """The target; one that the caller may not see where there is no other."""

    def unknown(self, asked: Asked, caller: Caller, /) -> Answer:
        """What a caller is told of a target that it may not see, or that does not exist."""

    def towards(self, params: JsonObject, target: Offered, /) -> JsonObject:
        """The params with the target named as its upstream does."""

    def told(self, reply: Reply, use: Use, /) -> Reply:
        """An upstream's answer as this caller is to have it."""


@dataclass(frozen=True, slots=True)
class Use:
    """One request whose target was found, for somebody who may see it."""

    method: Method
    caller: Caller
    asked: Asked
    target: Offered
    sees: Sees

    def towards(self, params: JsonObject) -> JsonObject:
        """See `Method.towards`."""
        return self.method.towards(params, self.target)

    def told(self, reply: Reply) -> Reply:
        """See `Method.told`."""
        return self.method.told(reply, self)


class _Named:
    """What methods have in common whose targets have names on the wire."""

    waits = False

    def read(self, params: JsonObject) -> Asked:
        arguments = _object(params, "arguments")
        return Asked(_text(params, "name"), arguments, arguments)

    def towards(self, params: JsonObject, target: Offered, /) -> JsonObject:
        return {**params, "name": target.name}

    def told(self, reply: Reply, _use: Use, /) -> Reply:
        return reply


class CallTool(_Named):
    """`tools/call`."""

    name = "tools/call"

    def find(self, asked: Asked, catalog: Catalog, _sees: Sees, /) -> Found:
        tool = catalog.now.by_wire.get(asked.name)
        return Found.of(tool) if tool is not None else Found(None, catalog.ref_of(asked.name))

    def unknown(self, asked: Asked, _caller: Caller, /) -> Answer:
        return Answer(error={"code": INVALID_PARAMS, "message": f"Unknown tool: {asked.name}"})


class GetPrompt(_Named):
    """`prompts/get`."""

    name = "prompts/get"

    def find(self, asked: Asked, catalog: Catalog, _sees: Sees, /) -> Found:
        prompt = catalog.now.prompts_by_wire.get(asked.name)
        if prompt is not None:
            return Found.of(prompt)
        meant = catalog.ref_of(asked.name)
        return Found(None, f"prompt:{meant}" if meant is not None else None)

    def unknown(self, asked: Asked, _caller: Caller, /) -> Answer:
        return Answer(error={"code": INVALID_PARAMS, "message": f"Unknown prompt: {asked.name}"})


class ReadResource:
    """`resources/read`.

    A URI belongs to the first upstream, as configured, that lists it, else that has a template which it could be an
    expansion of, and of which the caller may read it; else to the one upstream that policy lets the caller read it of.
    """

    name = "resources/read"
    waits = True

    def read(self, params: JsonObject) -> Asked:
        asked = {"uri": _text(params, "uri", MAX_URI)}
        return Asked(asked["uri"], asked, asked, by_uri=True)

    def find(self, asked: Asked, catalog: Catalog, sees: Sees, /) -> Found:
        claims = list(_claims(asked.name, catalog))
        for claim in claims:
            if sees(claim.ref):
                return Found.of(claim)
        reached = [_unlisted(upstream, asked.name) for upstream in catalog.upstreams if _may_have(catalog, upstream)]
        granted = [one for one in reached if sees(one.ref)]
        if len(granted) == 1:
            return Found.of(granted[0])
        listed = catalog.now.by_uri.get(asked.name, ())
        if listed:
            return Found.of(listed[0])
        meant = next(iter((*granted, *claims, *reached)), None)
        return Found(None, meant.ref if meant is not None else None)

    def unknown(self, asked: Asked, caller: Caller, /) -> Answer:
        code = INVALID_PARAMS if _is_modern(caller) else _LEGACY_NOT_FOUND
        return Answer(error={"code": code, "message": "Resource not found", "data": {"uri": asked.name}})

    def towards(self, params: JsonObject, _target: Offered, /) -> JsonObject:
        return params

    def told(self, reply: Reply, use: Use, /) -> Reply:
        error = reply.error
        if error is None:
            return reply
        code, data, modern = error.get("code"), error.get("data"), _is_modern(use.caller)
        if code == _LEGACY_NOT_FOUND and modern:
            return replace(reply, error={**error, "code": INVALID_PARAMS})
        if code == INVALID_PARAMS and not modern and isinstance(data, dict) and "uri" in data:
            # The modern code says no more than that something is wrong with the params: here the data says what.
            return replace(reply, error={**error, "code": _LEGACY_NOT_FOUND})
        return reply


class Subscribe(ReadResource):
    """`resources/subscribe`, which goes the way of reading. It is governed for modern clients too, who have no such
    method: URI by URI of a `subscriptions/listen`."""

    name = "resources/subscribe"


class Complete:
    """`completion/complete`, which follows its prompt, its resource or its template."""

    name = "completion/complete"
    waits = True

    def read(self, params: JsonObject) -> Asked:
        ref, argument, context = params.get("ref"), params.get("argument"), params.get("context")
        if not isinstance(ref, dict) or not isinstance(argument, dict) or not isinstance(context, dict | None):
            raise _wrong("ref and argument must be objects")
        by_uri = ref.get("type") == "ref/resource"
        if not by_uri and ref.get("type") != "ref/prompt":
            raise _wrong("ref.type must be ref/prompt or ref/resource")
        if ("name" if by_uri else "uri") in ref:
            raise _wrong("a ref has the name of a prompt or the uri of a resource, not both")
        target = _text(ref, "uri", MAX_URI) if by_uri else _text(ref, "name")
        value = argument.get("value")
        if not isinstance(value, str):
            raise _wrong("argument.value must be a string")
        # Recorded under its own name, by which it may have to be redacted.
        completing = _text(argument, "name")
        arguments = {**_object(context or {}, "arguments"), completing: value}
        return Asked(target, arguments, {"uri": target} if by_uri else arguments, by_uri, completing)

    def find(self, asked: Asked, catalog: Catalog, sees: Sees, /) -> Found:
        if not asked.by_uri:
            return _PROMPT.find(asked, catalog, sees)
        templates = [template for template in catalog.now.templates if template.name == asked.name]
        for template in templates:
            if sees(template.ref):
                return Found.of(template)
        found = _RESOURCE.find(asked, catalog, sees)
        seen = found.target is not None and sees(found.target.ref)
        return Found.of(templates[0]) if templates and not seen else found

    def unknown(self, asked: Asked, caller: Caller, /) -> Answer:
        return (_RESOURCE if asked.by_uri else _PROMPT).unknown(asked, caller)

    def towards(self, params: JsonObject, target: Offered, /) -> JsonObject:
        if target.kind != "prompt":
            return params
        return {**params, "ref": {**params["ref"], "name": target.name}}

    def told(self, reply: Reply, use: Use, /) -> Reply:
        """Without the values that lead only to what the caller may not read: they are names of that."""
        completion = reply.result.get("completion") if reply.result is not None else None
        values = completion.get("values") if isinstance(completion, dict) else None
        if use.target.kind == "prompt" or not isinstance(completion, dict) or not isinstance(values, list):
            return reply
        kept = [value for value in values[:_MAX_VALUES] if isinstance(value, str) and _leads_somewhere(use, value)]
        if len(kept) == len(values):
            return reply
        # How many there are is told no more than which.
        told = {key: value for key, value in completion.items() if key != "total"} | {"values": kept}
        return replace(reply, result={**(reply.result or {}), "completion": told})


_PROMPT, _RESOURCE = GetPrompt(), ReadResource()

CALL_TOOL: Final[Method] = CallTool()
METHODS: Final[Mapping[str, Method]] = {method.name: method for method in (CALL_TOOL, _PROMPT, _RESOURCE, Complete())}
"""Every governed method by its name, but for subscribing, which is not one request alone."""
SUBSCRIBE: Final[Method] = Subscribe()


def _leads_somewhere(use: Use, value: str) -> bool:
    """Whether some resource that the template leads to with this value, and with those before, is the caller's.

    What has no such argument leads nowhere: a server that does not look at what it is asked about tells all it has.
    """
    if use.asked.completing not in uritemplates.variables(use.target.name):
        return False
    values = {**use.asked.arguments, use.asked.completing: value}
    for escaped in (True, False):
        text = uritemplates.filled(use.target.name, values, escaped=escaped)
        kind = "template" if "{" in text else "resource"
        if use.sees(f"{kind}:{use.target.upstream}/{text}"):
            return True
    return False


def _claims(uri: str, catalog: Catalog) -> Iterator[Offered]:
    yield from catalog.now.by_uri.get(uri, ())
    for template in catalog.now.templates_of(uri):
        yield _unlisted(template.upstream, uri)


def _unlisted(upstream: str, uri: str) -> Resource:
    return Resource(upstream, uri, uri, {}, _NOTHING)


def _may_have(catalog: Catalog, upstream: str) -> bool:
    offer = catalog.now.offers.get(upstream)
    return offer is None or isinstance(offer.capabilities.get("resources"), dict)


def _is_modern(caller: Caller) -> bool:
    return caller.protocol in MODERN_PROTOCOL_VERSIONS


def _wrong(what: str) -> ProtocolError:
    return ProtocolError(INVALID_PARAMS, f"Invalid params: {what}")


def _text(params: JsonObject, key: str, longest: int = MAX_NAME) -> str:
    value = params.get(key)
    if not isinstance(value, str):
        raise _wrong(f"{key} must be a string")
    if len(value) > longest:
        raise _wrong(f"{key} has more than {longest} characters")
    return value


def _object(params: JsonObject, key: str) -> JsonObject:
    value: Json = params.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(f"{key} must be an object")
    return value
