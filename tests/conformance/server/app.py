"""The server: which handler answers what, for both eras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    NotificationParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.conformance.server import asking_tools, plain_tools, prompts, resources, talking_tools
from tests.conformance.server.asking import AskFirst, Asking, Unable
from tests.conformance.server.completion import complete
from tests.conformance.server.content import text
from tests.conformance.server.offer import Offer, PromptOffer, Request, ResourceOffer, ToolOffer
from tests.conformance.server.world import Context, World, session_of

NAME = "reference"
RESOURCE_NOT_FOUND_LEGACY = -32002

Item = TypeVar("Item")


class Reference(Server[dict[str, Any]]):
    """The SDK's server, saying in its handshake that its lists change. It says so by itself only in the modern era."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        changing = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(changing, experimental_capabilities, extensions)


def paged(items: Sequence[Item], params: PaginatedRequestParams | None, size: int) -> tuple[list[Item], str | None]:
    """One page, and the cursor of the next."""
    cursor = params.cursor if params is not None else None
    if cursor is not None and not cursor.isdecimal():
        raise MCPError(INVALID_PARAMS, "Invalid cursor")
    start = int(cursor or 0)
    end = start + size
    return list(items[start:end]), str(end) if end < len(items) else None


def named(offers: Sequence[Offer[Any, Any]], name: Callable[[Any], str], wanted: str) -> Offer[Any, Any] | None:
    return next((offer for offer in offers if name(offer.definition) == wanted), None)


def build(world: World, page: int) -> Reference:
    """A server of this world, whose lists come in pages of so many."""

    def tools() -> tuple[ToolOffer, ...]:
        more = (talking_tools.MORE,) if world.state.tools else ()
        return plain_tools.TOOLS + talking_tools.TOOLS + asking_tools.TOOLS + more

    def all_prompts() -> tuple[PromptOffer, ...]:
        return prompts.PROMPTS + ((prompts.MORE,) if world.state.prompts else ())

    def all_resources() -> tuple[ResourceOffer, ...]:
        return resources.RESOURCES + ((resources.MORE,) if world.state.resources else ())

    async def list_tools(ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        some, cursor = paged(tools(), params, page)
        return ListToolsResult(tools=[offer.definition for offer in some], next_cursor=cursor)

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        offer = named(tools(), lambda tool: str(tool.name), params.name)
        if offer is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        try:
            result: CallToolResult = await offer.run(Request(ctx, world, params.arguments or {}, Asking(ctx)))
        except AskFirst as question:
            return question.result
        except Unable as error:
            return CallToolResult(content=[text(str(error))], is_error=True)
        return result

    async def list_prompts(ctx: Context, params: PaginatedRequestParams | None) -> ListPromptsResult:
        some, cursor = paged(all_prompts(), params, page)
        return ListPromptsResult(prompts=[offer.definition for offer in some], next_cursor=cursor)

    async def get_prompt(ctx: Context, params: GetPromptRequestParams) -> GetPromptResult | InputRequiredResult:
        offer = named(all_prompts(), lambda prompt: str(prompt.name), params.name)
        if offer is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
        try:
            result: GetPromptResult = await offer.run(Request(ctx, world, params.arguments or {}, Asking(ctx)))
        except AskFirst as question:
            return question.result
        except Unable as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None
        return result

    async def list_resources(ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        some, cursor = paged(all_resources(), params, page)
        return ListResourcesResult(resources=[offer.definition for offer in some], next_cursor=cursor)

    async def list_templates(ctx: Context, params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        some, cursor = paged(resources.TEMPLATES, params, page)
        return ListResourceTemplatesResult(resource_templates=some, next_cursor=cursor)

    async def read(ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult | InputRequiredResult:
        uri = params.uri
        offer = named(all_resources(), lambda resource: str(resource.uri), uri) or resources.made(uri)
        if offer is None:
            modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
            code = INVALID_PARAMS if modern else RESOURCE_NOT_FOUND_LEGACY
            raise MCPError(code, "Resource not found", {"uri": uri})
        try:
            result: ReadResourceResult = await offer.run(Request(ctx, world, {"uri": uri}, Asking(ctx)))
        except AskFirst as question:
            return question.result
        except Unable as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None
        return result

    async def subscribe(ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        world.watched.setdefault(session_of(ctx), set()).add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        world.watched.get(session_of(ctx), set()).discard(str(params.uri))
        return EmptyResult()

    async def completion(ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        return complete(params)

    async def set_level(ctx: Context, params: SetLevelRequestParams) -> EmptyResult:
        world.levels[session_of(ctx)] = params.level
        return EmptyResult()

    async def initialized(ctx: Context, params: NotificationParams) -> None:
        world.sessions[session_of(ctx)] = ctx.session

    server = Reference(
        NAME,
        version="1.0.0",
        instructions="Everything that the conformance suite asks for.",
        cache_hints={"resources/list": CacheHint(5000, "public"), "tools/list": CacheHint(1000, "private")},
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(world.bus),
        on_completion=completion,
    )
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    server.add_notification_handler("notifications/initialized", NotificationParams, initialized)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    return server
