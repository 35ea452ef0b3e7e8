"""The client: one object that speaks to one server, whatever carries it and whichever era it speaks.

Knows connections and eras by their seams. What the server refuses is raised as MCPError; a tool's own failure is a
result with `is_error`. Leaving the `async with` closes what entering it has opened, also when entering fails.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from msgspec import UNSET

from bascule.client.cache import ResponseCache
from bascule.client.connect import Front, Target, opener
from bascule.client.inputs import Inputs, OnElicit, OnRoots, OnSample
from bascule.client.outputs import KnownTools
from bascule.client.outputs import into as made_into
from bascule.client.session import RETRIES, Session
from bascule.client.subscriptions import Subscription, Wanted
from bascule.engine.answers import ToolsPage
from bascule.engine.connection import EraName, Introduction, OnWire
from bascule.engine.exchange import Principal
from bascule.errors import HeaderMismatch, MCPError
from bascule.runtime.inbox import Inbox
from bascule.version import VERSION
from bascule.wire.completion import CompleteResult, Completion
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.notices import LogMessageParams
from bascule.wire.prompts import GetPromptResult, Prompt
from bascule.wire.requests import Implementation, LogLevel
from bascule.wire.resources import ReadResourceResult, Resource, ResourceTemplate
from bascule.wire.tools import CallToolResult, Tool

T = TypeVar("T")

TIMEOUT = 60.0
MAX_PAGES = 1000

OnProgress = Callable[[float, float | None, str | None], Awaitable[None] | None]
OnLog = Callable[[LogMessageParams], Awaitable[None] | None]
OnNotice = Callable[[str, Any], Awaitable[None] | None]


class Client:
    """A client of one server; `async with` connects it. It may be used by many tasks at once."""

    def __init__(
        self,
        target: Target,
        *,
        era: EraName | None = None,
        name: str = "bascule",
        version: str = VERSION,
        timeout: float | None = TIMEOUT,
        headers: Mapping[str, str] | None = None,
        on_log: OnLog | None = None,
        on_notice: OnNotice | None = None,
        on_elicit: OnElicit | None = None,
        on_sample: OnSample | None = None,
        on_roots: OnRoots | None = None,
        on_wire: OnWire | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        retries: int = RETRIES,
        principal: Principal | None = None,
    ) -> None:
        """`target` is a Server, a URL or a command; `timeout` (seconds, None for no limit) holds for every call.

        A server that goes away is started or connected to again by the next call; what is safe to repeat (lists,
        reads, tools that say so) is repeated up to `retries` times.
        `on_log` gets the server's log messages, `on_notice` the method and parameters of its other notifications; both
        may be async. `on_elicit`, `on_sample` and `on_roots` answer what the server asks while it works on a call, and
        declare that this client can; one that takes a further argument is given Asked: which server, key and request.
        `on_wire` is shown every message that passes, with all its secrets. `principal` is who calls, for tests of a
        Server object: its scopes and limits are that caller's; without it, the user at this machine calls. Raises
        TypeError for what is no target, ConfigError for one that cannot be used as written.
        """
        if era not in {None, "modern", "legacy"}:
            raise ValueError(f"era must be 'modern', 'legacy' or None, not {era!r}")
        openers = opener(target, headers=headers, env=env, cwd=cwd, on_wire=on_wire, principal=principal)
        inputs = Inputs(on_elicit, on_sample, on_roots, self._server_name)
        introduction = Introduction(Implementation(name, version), inputs.capabilities())
        self._inbox = Inbox(on_log, on_notice, inputs)
        self._session = Session(openers, introduction, self._inbox, inputs, era=era, timeout=timeout, retries=retries)
        self._tokens = count(1)
        self._tools = KnownTools()
        self._cache = ResponseCache()
        self._inbox.overhearing.add(self._cache.note)
        self._session.on_anew.append(self.forget)

    @property
    def era(self) -> EraName:
        """Which era the server speaks."""
        return self._session.greeting.name

    @property
    def protocol_version(self) -> str:
        """The protocol revision that is spoken."""
        return self._session.greeting.era.protocol_version

    @property
    def server(self) -> Implementation | None:
        """The server's own name and version, if it gave them."""
        return self._session.greeting.server

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server offers."""
        return self._session.greeting.capabilities

    @property
    def instructions(self) -> str | None:
        """What the server wants its users, or their models, to know."""
        return self._session.greeting.instructions

    def through(self, front: Front) -> Self:
        """This client, not yet connected, with something between it and its server: `front` is given each stream of
        messages when it is opened, and gives back the stream to use instead.

        For servers in memory and commands. Raises ConfigError for a URL, RuntimeError for a client that is connected.
        """
        self._session.through(front)
        return self

    async def __aenter__(self) -> Self:
        """Connect and greet. Raises ConnectionLost, CallTimedOut, or MCPError where the server refuses."""
        if self._session.is_open:
            raise RuntimeError("This client is connected already")
        await self._session.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def list_tools(self, *, timeout: float | None = None) -> list[Tool]:  # noqa: ASYNC109
        """All tools, from as many pages as there are; `timeout` (seconds) replaces the client's, for each page."""
        return await self._list("tools/list", "tools", timeout)

    async def list_resources(self, *, timeout: float | None = None) -> list[Resource]:  # noqa: ASYNC109
        """All resources with a fixed URI."""
        return await self._list("resources/list", "resources", timeout)

    async def list_resource_templates(self, *, timeout: float | None = None) -> list[ResourceTemplate]:  # noqa: ASYNC109
        """All templates of resources."""
        return await self._list("resources/templates/list", "resource_templates", timeout)

    async def list_prompts(self, *, timeout: float | None = None) -> list[Prompt]:  # noqa: ASYNC109
        """All prompts."""
        return await self._list("prompts/list", "prompts", timeout)

    def iter_tools(self, *, timeout: float | None = None) -> AsyncIterator[Tool]:
        """The tools one by one; further pages are asked for as they are needed."""
        return self._each("tools/list", "tools", timeout)

    def iter_resources(self, *, timeout: float | None = None) -> AsyncIterator[Resource]:
        """The resources one by one."""
        return self._each("resources/list", "resources", timeout)

    def iter_resource_templates(self, *, timeout: float | None = None) -> AsyncIterator[ResourceTemplate]:
        """The templates one by one."""
        return self._each("resources/templates/list", "resource_templates", timeout)

    def iter_prompts(self, *, timeout: float | None = None) -> AsyncIterator[Prompt]:
        """The prompts one by one."""
        return self._each("prompts/list", "prompts", timeout)

    async def list_page(self, method: str, cursor: str | None = None, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """One page of a list (`tools/list`, …), with its `next_cursor`, None on the last."""
        return await self._kept(method, {} if cursor is None else {"cursor": cursor}, timeout)

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = ...,
        *,
        into: None = ...,
        timeout: float | None = ...,  # noqa: ASYNC109
        on_progress: OnProgress | None = ...,
        meta: Mapping[str, Any] | None = ...,
        headers: Mapping[str, str] | None = ...,
    ) -> CallToolResult: ...
    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = ...,
        *,
        into: type[T],
        timeout: float | None = ...,  # noqa: ASYNC109
        on_progress: OnProgress | None = ...,
        meta: Mapping[str, Any] | None = ...,
        headers: Mapping[str, str] | None = ...,
    ) -> T: ...
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        into: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Call a tool. A tool that fails gives a result with `is_error`, which is not raised.

        `structured_content` of the result is None where the tool gave none. It is held against the output schema that
        the tool was listed with. With `into` (a struct, dataclass, TypedDict, pydantic model, or any type that JSON
        can hold) the value itself is returned, as that type, and a failure of the tool is raised as ToolError.
        `timeout` (seconds; `math.inf` for no limit) replaces the client's; `on_progress` gets progress, total and
        message, all of them before this returns; `meta` goes into its `_meta`, `headers` into its HTTP headers.
        """
        params: dict[str, Any] = {"name": name, "arguments": dict(arguments or {})}
        if meta:
            params["_meta"] = dict(meta)
        if on_progress is None:
            result = await self._call_tool(params, timeout, headers)
        else:
            token = next(self._tokens)
            params["_meta"] = {**(meta or {}), "progressToken": token}
            courier = self._inbox.watch(token, on_progress)
            try:
                result = await self._call_tool(params, timeout, headers)
                await courier.finish()
            finally:
                self._inbox.unwatch(token)
        self._tools.check(name, result)
        return result if into is None else made_into(into, name, result)

    async def _call_tool(
        self, params: dict[str, Any], seconds: float | None, headers: Mapping[str, str] | None
    ) -> CallToolResult:
        result: CallToolResult
        safe = params["name"] in self._tools.repeatable
        call = partial(self._session.call, "tools/call", params, seconds, safe=safe, headers=headers)
        try:
            result = await call()
        except HeaderMismatch:
            await self.forget()
            await self.list_tools()  # where it is learnt what the headers of a call must repeat
            result = await call()
        if result.structured_content is UNSET:
            result.structured_content = None
        return result

    async def read_resource(self, uri: str, *, timeout: float | None = None) -> ReadResourceResult:  # noqa: ASYNC109
        """Read a resource; `timeout` (seconds, `math.inf` for no limit) replaces the client's."""
        result: ReadResourceResult = await self._kept("resources/read", {"uri": uri}, timeout)
        return result

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> GetPromptResult:
        """Render a prompt."""
        params: dict[str, Any] = {"name": name}
        if arguments is not None:
            params["arguments"] = arguments
        result: GetPromptResult = await self._session.call("prompts/get", params, timeout)
        return result

    async def complete(
        self,
        argument: str,
        value: str,
        *,
        prompt: str | None = None,
        resource: str | None = None,
        given: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Completion:
        """Suggestions for an argument of a prompt, or a variable of a resource template; `given` are the others."""
        ref = {"type": "ref/resource", "uri": resource} if prompt is None else {"type": "ref/prompt", "name": prompt}
        params: dict[str, Any] = {"ref": ref, "argument": {"name": argument, "value": value}}
        if given:
            params["context"] = {"arguments": dict(given)}
        result: CompleteResult = await self._session.call("completion/complete", params, timeout)
        return result.completion

    def subscribe(
        self,
        resources: Sequence[str] = (),
        *,
        tools: bool = False,
        prompts: bool = False,
        resource_list: bool = False,
        tasks: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Subscription:
        """What changes from now on: resources by URI, the lists of tools, prompts and resources, tasks by id.

        Read it with `async for`. As an `async with` it waits until the server has agreed, for `timeout` seconds (the
        client's without, `math.inf` for no limit), and ends in the end. It goes on after an interruption, with what may
        have been missed. Raises MCPError where the server refuses.
        """
        wanted = Wanted(tuple(resources), tools, prompts, resource_list, tuple(tasks))
        return Subscription(self._session, self._inbox, wanted, self._session.seconds(timeout))

    async def forget(self) -> None:
        """Ask the server again for what it allowed to keep."""
        self._cache.clear()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        safe: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """Any request, of an extension for instance; its result as it came, or as a struct where the method is known.

        `safe` says that it may be repeated.
        """
        return await self._session.call(method, params or {}, timeout, safe=safe)

    async def ping(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Return when the server has answered; in the modern era, which has no ping, a discovery stands in for it."""
        await self._session.call("server/discover" if self.era == "modern" else "ping", {}, timeout)

    async def set_log_level(self, level: LogLevel) -> None:
        """Ask for log messages of this level and above; in the modern era the wish goes with every later request."""
        if self.era == "legacy":
            await self._session.call("logging/setLevel", {"level": level})
        self._session.log_level = level

    def _server_name(self) -> str | None:
        server = self.server if self._session.is_open else None
        return None if server is None else server.name

    async def _list(self, method: str, items: str, seconds: float | None) -> list[Any]:
        return [one async for one in self._each(method, items, seconds)]

    async def _each(self, method: str, items: str, seconds: float | None) -> AsyncIterator[Any]:
        """The members of a list, page by page."""
        params: dict[str, Any] = {}
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            page = await self._kept(method, params, seconds)
            for one in getattr(page, items):
                yield one
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in seen:
                raise MCPError(f"The server's answers to {method} go in a circle: a cursor came twice")
            seen.add(cursor)
            params = {"cursor": cursor}
        raise MCPError(f"The server's answers to {method} do not end: {MAX_PAGES} pages came")

    async def _kept(self, method: str, params: Mapping[str, Any], seconds: float | None) -> Any:
        """The answer to a request, from the cache where the server has allowed that."""
        found = self._cache.get(method, params)
        if found is None:
            seen = self._cache.changes
            found = await self._session.call(method, params, seconds)
            if isinstance(found, ToolsPage):
                self._tools.learn(found.tools)
            if seen == self._cache.changes:
                self._cache.put(method, params, found)
        return found
