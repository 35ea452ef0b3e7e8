"""Answers: what a server does for each method that is about its features.

A family that a server does not offer does not exist: its methods are not found.
Source: specification 2026-07-28, server/tools, server/resources, server/prompts.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import cast

from msgspec import UnsetType

from bascule.engine.exchange import Exchange, Handler
from bascule.errors import InvalidParams, MethodNotFound, ResourceNotFound
from bascule.server.completion import complete, shown
from bascule.server.pages import Pages
from bascule.server.registry import Registry
from bascule.wire.completion import CompleteParams
from bascule.wire.content import ResourceContents
from bascule.wire.prompts import GetPromptParams, ListPromptsResult
from bascule.wire.requests import PaginatedParams
from bascule.wire.resources import (
    ListResourcesResult,
    ListResourceTemplatesResult,
    ReadResourceParams,
    ReadResourceResult,
    Resource,
)
from bascule.wire.results import Result
from bascule.wire.tools import CallToolParams, ListToolsResult


class Answers:
    """The methods of one registry."""

    def __init__(self, registry: Registry, listen: Handler, look_after: Handler, skills: Handler) -> None:
        self._registry = registry
        self.methods: Mapping[str, Handler] = {
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_resource,
            "prompts/list": self._list_prompts,
            "prompts/get": self._get_prompt,
            "completion/complete": self._complete,
            "subscriptions/listen": listen,
            "skills/list": skills,
            "skills/get": skills,
            "resources/directory/read": skills,
            "tasks/get": look_after,
            "tasks/update": look_after,
            "tasks/cancel": look_after,
        }

    async def read(self, uri: str, exchange: Exchange) -> list[ResourceContents]:
        """The contents of a resource, read on behalf of a running handler. Raises ResourceNotFound."""
        inner = Exchange(
            method="resources/read",
            request_id=exchange.request_id,
            params=ReadResourceParams(uri),
            raw_params=None,
            peer=exchange.peer,
            principal=exchange.principal,
            channel=exchange.channel,
            inquire=exchange.inquire,
            dialogue=exchange.dialogue,
            headers=exchange.headers,
            state=exchange.state,
            log_level=exchange.log_level,
            conversation=exchange.conversation,
        )
        result = await self._read_resource(inner)
        return result.contents if isinstance(result, ReadResourceResult) else []

    def _call_tool(self, exchange: Exchange) -> Awaitable[Result]:
        params = cast(CallToolParams, exchange.params)
        tool = self._registry.tools.get(params.name)
        if tool is None:
            _offered(self._registry.tools, exchange)
            raise InvalidParams(f"Unknown tool: {params.name[:200]}")
        exchange.feature = tool
        return tool.handler(exchange)

    async def _list_tools(self, exchange: Exchange) -> Result:
        _offered(self._registry.tools, exchange)
        page = self._registry.pages("tools").page(_cursor(exchange))
        return ListToolsResult(tools=page.items, next_cursor=page.next_cursor)

    async def _list_prompts(self, exchange: Exchange) -> Result:
        _offered(self._registry.prompts, exchange)
        page = self._registry.pages("prompts").page(_cursor(exchange))
        return ListPromptsResult(prompts=page.items, next_cursor=page.next_cursor)

    async def _list_templates(self, exchange: Exchange) -> Result:
        self._resources_offered(exchange)
        page = self._registry.pages("templates").page(_cursor(exchange))
        return ListResourceTemplatesResult(resource_templates=page.items, next_cursor=page.next_cursor)

    async def _list_resources(self, exchange: Exchange) -> Result:
        self._resources_offered(exchange)
        pages = self._registry.pages("resources")
        listers = [feature.lister for feature in self._registry.templates.values() if feature.lister is not None]
        if listers:
            found: list[Resource] = [feature.definition for feature in self._registry.resources.values()]
            for listed in await asyncio.gather(*(lister(exchange) for lister in listers)):
                found.extend(listed)
            pages = Pages(found, self._registry.page_size, self._registry.cursor_keys)
        page = pages.page(_cursor(exchange))
        return ListResourcesResult(resources=page.items, next_cursor=page.next_cursor)

    async def _read_resource(self, exchange: Exchange) -> Result:
        self._resources_offered(exchange)
        uri = cast(ReadResourceParams, exchange.params).uri
        found = self._registry.find_resource(uri)
        if found is None:
            raise ResourceNotFound(uri)
        feature, exchange.variables = found
        exchange.feature = feature
        return await feature.handler(exchange)

    async def _get_prompt(self, exchange: Exchange) -> Result:
        name = cast(GetPromptParams, exchange.params).name
        prompt = self._registry.prompts.get(name)
        if prompt is None:
            _offered(self._registry.prompts, exchange)
            raise InvalidParams(f"Unknown prompt: {name[:200]}")
        exchange.feature = prompt
        return await prompt.handler(exchange)

    async def _complete(self, exchange: Exchange) -> Result:
        _offered(self._registry.completes, exchange)
        params = cast(CompleteParams, exchange.params)
        feature = self._registry.find_completed(params.ref)
        if feature is None:
            raise InvalidParams(f"Unknown {shown(params)}")
        return await complete(feature.completions, exchange, params)

    def _resources_offered(self, exchange: Exchange) -> None:
        _offered(self._registry.resources or self._registry.templates, exchange)


def _offered(family: Mapping[str, object] | bool, exchange: Exchange) -> None:
    if not family:
        raise MethodNotFound(f"Method not found: {exchange.method}")


def _cursor(exchange: Exchange) -> str | UnsetType:
    return cast(PaginatedParams, exchange.params).cursor
