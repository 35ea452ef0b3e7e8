"""Completion: who suggests values for an argument of a prompt or a variable of a template, and the answer to a client.

A function that the author declared suggests; where there is none, the choices of a Literal or an enum do by themselves.
Source: specification 2026-07-28, server/utilities/completion.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any, Protocol

from msgspec import Struct

from bascule.engine.exchange import Exchange
from bascule.errors import DeclarationError, InternalError, InvalidParams, MCPError, ToolError
from bascule.server import schema
from bascule.server.context import Context
from bascule.server.parameters import declaration_of, is_coroutine_function
from bascule.wire.completion import MAX_VALUES, CompleteParams, CompleteResult, Completion, PromptReference
from bascule.wire.tools import JSONSchema

log = logging.getLogger("bascule")

Suggest = Callable[[Exchange, str, Mapping[str, str]], Awaitable[list[str]]]


class Home(Protocol):
    """The server that owns a function: lends it a context and threads."""

    def context(self, exchange: Exchange) -> Context: ...

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any: ...


class Completions(Struct, frozen=True):
    """What completes the arguments of one prompt or template: `choices` by themselves, `functions` before them.

    `names` are all arguments. Shared by a feature and its copies under other names.
    """

    names: frozenset[str]
    choices: dict[str, tuple[str, ...]]
    functions: dict[str, Suggest]

    @property
    def any(self) -> bool:
        """Whether there is anything to complete."""
        return bool(self.choices or self.functions)


NOTHING = Completions(frozenset(), {}, {})


def completions_of(form: JSONSchema) -> Completions:
    """What the schema of a function's parameters completes by itself."""
    properties, definitions = form.get("properties", {}), form.get("$defs", {})
    found = {name: _choices(part, definitions) for name, part in properties.items()}
    return Completions(frozenset(properties), {name: options for name, options in found.items() if options}, {})


def suggester(home: Home, function: Callable[..., Any], what: str) -> Suggest:
    """A function of `value`, and of the arguments given so far where it takes two, as what suggests.

    Raises DeclarationError for a function of other parameters.
    """
    declaration = declaration_of(function, what, Context)
    count = len(declaration.parameters)
    if not 1 <= count <= 2 or declaration.asked or any(one.keyword_only for one in declaration.parameters):
        raise DeclarationError(f"{what}: its function takes the value, and a dict of the other arguments if it likes")
    is_async = is_coroutine_function(function)
    context, place = declaration.context, declaration.place

    async def suggest(exchange: Exchange, value: str, given: Mapping[str, str]) -> list[str]:
        positional: list[Any] = [value, dict(given)][:count]
        named: dict[str, Any] = {}
        if place is not None:
            positional.insert(place, home.context(exchange))
        elif context is not None:
            named[context] = home.context(exchange)
        if is_async:
            found = await function(*positional, **named)
        else:
            found = await home.in_thread(lambda: function(*positional, **named))
        return list(await found) if isawaitable(found) else list(found)

    return suggest


async def complete(completions: Completions, exchange: Exchange, params: CompleteParams) -> CompleteResult:
    """The answer to one request. Raises InvalidParams for an argument that there is not, InternalError."""
    name, value = params.argument.name, params.argument.value
    if name not in completions.names:
        raise InvalidParams(f"Invalid params: there is no argument {name[:200]!r}")
    given = getattr(params.context, "arguments", None)
    function = completions.functions.get(name)
    if function is None:
        found = [choice for choice in completions.choices.get(name, ()) if choice.lower().startswith(value.lower())]
    else:
        found = await _suggested(function, exchange, value, given if isinstance(given, dict) else {})
    return CompleteResult(completion=Completion(found[:MAX_VALUES], len(found), len(found) > MAX_VALUES))


def shown(params: CompleteParams) -> str:
    """What the client wants to have completed, for an error."""
    ref = params.ref
    return f"prompt: {ref.name[:200]}" if isinstance(ref, PromptReference) else f"resource template: {ref.uri[:200]}"


async def _suggested(function: Suggest, exchange: Exchange, value: str, given: Mapping[str, str]) -> list[str]:
    try:
        found = await function(exchange, value, given)
    except ToolError as error:
        raise InternalError(error.message) from None
    except MCPError:
        raise
    except (Exception, SystemExit) as error:
        reference = os.urandom(4).hex()
        log.error("a completion failed (reference %s)", reference, exc_info=error)
        raise InternalError(f"Internal error (reference {reference})") from None
    if not all(isinstance(one, str) for one in found):
        raise InternalError("The suggestions are not texts")
    return found


def _choices(form: JSONSchema, definitions: JSONSchema) -> tuple[str, ...]:
    options = [option for leaf in schema.leaves(form, definitions) for option in leaf.get("enum", [])]
    return tuple(str(option) for option in options if isinstance(option, str | int))
