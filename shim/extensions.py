"""The extensions of the protocol that pass through, and who declares them.

Of others nothing is passed on in either direction: what they allow is not governed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcp.shared.inbound import NAME_BEARING_METHODS
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim.errors import ProtocolError
from shim.model import Caller, Json, JsonObject

TASKS: Final = "io.modelcontextprotocol/tasks"
"""Calls that leave a task behind."""

APPS: Final = "io.modelcontextprotocol/ui"
"""MCP Apps: tools that come with a page, which is a resource."""

EVERY: Final[JsonObject] = {TASKS: {}, APPS: {}}
"""What towards clients is declared of those that pass."""

EVERY_APP: Final[JsonObject] = {APPS: {"mimeTypes": ["text/html;profile=mcp-app"]}}
"""How a session that many clients share declares apps: those that cannot show them have the text beside."""


GET, UPDATE, CANCEL = "tasks/get", "tasks/update", "tasks/cancel"
"""The methods of tasks."""

NAMED: Final[Mapping[str, str]] = {**NAME_BEARING_METHODS, **dict.fromkeys((GET, UPDATE, CANCEL), "taskId")}
"""Which param of a method the header `Mcp-Name` repeats."""


def missing(extension: str) -> ProtocolError:
    """What a client is told that has to declare an extension first."""
    data: JsonObject = {"requiredCapabilities": {"extensions": {extension: {}}}}
    return ProtocolError(MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", data)


def of_client(caller: Caller) -> JsonObject:
    """The extensions that a client declares, of those that pass; tasks exist in the modern revision alone."""
    return spoken(declared(caller.capabilities), caller.protocol)


def spoken(extensions: JsonObject, protocol: str) -> JsonObject:
    """Those of the extensions that exist in a revision."""
    if protocol in MODERN_PROTOCOL_VERSIONS:
        return extensions
    return {name: settings for name, settings in extensions.items() if name != TASKS}


def declared(capabilities: Json) -> JsonObject:
    """The extensions, of those that pass, that a peer's capabilities declare: those whose value is an object."""
    extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    if not isinstance(extensions, dict):
        return {}
    return {name: extensions[name] for name in EVERY if isinstance(extensions.get(name), dict)}
