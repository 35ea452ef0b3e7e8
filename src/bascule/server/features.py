"""Features: a function declared as a tool, resource, template or prompt, compiled into a definition and a handler.

Everything that can be decided at declaration is decided here: schemas, decoders, guards. A call only runs the handler.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import Any, Protocol

from msgspec import UNSET, Struct

from bascule.engine.application import Mirrored
from bascule.engine.demands import Demands
from bascule.engine.exchange import Exchange, Handler
from bascule.engine.mirrored import mirrored_of
from bascule.engine.policy import PLAIN, Kind, Policy
from bascule.errors import (
    ERROR_KEY,
    DeclarationError,
    Internal,
    InternalError,
    InvalidArguments,
    InvalidParams,
    MCPError,
    Refused,
    ToolError,
)
from bascule.guards import Own
from bascule.server.asked import answers_to
from bascule.server.completion import NOTHING, Completions
from bascule.server.context import Context
from bascule.server.depends import Made, Provided, values_for
from bascule.server.faults import meaning_of
from bascule.server.parameters import Asked
from bascule.server.results import Output, prompt_result, resource_result
from bascule.server.templates import Template
from bascule.wire.content import TextContent
from bascule.wire.prompts import Prompt
from bascule.wire.resources import ReadResourceParams, Resource, ResourceTemplate
from bascule.wire.results import CacheScope, Result
from bascule.wire.tools import CallToolParams, CallToolResult, Tool

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S*")

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
ListResources = Callable[[Context], Awaitable[list[Resource]]]


class Parameters(Protocol):
    """A function's parameters, compiled: from JSON bytes, or from strings, to a call."""

    schema: dict[str, Any]
    is_async: bool
    wants_context: bool
    asked: tuple[Asked, ...]
    provided: tuple[Provided, ...]

    def call(self, raw: Any, context: Any) -> Any: ...

    def arguments(self, raw: Any) -> Any: ...

    def invoke(self, arguments: Any, context: Any) -> Any: ...

    def parse(self, values: Any) -> Any: ...


class Home(Protocol):
    """The server that owns a feature: lends its handlers a context and threads."""

    def context(self, exchange: Exchange) -> Context: ...

    async def in_thread(
        self, function: Callable[..., Any], *arguments: Any, key: object = ..., most: int | None = ...
    ) -> Any: ...


Check = Callable[[Exchange], None]
"""Raises InvalidArguments for a call whose arguments do not fit."""


class Kept(Struct, frozen=True, eq=False):
    """What it takes to guard a feature anew: its handler as it was before any guard, its definition, what its
    declaration demands, and the guards of the authors of all servers that it came through, the innermost's first."""

    bare: Handler | None = None
    definition: Any = None
    demands: Demands = Demands()
    check: Check | None = None
    into_task: Callable[[Handler, Handler], Handler] | None = None
    """Makes a handler whose calls go on as tasks out of what a task does, and what a plain call does."""
    owners: tuple[list[Own], ...] = ()


class Guarded(Struct, frozen=True, kw_only=True):
    """What every feature has for its guards: the policy that holds, and what it takes to guard it anew."""

    policy: Policy = PLAIN
    kept: Kept = Kept()

    @property
    def check(self) -> Check | None:
        """Raises InvalidArguments for a call whose arguments do not fit; None where there is nothing to check."""
        return self.kept.check


class ToolFeature(Guarded, frozen=True):
    """A tool; `mirrored` are the parameters that an HTTP header must repeat."""

    name: str
    definition: Tool
    handler: Handler
    mirrored: tuple[Mirrored, ...] = ()

    @property
    def kind(self) -> Kind:
        return "tool"

    @property
    def address(self) -> str:
        return self.name


class ResourceFeature(Guarded, frozen=True):
    """A resource with a fixed URI."""

    name: str
    definition: Resource
    handler: Handler

    @property
    def kind(self) -> Kind:
        return "resource"

    @property
    def address(self) -> str:
        return self.definition.uri


class TemplateFeature(Guarded, frozen=True):
    """A family of resources; `lister` names those that exist, where the author gave such a function."""

    name: str
    definition: ResourceTemplate
    template: Template
    handler: Handler
    lister: Callable[[Exchange], Awaitable[list[Resource]]] | None = None
    completions: Completions = NOTHING

    @property
    def kind(self) -> Kind:
        return "template"

    @property
    def address(self) -> str:
        return self.definition.uri_template


class PromptFeature(Guarded, frozen=True):
    """A prompt."""

    name: str
    definition: Prompt
    handler: Handler
    completions: Completions = NOTHING

    @property
    def kind(self) -> Kind:
        return "prompt"

    @property
    def address(self) -> str:
        return self.name


Feature = ToolFeature | ResourceFeature | TemplateFeature | PromptFeature


def checked_name(name: str, what: str) -> str:
    """The name, if the specification's rule for tool names allows it. Raises DeclarationError."""
    if not _NAME.fullmatch(name):
        raise DeclarationError(
            f"The {what} name {name!r} must be 1 to 128 characters out of A-Z, a-z, 0-9, underscore, hyphen and dot"
        )
    return name


def checked_uri(uri: str) -> str:
    """The URI, if it has a scheme and no blanks. Raises DeclarationError."""
    if not _URI.fullmatch(uri):
        raise DeclarationError(f"The resource URI {uri!r} needs a scheme, as in config://settings, and no blanks")
    return uri


AsTask = Callable[[Handler, Handler, Callable[[Exchange], Awaitable[Any]]], Handler]
"""Makes a handler that answers with a task, out of what the task does, what a call does that is none, and what comes
before the task begins."""


def tool_feature(
    home: Home,
    definition: Tool,
    parameters: Parameters,
    output: Output,
    *,
    inline: bool,
    as_task: AsTask | None,
    demands: Demands,
) -> ToolFeature:
    """A tool whose handler decodes, calls and renders."""
    run = _runner(home, parameters, inline)
    what = f"tool {definition.name!r}"

    async def handler(exchange: Exchange) -> Result:
        try:
            params = exchange.params
            return output.render(await run(exchange, params.arguments if isinstance(params, CallToolParams) else UNSET))
        except ToolError as error:
            return failure(error)
        except MCPError:
            raise
        except (Exception, SystemExit) as error:
            return failure(meaning_of(error, what))

    mirrored = mirrored_of(definition.input_schema, what)
    prelude = _prelude(home, parameters)
    into_task = None if as_task is None else lambda work, plain: as_task(work, plain, prelude)
    kept = Kept(handler, definition, demands, _checker(parameters), into_task)
    return ToolFeature(definition.name, definition, handler, mirrored, kept=kept)


def _checker(parameters: Parameters) -> Check:
    def check(exchange: Exchange) -> None:
        params = exchange.params
        parameters.arguments(params.arguments if isinstance(params, CallToolParams) else UNSET)

    return check


def prompt_check(parameters: Parameters) -> Check:
    """Raises InvalidParams for arguments of a prompt that its function would refuse."""

    def check(exchange: Exchange) -> None:
        given = getattr(exchange.params, "arguments", UNSET)
        _parsed(parameters, {} if given is UNSET else given)

    return check


def resource_check(parameters: Parameters) -> Check:
    """Raises InvalidParams for a URI whose variables the function of the resource would refuse."""
    return lambda exchange: _parsed(parameters, exchange.variables)


def _parsed(parameters: Parameters, values: Any) -> None:
    try:
        parameters.parse(values)
    except InvalidArguments as error:
        raise InvalidParams(error.message) from None


def _prelude(home: Home, parameters: Parameters) -> Callable[[Exchange], Awaitable[Any]]:
    """What comes before a task begins: its arguments are checked, and its declared questions answered."""

    check = _checker(parameters)

    async def prelude(exchange: Exchange) -> None:
        check(exchange)
        if parameters.asked:
            await answers_to(home.context(exchange), parameters.asked)

    return prelude


def resource_handler(
    home: Home, parameters: Parameters, mime_type: str | None, what: str, cache: tuple[int | None, CacheScope | None]
) -> Handler:
    """A handler that reads a resource, its parameters taken from the URI; `cache` are hints for results without."""
    ttl_ms, scope = cache
    read = _reader(home, parameters, what)

    async def handler(exchange: Exchange) -> Result:
        params = exchange.params
        uri = params.uri if isinstance(params, ReadResourceParams) else ""
        result = resource_result(await read(exchange, exchange.variables), uri, mime_type)
        if ttl_ms is not None and result.ttl_ms is UNSET:
            result.ttl_ms = ttl_ms
        if scope is not None and result.cache_scope is UNSET:
            result.cache_scope = scope
        return result

    return handler


def prompt_handler(home: Home, parameters: Parameters, description: str | None, what: str) -> Handler:
    """A handler that renders a prompt, its arguments given as strings."""
    read = _reader(home, parameters, what)

    async def handler(exchange: Exchange) -> Result:
        given = getattr(exchange.params, "arguments", UNSET)
        result = prompt_result(await read(exchange, {} if given is UNSET else given))
        if description is not None and result.description is UNSET:
            result.description = description
        return result

    return handler


def resource_lister(home: Home, function: ListResources, what: str) -> Callable[[Exchange], Awaitable[list[Resource]]]:
    """A function that lists the members of a template."""

    async def lister(exchange: Exchange) -> list[Resource]:
        with _told(f"the list of {what}"):
            return await function(home.context(exchange))

    return lister


def failure(error: ToolError) -> CallToolResult:
    """The result that tells the model what went wrong."""
    return CallToolResult(
        content=[TextContent(error.message)],
        is_error=True,
        meta={ERROR_KEY: {"code": error.code, **error.details}},
    )


def _runner(home: Home, parameters: Parameters, inline: bool) -> Callable[[Exchange, Any], Awaitable[Any]]:
    """How a tool's function is run: awaited, called on the loop, or called in a thread."""
    if parameters.asked or parameters.provided:
        return _given_runner(home, parameters, inline)
    context = home.context if parameters.wants_context else _no_context
    call, arguments = parameters.call, parameters.arguments
    if parameters.is_async:
        return lambda exchange, raw: call(raw, context(exchange))

    async def run_inline(exchange: Exchange, raw: Any) -> Any:
        return call(raw, context(exchange))

    async def run_in_thread(exchange: Exchange, raw: Any) -> Any:
        return await _in_thread(home, parameters, exchange, arguments(raw), context(exchange))

    return run_inline if inline else run_in_thread


def _given_runner(home: Home, parameters: Parameters, inline: bool) -> Callable[[Exchange, Any], Awaitable[Any]]:
    """How a function with questions or dependencies is run: both are there before its body begins."""

    async def run(exchange: Exchange, raw: Any) -> Any:
        return await _given(home, parameters, exchange, parameters.arguments(raw), inline=inline)

    return run


async def _given(home: Home, parameters: Parameters, exchange: Exchange, arguments: Any, *, inline: bool) -> Any:
    """Run a function: the user is asked first, so that nothing is held open meanwhile."""
    context = home.context(exchange)
    answers = await answers_to(context, parameters.asked) if parameters.asked else {}
    async with AsyncExitStack() as stack:
        values = await values_for(parameters.provided, context, stack, exchange.state[Made])
        given = (context, answers | values)
        if parameters.is_async:
            return await parameters.invoke(arguments, given)
        if inline:
            return parameters.invoke(arguments, given)
        return await _in_thread(home, parameters, exchange, arguments, given)


def _in_thread(home: Home, parameters: Parameters, exchange: Exchange, arguments: Any, given: Any) -> Awaitable[Any]:
    """Call the function in a thread. One whose caller has gone holds it still, and counts among the feature's calls."""
    most = None if exchange.feature is None else exchange.feature.policy.concurrency
    return home.in_thread(parameters.invoke, arguments, given, key=parameters, most=most)


def _reader(home: Home, parameters: Parameters, what: str) -> Callable[[Exchange, Any], Awaitable[Any]]:
    """How a resource's or prompt's function is run; its errors become JSON-RPC errors."""
    context = home.context if parameters.wants_context else _no_context

    async def read(exchange: Exchange, values: Any) -> Any:
        with _told(what):
            arguments = parameters.parse(values)
            if parameters.asked or parameters.provided:
                return await _given(home, parameters, exchange, arguments, inline=False)
            if parameters.is_async:
                return await parameters.invoke(arguments, context(exchange))
            return await _in_thread(home, parameters, exchange, arguments, context(exchange))

    return read


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever a resource's or prompt's function raises into a JSON-RPC error."""
    try:
        yield
    except InvalidArguments as error:
        raise InvalidParams(error.message) from None
    except ToolError as error:
        raise Refused(error) from None
    except MCPError:
        raise
    except (Exception, SystemExit) as error:
        meaning = meaning_of(error, what)
        if isinstance(meaning, Internal):
            raise InternalError(f"Internal error (reference {meaning.details['reference']})") from None
        raise Refused(meaning) from None


def _no_context(exchange: Exchange) -> None:
    return None
