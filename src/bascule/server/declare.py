"""Declaring: from a function and the options of its decorator to a feature. Everything wrong is said here, by name."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from bascule.engine.demands import SCOPE_FORM, Demands, Source, settle
from bascule.engine.exchange import Handler
from bascule.engine.policy import Confirm
from bascule.errors import ConfigError, DeclarationError
from bascule.late import late
from bascule.server import features
from bascule.server.completion import completions_of
from bascule.server.context import Context
from bascule.server.features import (
    AsTask,
    Home,
    Kept,
    ListResources,
    Parameters,
    PromptFeature,
    ResourceFeature,
    TemplateFeature,
    ToolFeature,
)
from bascule.server.results import Output, output_of
from bascule.server.signature import Signature
from bascule.server.templates import Template
from bascule.wire.content import Annotations, Icon, Meta
from bascule.wire.prompts import Prompt, PromptArgument
from bascule.wire.resources import Resource, ResourceTemplate
from bascule.wire.results import CacheScope
from bascule.wire.tools import JSONSchema, Tool, ToolAnnotations


class ToolOptions(NamedTuple):
    """What `@app.tool` was given."""

    name: str | None
    title: str | None
    description: str | None
    annotations: ToolAnnotations | None
    icons: list[Icon] | None
    meta: Meta | None
    input_schema: JSONSchema | None
    output_schema: JSONSchema | None
    inline: bool
    as_task: AsTask | None
    demands: Demands


class ResourceOptions(NamedTuple):
    """What `@app.resource` was given."""

    uri: str
    name: str | None
    title: str | None
    description: str | None
    mime_type: str | None
    size: int | None
    annotations: Annotations | None
    icons: list[Icon] | None
    meta: Meta | None
    list: ListResources | None
    cache_ttl_ms: int | None
    cache_scope: CacheScope | None
    demands: Demands


class PromptOptions(NamedTuple):
    """What `@app.prompt` was given."""

    name: str | None
    title: str | None
    description: str | None
    icons: list[Icon] | None
    meta: Meta | None
    demands: Demands


def demands(
    scopes: Sequence[str],
    rate: str,
    timeout: float | None,
    concurrency: int | None,
    confirm: bool | Confirm | None,
    untrusted: bool,
    max_result_bytes: int | None,
    polls: bool = False,
) -> Demands:
    """What a declaration demands of its guards. Raises DeclarationError for what cannot hold."""
    if isinstance(scopes, str):
        raise DeclarationError(f"scopes must be a list, as in scopes=[{scopes!r}]")
    given = {
        "scopes": scopes,
        "rate": rate,
        "timeout": timeout,
        "concurrency": concurrency,
        "confirm": confirm,
        "untrusted": untrusted,
        "max_result_bytes": max_result_bytes,
        "polls": polls,
    }
    try:
        made = msgspec.convert(given, Demands)
        settle([Source("", made)])
    except (msgspec.ValidationError, ConfigError) as wrong:
        reason, _, place = str(wrong).partition(" - at `$.")
        reason = SCOPE_FORM if place.startswith("scopes[") else reason
        raise DeclarationError(f"{place.rstrip('`') or 'rate'} cannot be meant so: {reason}") from None
    return made


def check_ttl(ttl_ms: int | None, what: str) -> None:
    """Raise DeclarationError for a lifetime below zero, which the specification forbids."""
    if ttl_ms is not None and ttl_ms < 0:
        raise DeclarationError(f"The {what} needs a cache_ttl_ms of at least 0")


def tool(home: Home, function: Callable[..., Any], options: ToolOptions) -> ToolFeature:
    """The tool that a function makes. Raises DeclarationError."""
    name = features.checked_name(options.name or _name_of(function, "tool"), "tool")
    what = f"tool {name!r}"
    parameters, described, returned = _parameters(function, what, options.input_schema)
    output = _output(returned, what, options.output_schema)
    definition = Tool(
        name=name,
        title=options.title,
        description=options.description or described,
        input_schema=parameters.schema,
        output_schema=output.schema,
        annotations=options.annotations,
        icons=options.icons,
        meta=options.meta,
    )
    return features.tool_feature(
        home,
        definition,
        parameters,
        output,
        inline=options.inline,
        as_task=options.as_task,
        demands=options.demands,
    )


def resource(home: Home, function: Callable[..., Any], options: ResourceOptions) -> ResourceFeature | TemplateFeature:
    """The resource or template that a function makes. Raises DeclarationError."""
    name = options.name or _name_of(function, "resource")
    what = f"resource {options.uri!r}"
    check_ttl(options.cache_ttl_ms, what)
    signature = Signature(function, what=what, context_type=Context)
    handler = features.resource_handler(
        home, signature, options.mime_type, what, (options.cache_ttl_ms, options.cache_scope)
    )
    described = options.description or signature.description
    if "{" in options.uri:
        return _template(home, signature, options, name, described, handler)
    _check_variables(what, signature, ())
    if options.list is not None:
        raise DeclarationError(f"The {what} has a fixed URI; only a template can have a list function")
    definition = Resource(
        uri=features.checked_uri(options.uri),
        name=name,
        title=options.title,
        description=described,
        mime_type=options.mime_type,
        size=options.size,
        annotations=options.annotations,
        icons=options.icons,
        meta=options.meta,
    )
    kept = Kept(handler, definition, options.demands, features.resource_check(signature))
    return ResourceFeature(name, definition, handler, kept=kept)


def prompt(home: Home, function: Callable[..., Any], options: PromptOptions) -> PromptFeature:
    """The prompt that a function makes. Raises DeclarationError."""
    name = features.checked_name(options.name or _name_of(function, "prompt"), "prompt")
    what = f"prompt {name!r}"
    signature = Signature(function, what=what, context_type=Context)
    described = options.description or signature.description
    arguments = [
        PromptArgument(parameter.name, parameter.title, parameter.description, parameter.required)
        for parameter in signature.parameters
    ]
    definition = Prompt(name, options.title, described, arguments or None, options.icons, options.meta)
    handler = features.prompt_handler(home, signature, described, what)
    kept = Kept(handler, definition, options.demands, features.prompt_check(signature))
    return PromptFeature(name, definition, handler, completions_of(signature.schema), kept=kept)


def _template(
    home: Home,
    signature: Signature,
    options: ResourceOptions,
    name: str,
    described: str | None,
    handler: Handler,
) -> TemplateFeature:
    try:
        template = Template(options.uri)
    except ValueError as wrong:
        raise DeclarationError(f"The resource URI {options.uri!r} is not a URI template: {wrong}") from None
    _check_variables(f"resource {options.uri!r}", signature, template.variables)
    definition = ResourceTemplate(
        uri_template=options.uri,
        name=name,
        title=options.title,
        description=described,
        mime_type=options.mime_type,
        annotations=options.annotations,
        icons=options.icons,
        meta=options.meta,
    )
    lister = None if options.list is None else features.resource_lister(home, options.list, f"resource {options.uri!r}")
    kept = Kept(handler, definition, options.demands, features.resource_check(signature))
    return TemplateFeature(name, definition, template, handler, lister, completions_of(signature.schema), kept=kept)


def _check_variables(what: str, signature: Signature, variables: Sequence[str]) -> None:
    """Every variable is a parameter, and every parameter a variable or optional."""
    for variable in variables:
        if variable not in signature.names:
            raise DeclarationError(f"The {what} has the variable {variable!r}, but its function has no such parameter")
    for parameter in signature.parameters:
        if parameter.required and parameter.name not in variables:
            raise DeclarationError(f"The {what} has no variable {parameter.name!r} for its function's parameter")


def _parameters(
    function: Callable[..., Any], what: str, schema: JSONSchema | None
) -> tuple[Parameters, str | None, Any]:
    """A tool's compiled parameters, its description and its return annotation."""
    if schema is None:
        signature = Signature(function, what=what, context_type=Context)
        return signature, signature.description, signature.returns
    raw = late("bascule.server.raw_signature:RawSignature")(function, schema=schema, what=what, context_type=Context)
    return raw, raw.description, raw.returns


def _output(returned: Any, what: str, schema: JSONSchema | None) -> Output:
    """How a tool's results are made, from its return annotation or the schema that was given instead."""
    if schema is None:
        return output_of(returned, what=what)
    output: Output = late("bascule.server.raw_output:raw_output")(schema, what=what)
    return output


def _name_of(function: Callable[..., Any], what: str) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise DeclarationError(f"A {what} made from {function!r} needs a name: give name=…")
    return name
