"""Server: where an author declares tools, resources and prompts, and what transports then serve.

Declaring compiles; answering looks up. Transports meet a server only in `serve`, through `run` and `asgi`.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from bascule.engine.application import Facts, Guarding, Mirrored
from bascule.engine.exchange import Exchange, Guard
from bascule.engine.hub import PROMPTS, TOOLS, Hub
from bascule.engine.policy import Confirm
from bascule.engine.ports import Keeping
from bascule.errors import DeclarationError
from bascule.late import late
from bascule.server import declare
from bascule.server.answers import Answers
from bascule.server.changes import listen
from bascule.server.completion import suggester
from bascule.server.context import Context
from bascule.server.depends import Made
from bascule.server.features import Lifespan, ListResources
from bascule.server.offer import Explained, Offer
from bascule.server.pages import PAGE_SIZE
from bascule.server.registry import Registry
from bascule.server.routes import GET, PageTable
from bascule.server.task_door import TaskDoor
from bascule.server.workers import Workers
from bascule.wire.content import Annotations, Icon, Meta
from bascule.wire.requests import Implementation
from bascule.wire.results import CacheScope, Result
from bascule.wire.tasks import EXTENSION as TASKS
from bascule.wire.tools import JSONSchema, ToolAnnotations

if TYPE_CHECKING:
    from bascule.server.rehearsal import Rehearsal

Function = TypeVar("Function", bound=Callable[..., Any])


class Server:
    """A server: its name and version, and what it offers.

    `instructions` tell a model how to use it. `lifespan(server)` is an async context manager that opens what handlers
    need; what it yields is `ctx.lifespan`. Lists come in pages of `page_size`; `cache_ttl_ms` and `cache_scope` are the
    caching hints of the stateless era for lists and reads (the default says: do not cache, do not share).
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "0.0.0",
        title: str | None = None,
        description: str | None = None,
        instructions: str | None = None,
        website_url: str | None = None,
        icons: list[Icon] | None = None,
        lifespan: Lifespan | None = None,
        page_size: int = PAGE_SIZE,
        cache_ttl_ms: int = 0,
        cache_scope: CacheScope = "private",
    ) -> None:
        if page_size < 1:
            raise DeclarationError(f"The server {name!r} needs a page_size of at least 1")
        declare.check_ttl(cache_ttl_ms, f"server {name!r}")
        self.info = Implementation(name, version, title, description, website_url, icons)
        self._instructions = instructions
        self._cache: tuple[int, CacheScope] = (cache_ttl_ms, cache_scope)
        self._lifespan = lifespan
        self._registry = Registry(page_size)
        self.hub = Hub(self._registry.may_hear)
        self._offer = Offer(name, self._registry, self.hub)
        self._tasks = TaskDoor(self.hub)
        self._answers = Answers(
            self._registry,
            self._listen,
            self._tasks.look_after,
            self._offer,
        )
        self._methods = self._answers.methods
        self._workers = Workers()
        self._mounted: list[Server] = []
        self.routes = PageTable(self)

    @overload
    def tool(self, function: Function, /) -> Function: ...
    @overload
    def tool(
        self,
        function: None = None,
        /,
        *,
        name: str | None = ...,
        title: str | None = ...,
        description: str | None = ...,
        annotations: ToolAnnotations | None = ...,
        icons: list[Icon] | None = ...,
        meta: Meta | None = ...,
        input_schema: JSONSchema | None = ...,
        output_schema: JSONSchema | None = ...,
        inline: bool = ...,
        task: Literal["never", "optional", "required"] = ...,
        scopes: Sequence[str] = ...,
        rate: str = ...,
        timeout: float | None = ...,
        concurrency: int | None = ...,
        confirm: bool | Confirm | None = ...,
        untrusted: bool = ...,
        max_result_bytes: int | None = ...,
        polls: bool = ...,
    ) -> Callable[[Function], Function]: ...
    def tool(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: list[Icon] | None = None,
        meta: Meta | None = None,
        input_schema: JSONSchema | None = None,
        output_schema: JSONSchema | None = None,
        inline: bool = False,
        task: Literal["never", "optional", "required"] = "never",
        scopes: Sequence[str] = (),
        rate: str = "",
        timeout: float | None = None,
        concurrency: int | None = None,
        confirm: bool | Confirm | None = None,
        untrusted: bool = False,
        max_result_bytes: int | None = None,
        polls: bool = False,
    ) -> Any:
        """Declare a tool; use it bare or called.

        Name and description default to the function's. Type hints become the input schema and are enforced; with
        `input_schema` (JSON Schema 2020-12, kept as given) the function takes one dict instead. A synchronous function
        runs in a thread unless `inline` says that it is quick and never blocks. With `task` the call goes on after its
        answer, for clients that know the tasks extension: where it is "required" others are refused.
        Raises DeclarationError where the function cannot be a tool as written.
        """
        demands = declare.demands(scopes, rate, timeout, concurrency, confirm, untrusted, max_result_bytes, polls)
        schemas, as_task = (input_schema, output_schema), self._tasks.as_task(task)
        options = declare.ToolOptions(
            name, title, description, annotations, icons, meta, *schemas, inline, as_task, demands
        )

        def declared(given: Function) -> Function:
            self._offer.add(declare.tool(self, given, options))
            return given

        return declared if function is None else declared(function)

    def resource(
        self,
        uri: str,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
        size: int | None = None,
        annotations: Annotations | None = None,
        icons: list[Icon] | None = None,
        meta: Meta | None = None,
        list: ListResources | None = None,
        cache_ttl_ms: int | None = None,
        cache_scope: CacheScope | None = None,
        scopes: Sequence[str] = (),
        rate: str = "",
        timeout: float | None = None,
        concurrency: int | None = None,
        confirm: bool | Confirm | None = None,
        untrusted: bool = False,
        max_result_bytes: int | None = None,
    ) -> Callable[[Function], Function]:
        """Declare a resource, or with `{variables}` in the URI (RFC 6570, up to level 3) a family of them.

        A template's variables are the function's parameters. `list(ctx)` names the members for `resources/list`.
        `cache_ttl_ms` and `cache_scope` are caching hints for what is read, in place of the server's.
        Raises DeclarationError where the function does not fit the URI.
        """
        demands = declare.demands(scopes, rate, timeout, concurrency, confirm, untrusted, max_result_bytes)
        cache = (cache_ttl_ms, cache_scope)
        options = declare.ResourceOptions(
            uri, name, title, description, mime_type, size, annotations, icons, meta, list, *cache, demands
        )

        def declared(given: Function) -> Function:
            self._offer.add(declare.resource(self, given, options))
            return given

        return declared

    @overload
    def prompt(self, function: Function, /) -> Function: ...
    @overload
    def prompt(
        self,
        function: None = None,
        /,
        *,
        name: str | None = ...,
        title: str | None = ...,
        description: str | None = ...,
        icons: list[Icon] | None = ...,
        meta: Meta | None = ...,
        scopes: Sequence[str] = ...,
        rate: str = ...,
        timeout: float | None = ...,
        concurrency: int | None = ...,
        confirm: bool | Confirm | None = ...,
        untrusted: bool = ...,
        max_result_bytes: int | None = ...,
    ) -> Callable[[Function], Function]: ...
    def prompt(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: list[Icon] | None = None,
        meta: Meta | None = None,
        scopes: Sequence[str] = (),
        rate: str = "",
        timeout: float | None = None,
        concurrency: int | None = None,
        confirm: bool | Confirm | None = None,
        untrusted: bool = False,
        max_result_bytes: int | None = None,
    ) -> Any:
        """Declare a prompt; use it bare or called. Its arguments arrive as strings and are converted by type hint.

        Raises DeclarationError where the function cannot be a prompt as written.
        """
        demands = declare.demands(scopes, rate, timeout, concurrency, confirm, untrusted, max_result_bytes)
        options = declare.PromptOptions(name, title, description, icons, meta, demands)

        def declared(given: Function) -> Function:
            self._offer.add(declare.prompt(self, given, options))
            return given

        return declared if function is None else declared(function)

    def guard(self, function: Guard, *, before: str | None = None) -> Guard:
        """Put a guard of your own around every feature of this server: `function(next, feature)` returns the handler
        to run in place of `next`, or `next` itself where it has no business.

        It runs right outside of the guard that `before` names (`guards.ORDER` has them all), or inside of all of them.
        Of two in one place, the first runs outside. Raises DeclarationError for a name that is none and a guard that
        returns no handler; then it runs nowhere.
        """
        self._offer.guard_with(function, before)
        return function

    def redact(self, redactor: Any) -> None:
        """Let no secret that a `Redactor` knows leave this server's tools, resources and prompts, nor their errors."""
        make = late("bascule.guards.sanitise:redact")
        self._offer.guard_with(make(redactor), "scopes", results=True)
        self._offer.guard_with(make(redactor, again=True), "sanitise", results=True)

    def completion(
        self, *, argument: str, prompt: str | None = None, resource: str | None = None
    ) -> Callable[[Function], Function]:
        """Declare what suggests values for an argument of a prompt, or for a variable of a resource template.

        The function takes the text so far, and a dict of the other arguments if it likes, and returns texts, the best
        first. Choices of a Literal or an enum need no function. Prompt or template come first.
        Raises DeclarationError where there is no such argument.
        """
        if (prompt is None) == (resource is None):
            raise DeclarationError("A completion is for an argument of a prompt or of a resource: give one of the two")
        found = self._registry.prompts.get(prompt) if prompt else self._registry.templates.get(resource or "")
        what = f"completion of {argument!r} of {prompt or resource!r}"
        if found is None or argument not in found.completions.names:
            raise DeclarationError(f"The {what}: there is no such argument; declare what it belongs to first")
        completions = found.completions

        def declared(given: Function) -> Function:
            completions.functions[argument] = suggester(self, given, what)
            return given

        return declared

    @overload
    def route(
        self, path: str, handler: None = None, *, methods: Sequence[str] = ..., public: bool = ...
    ) -> Callable[[Function], Function]: ...
    @overload
    def route(self, path: str, handler: Function, *, methods: Sequence[str] = ..., public: bool = ...) -> Function: ...
    def route(self, path: str, handler: Any = None, *, methods: Sequence[str] = GET, public: bool = False) -> Any:
        """Serve a page beside the MCP endpoint, over HTTP only: `handler(request)` answers with an HttpResponse, a str,
        bytes, a dict or a list; synchronous functions run in a thread. Or an ASGI application, for all below the path.

        Who asks must show credentials as at the endpoint, unless the page is `public`. Guards do not run for pages.
        Raises DeclarationError for a path that is taken or cannot be, and ConfigError at start where the endpoint is.
        """
        return self.routes.declare(path, handler, methods, public)

    def skills(self, folder: str | os.PathLike[str]) -> None:
        """Offer every skill in a folder: each a folder of its own with a SKILL.md. They are read now, and once.

        Hidden files are left out. Needs the extra `skills`.
        Raises DeclarationError where a skill is not as it must be, and takes none of them then.
        """
        features, skills = _skills_in(folder)
        self._offer.add_all(features)
        self._offer.take_skills(skills)

    def mount(self, other: "Server", *, prefix: str | None = None) -> None:
        """Offer everything that `other` offers, now and later, here too; its lifespan runs inside this one's.

        With a prefix, tools and prompts become `prefix_name`, resources and skills `scheme://prefix/…`, and pages
        `/prefix/…`.
        Raises DeclarationError where a name is taken.
        """
        if other is self or other.contains(self):
            raise DeclarationError(f"The server {other.info.name!r} cannot be mounted in itself")
        adopt_pages = self.routes.adoption(other.routes, prefix)
        self._offer.adopt(other._offer, prefix)
        adopt_pages()
        self._mounted.append(other)
        self._tasks.mount(other._tasks)

    def contains(self, other: "Server") -> bool:
        """Whether `other` is mounted in this server, directly or in one that is."""
        return any(mounted is other or mounted.contains(other) for mounted in self._mounted)

    @property
    def facts(self) -> Facts:
        """What this server says of itself. Families without features are not offered."""
        extensions: dict[str, Any] = {TASKS: {}} if self._tasks.runners() else {}
        return self._offer.facts(self.info, self._instructions, self._cache, extensions)

    @property
    def healthy(self) -> bool:
        """Whether calls are taken and recorded as they should be: not while an audit log that must be kept cannot."""
        return self._offer.guards.guarding.healthy

    def use_secrets(self, secrets: Sequence[str]) -> None:
        """Sign cursors with these secrets, newest first, so that every process that has them knows them."""
        self._registry.use_secrets(secrets)

    def keep_tasks(self, keeping: Keeping) -> None:
        """Keep tasks in this way, from the next run on."""
        self._tasks.keeping = keeping

    def use_guards(self, guarding: Guarding) -> None:
        """Guard every feature, also those that come later, as this process's settings say.

        Raises ConfigError where they cannot hold; then the settings from before do.
        """
        self._offer.guard_by(guarding)
        self._bound_threads(*guarding.threads)

    def explain(self) -> list[Explained]:
        """What holds for every tool, resource and prompt, and who says so. Raises ConfigError."""
        return self._offer.explain()

    def session_ended(self, seconds: float, version: str, *, http: bool) -> None:
        """A session of the handshake era has ended, after so many seconds."""
        self._offer.guards.guarding.session_ended(seconds, version, http=http)

    def rehearsal(self, guarding: Guarding) -> "Rehearsal":
        """This server with guards by these settings, and nothing of its functions behind them. Raises ConfigError."""
        made: Rehearsal = late("bascule.server.rehearsal:Rehearsal")(self._registry, self.facts, guarding)
        return made

    def mirrored(self, tool: str) -> tuple[Mirrored, ...]:
        """The parameters of a tool that an HTTP header must repeat."""
        found = self._registry.tools.get(tool)
        return () if found is None else found.mirrored

    def answer(self, exchange: Exchange) -> Awaitable[Result]:
        """The result of one exchange. Raises MCPError."""
        return self._methods[exchange.method](exchange)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[Any, Any]]:
        """Open this server's lifespan and those of the servers mounted in it; close them in reverse.

        Yields what each of them yielded, by server.
        """
        state: dict[Any, Any] = {}
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._offer.guards.guarding.running())
            state[Made] = Made(await stack.enter_async_context(AsyncExitStack()))
            state[Offer] = self._offer
            await self._tasks.open(state, stack)
            if self._lifespan is not None:
                state[self] = await stack.enter_async_context(self._lifespan(self))
            for other in self._mounted:
                state = {**await stack.enter_async_context(other.running()), **state}
            try:
                yield state
            finally:
                await self._tasks.close(state)

    def context(self, exchange: Exchange) -> Context:
        """The context that a handler of this server gets."""
        return Context(exchange, exchange.state.get(self), self._answers.read)

    def _bound_threads(self, most: int, most_of_one: int) -> None:
        self._workers.bound(most, most_of_one)
        for mounted in self._mounted:
            mounted._bound_threads(most, most_of_one)

    async def in_thread(
        self, function: Callable[..., Any], *arguments: Any, key: object = "others", most: int | None = None
    ) -> Any:
        """Run a function in one of this server's threads, of which those of one key hold a share, and not more than
        `most`. Raises Busy."""
        return await self._workers.run(function, *arguments, key=key, most=most)

    def run(
        self,
        transport: Literal["stdio", "http"] = "stdio",
        *,
        host: str | None = None,
        port: int | None = None,
        allow_unauthenticated: bool = False,
    ) -> None:
        """Serve until the input closes (stdio) or a signal arrives. HTTP: `host` 127.0.0.1, `port` 3000, path /mcp.

        Raises ConfigError where the settings cannot work, or would serve the public without credentials.
        """
        late("bascule.serve:run")(self, transport, host=host, port=port, allow_unauthenticated=allow_unauthenticated)

    def asgi(self, *, allowed_hosts: Sequence[str] = (), allowed_origins: Sequence[str] = ()) -> Any:
        """An ASGI application that answers at its mount root and at /mcp, and needs no lifespan wiring.

        `allowed_hosts` and `allowed_origins` (with `*` as wildcard) are added to those of the settings and to loopback.
        """
        return late("bascule.serve:asgi")(self, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins)

    def remove_tool(self, name: str) -> None:
        """Offer a tool no longer; clients that listen are told. Raises DeclarationError where there is none."""
        self._offer.remove(TOOLS, name)

    def remove_prompt(self, name: str) -> None:
        """Offer a prompt no longer. Raises DeclarationError where there is none."""
        self._offer.remove(PROMPTS, name)

    def remove_resource(self, uri: str) -> None:
        """Offer a resource, or a template of them, no longer. Raises DeclarationError where there is none, and for a
        file of a skill, which the skill's manifest promises."""
        skills = self._offer.skills
        if skills is not None and skills.promises(uri):
            raise DeclarationError(f"The resource {uri!r} is part of a skill; it cannot be removed alone")
        self._offer.remove(self._offer.family_of(uri), uri)

    def notify_resource_updated(self, uri: str) -> None:
        """Tell the clients that subscribed to a resource that it has changed. May be called from any thread."""
        self._offer.tell_updated(uri)

    def notify_list_changed(self, what: Literal["tools", "prompts", "resources"]) -> None:
        """Tell the clients that listen that a list has changed in a way that the server cannot see: what a template's
        lister names, say. Adding and removing are told by themselves."""
        self._offer.tell_changed(what)

    async def _listen(self, exchange: Exchange) -> Result:
        return await listen(self.hub, self.facts.capabilities, self._tasks.watch, exchange)


def _skills_in(folder: str | os.PathLike[str]) -> Any:
    """The resources of a folder's skills, and the skills. Raises DeclarationError."""
    try:
        read = late("bascule.server.skills:read")
    except ModuleNotFoundError as error:
        needed = f"Skills need the extra: pip install 'bascule[skills]' (missing: {error.name})."
        raise DeclarationError(needed) from None
    return read(folder)
