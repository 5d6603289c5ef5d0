"""What a configuration file may hold: the blocks that the parts own, put together, and what is known but not built."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, Field

from shim.curating import ToolBlock
from shim.identity.config import IdentityBlock, Name
from shim.model import Json
from shim.policy.config import GrantBlock
from shim.record.config import RecordBlock
from shim.secrets.config import SecretBlock, SourceBlock
from shim.server.config import ServerBlock
from shim.store.config import StoreUrl
from shim.units import Block, SecretName
from shim.upstream.config import JSON_IN, SECRETS_IN, UpstreamBlock, UpstreamName
from shim.yamltext import Path


class Included(Block):
    """What a file named by `include` may hold."""

    upstreams: dict[UpstreamName, UpstreamBlock] = Field(default_factory=dict)
    identities: dict[Name, IdentityBlock] = Field(default_factory=dict)
    grants: tuple[GrantBlock, ...] = ()
    secret_sources: dict[SecretName, SourceBlock] = Field(default_factory=dict)
    secrets: dict[SecretName, SecretBlock] = Field(default_factory=dict)
    tools: dict[str, ToolBlock] = Field(default_factory=dict)


class Main(Included):
    """What the configuration itself may hold."""

    version: Annotated[int, Field(ge=1, le=1)]
    server: ServerBlock = ServerBlock()
    store: StoreUrl = StoreUrl("sqlite:var/shim.db")
    record: RecordBlock = RecordBlock()
    upstreams: dict[UpstreamName, UpstreamBlock]
    include: tuple[str, ...] = ()


ONLY_MAIN = frozenset({"version", "server", "store", "record", "enforce", "include"})

NOT_YET: dict[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"enforce"}),
    ("server",): frozenset({"metrics"}),
    ("record",): frozenset({"retain"}),
    ("upstreams", "*"): frozenset(
        {"pins"}
        | {"program", "path", "files", "args", "tools"}
        | {"openapi", "base", "operations", "auth", "fixed", "slashes", "response_headers"}
        | {"python", "interpreter", "inject"}
    )
    - UpstreamBlock.model_fields.keys(),
    ("secret_sources", "*"): frozenset(
        {"address", "namespace", "tls", "auth"}
        | {"token_url", "client_id", "client_secret", "private_key", "revocation_url"}
        | {"region", "endpoint", "profile", "app_id", "api_url", "env", "timeout", "key"}
    )
    - SourceBlock.model_fields.keys(),
    ("secrets", "*"): frozenset(
        {"params", "wrap", "grant", "scopes", "audience", "resource", "role_arn", "policy", "tags", "duration"}
        | {"installation", "repositories", "permissions", "run", "json", "prompt", "url"}
    )
    - SecretBlock.model_fields.keys(),
    ("tools", "*"): frozenset({"labels", "rename", "description", "hide", "timeout"}),
    ("identities", "*"): frozenset({"limits"}),
    ("grants", "*"): frozenset({"approval", "limits", "timeout", "max_result", "enforce"}),
}
"""Keys that are known and not enforced by this version, by where they stand: refused, even with their default."""


VALUES_IN = ("fixed", "meta")
"""Where any JSON may stand, with secrets in its texts: in the values of these mappings of a pattern on tools."""

_JSON_IN = tuple(("tools", "*", section) for section in VALUES_IN) + tuple(("upstreams", "*", *key) for key in JSON_IN)


def may_hold_secret(path: Path) -> bool:
    """Whether `${secret:NAME}` may stand in the value at a path."""
    if path[0] == "tools":
        return is_json(path)
    return len(path) >= 4 and path[0] == "upstreams" and path[2] in SECRETS_IN


def is_json(path: Path) -> bool:
    """Whether the value at a path is any JSON, which means what it is written as."""
    return any(_begins(path, place) and len(path) > len(place) for place in _JSON_IN)


def json_in(value: Json, place: tuple[str, ...] | None = None, path: Path = ()) -> Iterator[Path]:
    """Where any JSON stands in the text of a configuration, as it was read so far."""
    if place is None:
        for each in _JSON_IN:
            yield from json_in(value, each)
    elif not place:
        yield path
    elif isinstance(value, dict):
        for key, member in value.items():
            if place[0] in ("*", key):
                yield from json_in(member, place[1:], (*path, key))


def _begins(path: Path, place: tuple[str, ...]) -> bool:
    return len(path) >= len(place) and all(step in ("*", found) for step, found in zip(place, path, strict=False))


def is_not_yet(path: Path) -> bool:
    """Whether the last step of a path is a key that is known and not enforced by this version."""
    place = tuple("*" if index == 1 else str(step) for index, step in enumerate(path[:-1]))
    return path[-1] in NOT_YET.get(place, frozenset())


Kind: TypeAlias = Literal["list", "map", "scalar"]


def kind_of(annotation: Any) -> Kind:
    """What a value of a type looks like in the text."""
    bare = _bare(annotation)
    if get_origin(bare) is tuple:
        return "list"
    if get_origin(bare) is dict or _is_model(bare):
        return "map"
    return "scalar"


def type_at(annotation: Any, path: Path) -> Any:
    """The type of what stands at a path below a value of a type; None where nothing may stand there."""
    for step in path:
        bare = _bare(annotation)
        arguments = get_args(bare)
        if _is_model(bare):
            field = bare.model_fields.get(step)
            annotation = field.annotation if field is not None else None
        elif get_origin(bare) is tuple and isinstance(step, int):
            annotation = arguments[0]
        elif get_origin(bare) is dict:
            annotation = arguments[1]
        else:
            return None
    return annotation


def keys_at(annotation: Any, path: Path) -> tuple[str, ...]:
    """The keys that may stand in the mapping at a path."""
    bare = _bare(type_at(annotation, path))
    return tuple(bare.model_fields) if _is_model(bare) else ()


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _bare(annotation: Any) -> Any:
    # `Annotated[X, …]` and `X | None` are X here.
    while True:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation = arguments[0]
        elif origin in (Union, UnionType):
            annotation = next(argument for argument in arguments if argument is not type(None))
        else:
            return annotation
