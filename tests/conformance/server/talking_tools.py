"""Tools that say something while they work: progress, log lines, changed lists, an updated resource."""

from __future__ import annotations

import anyio
from mcp_types import CallToolResult, LoggingLevel

from tests.conformance.server.content import text
from tests.conformance.server.offer import Request, ToolOffer, result, tool
from tests.conformance.server.world import session_of

STEP = 0.05
"""Seconds between two notices: long enough to arrive one by one, as the suite describes these tools."""

_SEVERITY: tuple[LoggingLevel, ...] = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)


async def _log(request: Request, words: str, level: LoggingLevel = "info") -> None:
    """A log line on the call's own stream, if a legacy client's level lets it through. The SDK sees to modern ones."""
    least = request.world.levels.get(session_of(request.ctx), "debug")
    if _SEVERITY.index(level) >= _SEVERITY.index(least):
        await request.ctx.session.send_log_message(level, words, "reference", related_request_id=request.ctx.request_id)


async def _progress(request: Request) -> CallToolResult:
    for done in (0, 50, 100):
        await request.ctx.session.report_progress(done, 100)
        await anyio.sleep(STEP)
    return result(text("Done, in three steps."))


async def _logging(request: Request) -> CallToolResult:
    await _log(request, "Tool execution started")
    await anyio.sleep(STEP)
    await _log(request, "Tool processing data")
    await anyio.sleep(STEP)
    await _log(request, "Tool execution completed")
    return result(text("Done, with three lines in the log."))


async def _one_line(request: Request) -> CallToolResult:
    await _log(request, "One line for whoever asked for it", "error")
    return result(text("Said to the log, if the client wants to hear it."))


async def _change_tools(request: Request) -> CallToolResult:
    await request.world.change_tools()
    return result(text("The list of tools has changed."))


async def _change_prompts(request: Request) -> CallToolResult:
    await request.world.change_prompts()
    return result(text("The list of prompts has changed."))


async def _change_resources(request: Request) -> CallToolResult:
    await request.world.change_resources()
    return result(text("The list of resources has changed."))


async def _update(request: Request) -> CallToolResult:
    await request.world.write()
    return result(text("The watched resource was written."))


async def _dynamic(request: Request) -> CallToolResult:
    return result(text("This tool comes and goes."))


TOOLS: tuple[ToolOffer, ...] = (
    tool("test_tool_with_progress", "Reports progress three times.", _progress),
    tool("test_tool_with_logging", "Writes three lines to the log.", _logging),
    tool("test_logging_tool", "Writes one line to the log.", _one_line),
    tool("test_trigger_tool_change", "Changes the list of tools.", _change_tools),
    tool("test_trigger_prompt_change", "Changes the list of prompts.", _change_prompts),
    tool("test_trigger_resource_change", "Changes the list of resources.", _change_resources),
    tool("test_update_watched_resource", "Writes the resource that can be watched.", _update),
)
MORE = tool("test_dynamic_tool", "Is there after every other change of the list.", _dynamic)
