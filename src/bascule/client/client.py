"""The client: one object that speaks to one server, whatever carries it and whichever era it speaks.

Knows connections and eras by their seams. What the server refuses is raised as MCPError; a tool's own failure is a
result with `is_error`. Leaving the `async with` closes what entering it has opened, also when entering fails.
"""

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from types import TracebackType
from typing import Any, Self

from msgspec import UNSET

from bascule.client.connect import Target, opener
from bascule.client.greeting import greet
from bascule.client.inputs import Inputs, OnElicit, OnRoots, OnSample
from bascule.engine.asking import MAX_ROUNDS
from bascule.engine.connection import Connection, EraName, Greeting, Introduction, SessionExpired
from bascule.errors import ConnectionLost, HeaderMismatch, MCPError
from bascule.runtime.inbox import Inbox
from bascule.version import VERSION
from bascule.wire.completion import CompleteResult, Completion
from bascule.wire.inputs import InputRequiredResult
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.notices import LogMessageParams
from bascule.wire.prompts import GetPromptResult, Prompt
from bascule.wire.requests import Implementation, LogLevel
from bascule.wire.resources import ReadResourceResult, Resource, ResourceTemplate
from bascule.wire.tools import CallToolResult, Tool

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
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        """`target` is a Server, a URL or a command; `timeout` (seconds, None for no limit) holds for every call.

        `on_log` gets the server's log messages, `on_notice` the method and parameters of its other notifications; both
        may be async. `on_elicit`, `on_sample` and `on_roots` answer what the server asks while it works on a call, and
        declare that this client can. Raises TypeError for what is no target, ConfigError for one that cannot be used as
        written.
        """
        if era not in {None, "modern", "legacy"}:
            raise ValueError(f"era must be 'modern', 'legacy' or None, not {era!r}")
        self._open_connection = opener(target, headers=headers, env=env, cwd=cwd)
        self._wanted_era = era
        self._inputs = Inputs(on_elicit, on_sample, on_roots)
        self._introduction = Introduction(Implementation(name, version), self._inputs.capabilities())
        self._timeout = timeout
        self._inbox = Inbox(on_log, on_notice, self._inputs)
        self._tokens = count(1)
        self._log_level: LogLevel | None = None
        self._greeting_again = asyncio.Lock()
        self._connection: Connection | None = None
        self._greeting: Greeting | None = None

    @property
    def era(self) -> EraName:
        """Which era the server speaks."""
        return self._greeted.name

    @property
    def protocol_version(self) -> str:
        """The protocol revision that is spoken."""
        return self._greeted.era.protocol_version

    @property
    def server(self) -> Implementation | None:
        """The server's own name and version, if it gave them."""
        return self._greeted.server

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server offers."""
        return self._greeted.capabilities

    @property
    def instructions(self) -> str | None:
        """What the server wants its users, or their models, to know."""
        return self._greeted.instructions

    async def __aenter__(self) -> Self:
        """Connect and greet. Raises ConnectionLost, CallTimedOut, or MCPError where the server refuses."""
        if self._connection is not None:
            raise RuntimeError("This client is connected already")
        try:
            await self._connect()
        except BaseException:
            await self._disconnect()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disconnect()

    async def list_tools(self) -> list[Tool]:
        """All tools, from as many pages as there are."""
        return await self._list("tools/list", "tools")

    async def list_resources(self) -> list[Resource]:
        """All resources with a fixed URI."""
        return await self._list("resources/list", "resources")

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """All templates of resources."""
        return await self._list("resources/templates/list", "resource_templates")

    async def list_prompts(self) -> list[Prompt]:
        """All prompts."""
        return await self._list("prompts/list", "prompts")

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> CallToolResult:
        """Call a tool. A tool that fails gives a result with `is_error`, which is not raised.

        `structured_content` of the result is None where the tool gave none.
        `timeout` (seconds; `math.inf` for no limit) replaces the client's; `on_progress` gets progress, total and
        message, all of them before this returns; `meta` is added to the request's `_meta`.
        """
        params: dict[str, Any] = {"name": name, "arguments": dict(arguments or {})}
        if meta:
            params["_meta"] = dict(meta)
        if on_progress is None:
            return await self._call_tool(params, timeout)
        token = next(self._tokens)
        params["_meta"] = {**(meta or {}), "progressToken": token}
        courier = self._inbox.watch(token, on_progress)
        try:
            result = await self._call_tool(params, timeout)
            await courier.finish()
        finally:
            self._inbox.unwatch(token)
        return result

    async def _call_tool(self, params: dict[str, Any], timeout: float | None) -> CallToolResult:  # noqa: ASYNC109
        result: CallToolResult
        try:
            result = await self._call("tools/call", params, timeout)
        except HeaderMismatch:
            await self.list_tools()  # where it is learnt what the headers of a call must repeat
            result = await self._call("tools/call", params, timeout)
        if result.structured_content is UNSET:
            result.structured_content = None
        return result

    async def read_resource(self, uri: str) -> ReadResourceResult:
        """Read a resource."""
        result: ReadResourceResult = await self._call("resources/read", {"uri": uri})
        return result

    async def get_prompt(self, name: str, arguments: Mapping[str, str] | None = None) -> GetPromptResult:
        """Render a prompt."""
        params: dict[str, Any] = {"name": name}
        if arguments is not None:
            params["arguments"] = arguments
        result: GetPromptResult = await self._call("prompts/get", params)
        return result

    async def complete(
        self,
        argument: str,
        value: str,
        *,
        prompt: str | None = None,
        resource: str | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Completion:
        """Suggestions for an argument of a prompt, or a variable of a resource template; `given` are the others."""
        ref = {"type": "ref/resource", "uri": resource} if prompt is None else {"type": "ref/prompt", "name": prompt}
        params: dict[str, Any] = {"ref": ref, "argument": {"name": argument, "value": value}}
        if given:
            params["context"] = {"arguments": dict(given)}
        result: CompleteResult = await self._call("completion/complete", params)
        return result.completion

    async def ping(self) -> None:
        """Return when the server has answered; in the modern era, which has no ping, a discovery stands in for it."""
        await self._call("server/discover" if self.era == "modern" else "ping", {})

    async def set_log_level(self, level: LogLevel) -> None:
        """Ask for log messages of this level and above; in the modern era the wish goes with every later request."""
        if self.era == "legacy":
            await self._call("logging/setLevel", {"level": level})
        self._log_level = level

    @property
    def _greeted(self) -> Greeting:
        if self._greeting is None:
            raise RuntimeError("This client is not connected: use it inside 'async with'")
        return self._greeting

    async def _list(self, method: str, items: str) -> list[Any]:
        found: list[Any] = []
        params: dict[str, Any] = {}
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            page = await self._call(method, params)
            found.extend(getattr(page, items))
            cursor = page.next_cursor
            if cursor is None:
                return found
            if cursor in seen:
                raise MCPError(f"The server's answers to {method} go in a circle: a cursor came twice")
            seen.add(cursor)
            params = {"cursor": cursor}
        raise MCPError(f"The server's answers to {method} do not end: {MAX_PAGES} pages came")

    async def _call(self, method: str, params: Mapping[str, Any], timeout: float | None = None) -> Any:  # noqa: ASYNC109
        if self._greeting_again.locked():
            async with self._greeting_again:
                pass  # a new session is being opened, which this call belongs to
        greeting = self._greeted
        result = await self._sent(greeting, method, params, timeout)
        for _ in range(MAX_ROUNDS):
            if not isinstance(result, InputRequiredResult):
                return result
            added = await self._inputs.answer_round(result)
            result = await self._sent(self._greeted, method, {**params, **added}, timeout)
        raise MCPError(f"The server asked back {MAX_ROUNDS} times and still did not answer {method}")

    async def _sent(self, greeting: Greeting, method: str, params: Mapping[str, Any], timeout: float | None) -> Any:  # noqa: ASYNC109
        try:
            return await self._send(greeting, method, params, timeout)
        except SessionExpired:
            await self._greet_again(greeting)
        return await self._send(self._greeted, method, params, timeout)

    async def _send(self, greeting: Greeting, method: str, params: Mapping[str, Any], seconds: float | None) -> Any:
        within = self._timeout if seconds is None else None if math.isinf(seconds) else seconds
        connection = self._connection
        if connection is None:
            raise ConnectionLost("The client was closed")
        outbound = greeting.era.prepare(method, params, self._log_level)
        return greeting.era.conclude(method, await connection.call(method, outbound, within))

    async def _connect(self) -> None:
        connection = await self._start()
        try:
            self._greeting = await greet(connection, self._introduction, self._wanted_era, self._timeout)
        except ConnectionLost:
            if self._wanted_era is not None or connection.probe_timeout is None:
                raise
            await connection.close()  # some servers of the handshake era end at any first message but theirs
            self._inbox.renew()
            connection = await self._start()
            self._greeting = await greet(connection, self._introduction, "legacy", self._timeout)

    async def _start(self) -> Connection:
        self._connection = self._open_connection(self._inbox)
        await self._connection.start()
        return self._connection

    async def _greet_again(self, expired: Greeting) -> None:
        """Open a new session in place of one that the server has ended; one task does so for all."""
        async with self._greeting_again:
            if self._greeting is not expired or self._connection is None:
                return
            self._greeting = await greet(self._connection, self._introduction, expired.name, self._timeout)
            if self._log_level is not None:
                await self._send(self._greeting, "logging/setLevel", {"level": self._log_level}, None)

    async def _disconnect(self) -> None:
        connection, self._connection, self._greeting = self._connection, None, None
        try:
            if connection is not None:
                await connection.close()
        finally:
            self._inbox.close()
            self._inbox.renew()
