"""The methods of tasks (extension io.modelcontextprotocol/tasks, revision 2026-07-28 alone).

A task is known by an id, to the identity that was given it; what it may do with the task follows what it may call now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mcp_types import CLIENT_CAPABILITIES_META_KEY, INVALID_PARAMS

from shim.catalog import Catalog
from shim.errors import ProtocolError
from shim.extensions import CANCEL, GET, TASKS, UPDATE, declared, missing
from shim.meta import clean_result
from shim.methods import METHODS, Asked, Found, Method, Sees, Use
from shim.model import Answer, Caller, JsonObject, Offered, Reply
from shim.tasks import MAX_ID


class _OfTask:
    """What they have in common."""

    waits = False

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, params: JsonObject) -> Asked:
        meta = params.get("_meta")
        if TASKS not in declared(meta.get(CLIENT_CAPABILITIES_META_KEY) if isinstance(meta, dict) else None):
            raise missing(TASKS)
        id_ = params.get("taskId")
        if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID:
            raise ProtocolError(INVALID_PARAMS, f"Invalid params: taskId must be a string of 1 to {MAX_ID} characters")
        arguments: JsonObject = {"taskId": id_}
        if self.name == UPDATE:
            inputs = params.get("inputResponses")
            if not isinstance(inputs, dict):
                raise ProtocolError(INVALID_PARAMS, "Invalid params: inputResponses must be an object")
            arguments["inputResponses"] = inputs
        return Asked("", arguments, {}, task=id_)

    def find(self, _asked: Asked, _catalog: Catalog, _sees: Sees, /) -> Found:
        """Nothing: the catalog knows of no tasks."""
        return Found(None, None)

    def unknown(self, _asked: Asked, _caller: Caller, /) -> Answer:
        return Answer(error={"code": INVALID_PARAMS, "message": "Task not found"})

    def towards(self, params: JsonObject, _target: Offered, /) -> JsonObject:
        return params

    def told(self, reply: Reply, _use: Use, /) -> Reply:
        """The state of a task that is done holds the result of its call: upstreams do not speak for the shim there."""
        held = reply.result.get("result") if reply.result is not None else None
        if not isinstance(held, dict):
            return reply
        return replace(reply, result={**(reply.result or {}), "result": clean_result(held)})


MODERN_METHODS: Final[Mapping[str, Method]] = {**METHODS, **{name: _OfTask(name) for name in (GET, UPDATE, CANCEL)}}
"""Every governed method of the modern revision by its name."""
