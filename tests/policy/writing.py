"""Short ways to write facts and tools."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import settings

from shim.model import Client, Json, Tool
from shim.policy.conditions import Facts

law = settings(deadline=None)
"""For property tests: how long one example takes says more about the machine's other work than about the law."""

NOW = datetime(2027, 3, 1, 12, 30, tzinfo=UTC)


def facts(args: dict[str, Json] | None = None, *, run: str = "", client: Client | None = None) -> Facts:
    return Facts(args or {}, run, client, NOW)


def tool(ref: str, properties: Json = None, **schema: Json) -> Tool:
    """A tool whose input schema declares these properties; `schema` adds or replaces members of the schema."""
    upstream, _, name = ref.partition("/")
    shape = {"type": "object", **({} if properties is None else {"properties": properties}), **schema}
    return Tool(upstream, name, f"{upstream}__{name}", {"name": name, "inputSchema": shape}, "0" * 64)
