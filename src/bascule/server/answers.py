"""Answers: what a server does for each method that is about its features.

A family that a server does not offer does not exist: its methods are not found.
Source: specification 2026-07-28, server/tools, server/resources, server/prompts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

from msgspec import UnsetType

from bascule.engine.application import Guarding
from bascule.engine.asking import Dialogue
from bascule.engine.exchange import Exchange, Handler
from bascule.errors import InvalidParams, MethodNotFound, Refused, ResourceNotFound, ToolError
from bascule.guards.scopes import ALL, may_use
from bascule.server.completion import complete, shown
from bascule.server.features import Feature
from bascule.server.offer import Offer
from bascule.server.pages import Pages
from bascule.server.registry import Registry
from bascule.wire.completion import CompleteParams, CompleteResult
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
from bascule.wire.results import CacheableResult, Result
from bascule.wire.tools import CallToolParams, ListToolsResult

AnyList = TypeVar("AnyList", bound=CacheableResult)

_EVERY = frozenset({ALL})


class Answers:
    """The methods of one registry."""

    def __init__(self, registry: Registry, listen: Handler, look_after: Handler, offer: Offer) -> None:
        self._registry = registry
        self._offer = offer
        self._guards = offer.guards
        self.methods: Mapping[str, Handler] = {
            "tools/list": self._limited(self._list_tools),
            "tools/call": self._call_tool,
            "resources/list": self._limited(self._list_resources),
            "resources/templates/list": self._limited(self._list_templates),
            "resources/read": self._read_resource,
            "prompts/list": self._limited(self._list_prompts),
            "prompts/get": self._get_prompt,
            "completion/complete": self._limited(self._complete),
            "subscriptions/listen": listen,
            "skills/list": self._limited(self._of_skills),
            "skills/get": self._of_skills,
            "resources/directory/read": self._limited(self._of_skills),
            "tasks/get": look_after,
            "tasks/update": look_after,
            "tasks/cancel": look_after,
        }

    async def read(self, uri: str, exchange: Exchange) -> list[ResourceContents]:
        """The contents of a resource, read on behalf of a running handler. Raises ResourceNotFound.

        It is guarded as the server that runs guards it, which may be one that mounts this.
        """
        found = self._offer.resource_in(exchange.state.get(Offer, self._offer), uri)
        if found is None:
            raise ResourceNotFound(uri)
        if exchange.dialogue is None:
            exchange.dialogue = Dialogue()  # one for both: what a guard of the inner read was told is told once
        inner = Exchange(
            method="resources/read",
            request_id=exchange.request_id,
            params=ReadResourceParams(found.uri),
            raw_params=None,
            peer=exchange.peer,
            principal=exchange.principal,
            channel=exchange.channel,
            inquire=exchange.inquire,
            dialogue=exchange.dialogue,
            headers=exchange.headers,
            address=exchange.address,
            variables=found.variables,
            feature=found.feature,
            state=exchange.state,
            log_level=exchange.log_level,
            conversation=exchange.conversation,
            outer=exchange,
        )
        result = await found.feature.handler(inner)
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
        page = self._pages("tools", exchange).page(_cursor(exchange))
        return self._scoped("tools", ListToolsResult(tools=page.items, next_cursor=page.next_cursor))

    async def _list_prompts(self, exchange: Exchange) -> Result:
        _offered(self._registry.prompts, exchange)
        page = self._pages("prompts", exchange).page(_cursor(exchange))
        return self._scoped("prompts", ListPromptsResult(prompts=page.items, next_cursor=page.next_cursor))

    async def _list_templates(self, exchange: Exchange) -> Result:
        self._resources_offered(exchange)
        page = self._pages("templates", exchange).page(_cursor(exchange))
        listed = ListResourceTemplatesResult(resource_templates=page.items, next_cursor=page.next_cursor)
        return self._scoped("templates", listed)

    async def _list_resources(self, exchange: Exchange) -> Result:
        self._resources_offered(exchange)
        pages = self._pages("resources", exchange)
        held = self._held(exchange)
        templates = [one for one in self._registry.templates.values() if may_use(one.policy, held)]
        listers = [self._timed(feature.lister, feature) for feature in templates if feature.lister is not None]
        if listers:
            fixed = [one for one in self._registry.resources.values() if may_use(one.policy, held)]
            found: list[Resource] = [feature.definition for feature in fixed]
            for listed in await asyncio.gather(*(lister(exchange) for lister in listers)):
                found.extend(listed)
            pages = Pages(found, self._registry.page_size, self._registry.cursor_keys)
        page = pages.page(_cursor(exchange))
        return self._scoped("resources", ListResourcesResult(resources=page.items, next_cursor=page.next_cursor))

    async def _read_resource(self, exchange: Exchange) -> Result:
        self._resources_offered(exchange)
        uri = cast(ReadResourceParams, exchange.params).uri
        found = self._registry.find_resource(uri)
        if found is None:
            raise ResourceNotFound(uri)
        feature, exchange.variables = found
        exchange.feature = feature
        result = await feature.handler(exchange)
        policy = feature.policy
        if (policy.scopes or policy.confirm != "off") and isinstance(result, CacheableResult):
            result.cache_scope = "private"  # whoever else has it from a shared cache was let in by nobody
        return result

    async def _get_prompt(self, exchange: Exchange) -> Result:
        name = cast(GetPromptParams, exchange.params).name
        prompt = self._registry.prompts.get(name)
        if prompt is None:
            _offered(self._registry.prompts, exchange)
            raise InvalidParams(f"Unknown prompt: {name[:200]}")
        exchange.feature = prompt
        return await prompt.handler(exchange)

    async def _of_skills(self, exchange: Exchange) -> Result:
        skills = self._offer.skills
        if skills is None:
            raise MethodNotFound(f"Method not found: {exchange.method}")
        return self._scoped("resources", cast(CacheableResult, skills.answer(exchange, self._held(exchange))))

    async def _complete(self, exchange: Exchange) -> Result:
        _offered(self._registry.completes, exchange)
        params = cast(CompleteParams, exchange.params)
        feature = self._registry.find_completed(params.ref)
        if feature is None or not may_use(feature.policy, exchange.principal.scopes):
            raise InvalidParams(f"Unknown {shown(params)}")

        def completed(exchange: Exchange) -> Awaitable[CompleteResult]:
            return complete(feature.completions, exchange, params)

        result: Result = await self._timed(completed, feature)(exchange)
        return result

    def _timed(self, answer: Callable[[Exchange], Awaitable[Any]], feature: Feature) -> Callable[[Exchange], Any]:
        """A function of the author's that is no call, held to the time of the feature that it belongs to."""
        timeout = self._guards.guarding.guard("timeout")
        return answer if timeout is None else timeout(answer, feature)

    def _limited(self, answer: Handler) -> Handler:
        """The same method, told of, and counted where the settings say how often lists may be asked for."""
        by: Guarding | None = None
        ready = answer

        async def counted(exchange: Exchange) -> Result:
            limit = self._guards.guarding.list_limit
            try:
                if limit is not None:
                    await limit(exchange)
                return await answer(exchange)
            except ToolError as refused:
                raise Refused(refused) from None

        def watched(exchange: Exchange) -> Awaitable[Result]:
            nonlocal by, ready
            if by is not self._guards.guarding:
                by = self._guards.guarding
                ready = by.watch(counted)
            return ready(exchange)

        return watched

    def _held(self, exchange: Exchange) -> frozenset[str]:
        """The scopes that decide what a caller's lists show."""
        return exchange.principal.scopes if self._guards.guarding.hides else _EVERY

    def _pages(self, family: str, exchange: Exchange) -> Pages:
        return self._registry.pages(family, self._held(exchange))

    def _scoped(self, family: str, result: AnyList) -> AnyList:
        """A list that depends on who asks is for nobody else's cache."""
        apart = self._registry.scopes(family)
        if family == "resources":
            apart |= self._registry.scopes("templates")
        if apart:
            result.cache_scope = "private"
        return result

    def _resources_offered(self, exchange: Exchange) -> None:
        _offered(self._registry.resources or self._registry.templates, exchange)


def _offered(family: Mapping[str, object] | bool, exchange: Exchange) -> None:
    if not family:
        raise MethodNotFound(f"Method not found: {exchange.method}")


def _cursor(exchange: Exchange) -> str | UnsetType:
    return cast(PaginatedParams, exchange.params).cursor
