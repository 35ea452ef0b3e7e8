"""The structs have what the published schemas have: every property, required and optional as there.

`schemas.toml` is made from the schemas by `scripts/schemas.py`. A type that is absent on purpose stands in ABSENT with
its reason, and so does a property; LENIENT are required properties without which a message is read all the same.
"""

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from msgspec import Struct, structs

from bascule.engine import answers
from bascule.wire import completion, content, inputs, jsonrpc, lifecycle, notices, prompts, requests, resources, results
from bascule.wire import tools as tooling
from scripts.schemas import types

TABLE = tomllib.loads((Path(__file__).parent / "schemas.toml").read_text(encoding="utf-8"))

STRUCTS = {
    "*._meta": requests.RequestMeta,
    "*.annotations": content.Annotations,
    "*ListChangedNotificationParams": notices.ChangedParams,
    "Annotations": content.Annotations,
    "AudioContent": content.AudioContent,
    "BlobResourceContents": content.ResourceContents,
    "CacheableResult": results.CacheableResult,
    "CallToolRequestParams": tooling.CallToolParams,
    "CallToolResult": tooling.CallToolResult,
    "CancelledNotificationParams": notices.CancelledParams,
    "ClientCapabilities": requests.ClientCapabilities,
    "CompleteRequestParams": completion.CompleteParams,
    "CompleteRequestParams.argument": completion.CompletedArgument,
    "CompleteRequestParams.context": completion.CompletionContext,
    "CompleteResult": completion.CompleteResult,
    "CompleteResult.completion": completion.Completion,
    "CreateMessageRequestParams": inputs.CreateMessageParams,
    "CreateMessageResult": inputs.CreateMessageResult,
    "DiscoverResult": lifecycle.DiscoverResult,
    "ElicitRequestFormParams": inputs.ElicitParams,
    "ElicitRequestParams": inputs.ElicitParams,
    "ElicitRequestURLParams": inputs.ElicitParams,
    "ElicitResult": inputs.ElicitResult,
    "EmbeddedResource": content.EmbeddedResource,
    "Error": jsonrpc.ErrorObject,
    "GetPromptRequestParams": prompts.GetPromptParams,
    "GetPromptResult": prompts.GetPromptResult,
    "Icon": content.Icon,
    "ImageContent": content.ImageContent,
    "Implementation": requests.Implementation,
    "InitializeRequestParams": lifecycle.InitializeParams,
    "InitializeResult": lifecycle.InitializeResult,
    "InitializedNotificationParams": notices.ChangedParams,
    "InputRequiredResult": inputs.InputRequiredResult,
    "InputResponseRequestParams": inputs.InputParams,
    "InternalError": jsonrpc.ErrorObject,
    "InvalidParamsError": jsonrpc.ErrorObject,
    "InvalidRequestError": jsonrpc.ErrorObject,
    "JSONRPCError.error": jsonrpc.ErrorObject,
    "JSONRPCNotificationParams": notices.ChangedParams,
    "JSONRPCRequestParams": requests.RequestParams,
    "List*RequestParams": requests.PaginatedParams,
    "ListPromptsResult": (prompts.ListPromptsResult, answers.PromptsPage),
    "ListResourceTemplatesResult": (resources.ListResourceTemplatesResult, answers.TemplatesPage),
    "ListResourcesResult": (resources.ListResourcesResult, answers.ResourcesPage),
    "ListRootsResult": inputs.ListRootsResult,
    "ListToolsResult": (tooling.ListToolsResult, answers.ToolsPage),
    "LoggingMessageNotificationParams": notices.LogMessageParams,
    "MethodNotFoundError": jsonrpc.ErrorObject,
    "ModelHint": inputs.ModelHint,
    "ModelPreferences": inputs.ModelPreferences,
    "NotificationParams": notices.ChangedParams,
    "PaginatedRequestParams": requests.PaginatedParams,
    "PaginatedResult": (tooling.ListToolsResult, answers.ToolsPage),
    "ParseError": jsonrpc.ErrorObject,
    "PingRequestParams": requests.RequestParams,
    "ProgressNotificationParams": notices.ProgressParams,
    "Prompt": prompts.Prompt,
    "PromptArgument": prompts.PromptArgument,
    "PromptMessage": prompts.PromptMessage,
    "PromptReference": completion.PromptReference,
    "ReadResourceRequestParams": resources.ReadResourceParams,
    "ReadResourceResult": resources.ReadResourceResult,
    "RequestMetaObject": requests.RequestMeta,
    "RequestParams": requests.RequestParams,
    "Resource": resources.Resource,
    "ResourceContents": content.ResourceContents,
    "ResourceLink": content.ResourceLink,
    "ResourceReference": completion.TemplateReference,
    "ResourceRequestParams": resources.ReadResourceParams,
    "ResourceTemplate": resources.ResourceTemplate,
    "ResourceTemplateReference": completion.TemplateReference,
    "ResourceUpdatedNotificationParams": notices.ChangedParams,
    "Result": results.Result,
    "Root": inputs.Root,
    "SamplingMessage": inputs.SamplingMessage,
    "ServerCapabilities": lifecycle.ServerCapabilities,
    "SetLevelRequestParams": lifecycle.SetLevelParams,
    "SubscribeRequestParams": notices.SubscribeParams,
    "SubscriptionFilter": notices.SubscriptionFilter,
    "SubscriptionsAcknowledgedNotificationParams": notices.AcknowledgedParams,
    "SubscriptionsListenRequestParams": notices.ListenParams,
    "SubscriptionsListenResult": results.EmptyResult,
    "TextContent": content.TextContent,
    "TextResourceContents": content.ResourceContents,
    "Tool": tooling.Tool,
    "ToolAnnotations": tooling.ToolAnnotations,
    "ToolChoice": inputs.ToolChoice,
    "ToolExecution": tooling.ToolExecution,
    "ToolResultContent": inputs.ToolResultContent,
    "ToolUseContent": inputs.ToolUseContent,
    "UnsubscribeRequestParams": notices.SubscribeParams,
}
"""The structs of each type; a `*` stands for any text."""

TASKS = "the experimental tasks of 2025-11-25, which the tasks extension has replaced"

ABSENT = {
    "*Task*": TASKS,
    "*Capabilities.*": "the details of a capability are open, and kept as plain JSON",
    "*Schema": "what a form asks for is a JSON Schema, kept as it was given",
    "*Schema.*": "part of a JSON Schema, kept as it was given",
    "*.inputSchema": "a JSON Schema, kept as it was given",
    "*.outputSchema": "a JSON Schema, kept as it was given",
    "*.requestedSchema": "a JSON Schema, kept as it was given",
    "Annotated": "only ever a part of other types",
    "BaseMetadata": "only ever a part of other types",
    "Icons": "only ever a part of other types",
    "ElicitationCompleteNotification*": "a server may leave it out; clients hear of it by on_notice, as plain JSON",
    "URLElicitationRequiredError*": "a server of ours asks for the visit itself; clients read its data as plain JSON",
    "*MetaObject": "the `_meta` of results and notifications is a plain object",
}
"""Types without a struct, and why. STRUCTS comes first."""

ABSENT_PROPERTIES = {
    ("*", "task"): TASKS,
    ("*Capabilities", "tasks"): TASKS,
}

BESIDES = {
    ("InitializeResult", "resultType"): "one base for all results; the handshake leaves it unset",
    ("SubscriptionFilter", "taskIds"): "the tasks extension",
    ("RequestMeta", "traceparent"): "named in the text of the specification",
    ("RequestMeta", "tracestate"): "named in the text of the specification",
    ("RequestMeta", "baggage"): "named in the text of the specification",
}
"""Properties that no schema has, by struct."""

LENIENT = {
    ("*", "_meta"): "the era checks it, and says which key is missing",
    ("*", "resultType"): "the handshake era has none, and peers leave it out",
    ("*", "ttlMs"): "the handshake era has none, and peers leave it out",
    ("*", "cacheScope"): "the handshake era has none, and peers leave it out",
    ("RequestMetaObject", "*"): "the era checks them, and says which key is missing",
    ("Implementation", "version"): "peers leave it out, and nothing depends on it",
    ("TextResourceContents", "text"): "one struct for both kinds of contents",
    ("BlobResourceContents", "blob"): "one struct for both kinds of contents",
    ("ElicitRequest*Params", "requestedSchema"): "one struct for forms and visits",
    ("ElicitRequestURLParams", "*"): "one struct for forms and visits",
    ("ResourceUpdatedNotificationParams", "uri"): "one struct for all changes",
}

ENVELOPES = {
    "method": ({"jsonrpc", "id", "method", "params"}, (jsonrpc.Request, jsonrpc.Frame)),
    "result": ({"jsonrpc", "id", "result"}, (jsonrpc.Response, jsonrpc.Frame)),
    "error": ({"jsonrpc", "id", "error"}, (jsonrpc.ErrorResponse, jsonrpc.Frame)),
}
"""Whole messages, by the property that marks them: what they may have, and the structs that carry them all."""


def known():
    """Every type, by the name that the newest schemas give it: its properties in each revision that has it."""
    found = {}
    for revision, named in TABLE.items():
        for name, line in named.items():
            newest = re.sub(r"(Request|Notification)\.params\b", r"\1Params", name)
            properties = {one.rstrip("!"): one.endswith("!") for one in line.split()}
            found.setdefault(newest, {})[revision] = properties
    return found


TYPES = known()


def matching(table, *names):
    """The entry whose pattern, or patterns, the names match; the one that is spelt out before any with a `*`."""
    exact = names[0] if len(names) == 1 else names
    if exact in table:
        return table[exact]
    for pattern, entry in table.items():
        patterns = (pattern,) if len(names) == 1 else pattern
        if all(fnmatchcase(name, one) for name, one in zip(names, patterns, strict=True)):
            return entry
    return None


def envelope(revisions):
    """The structs for a whole message; None for a type that is none."""
    names = {name for properties in revisions.values() for name in properties}
    for mark, (allowed, carriers) in ENVELOPES.items():
        if mark in names and names <= allowed:
            return carriers
    return None


def properties_of(struct):
    """What a struct reads and writes, and whether it must be there; the tag included."""
    config = struct.__struct_config__
    found = {one.encode_name: one.required for one in structs.fields(struct)}
    return found | ({config.tag_field: True} if config.tag_field else {})


def faults(name, revisions, struct):
    """In which properties a struct differs from a type."""
    own = properties_of(struct)
    everywhere = set.intersection(*({one for one, needed in each.items() if needed} for each in revisions.values()))
    for property in sorted({one for each in revisions.values() for one in each}):
        if matching(ABSENT_PROPERTIES, name, property):
            continue
        if property not in own:
            yield f"{struct.__name__} has no {property} ({name})"
        elif own[property] and property not in everywhere:
            yield f"{struct.__name__} requires {property}, which {name} does not"
        elif not own[property] and property in everywhere and not matching(LENIENT, name, property):
            yield f"{struct.__name__} does not require {property}, which {name} does"


def structs_of(name):
    found = matching(STRUCTS, name)
    return found if isinstance(found, tuple) else () if found is None else (found,)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_type_has_a_struct_with_its_properties_or_a_reason_to_have_none(name):
    revisions = TYPES[name]
    found = structs_of(name)
    carriers = envelope(revisions)
    if not found and matching(ABSENT, name):
        return
    if carriers:
        names = {one for each in revisions.values() for one in each}
        assert all(names <= set(properties_of(carrier)) for carrier in carriers)
        return
    assert found, f"{name} has neither a struct nor a reason to have none"
    assert [fault for struct in found for fault in faults(name, revisions, struct)] == []


def test_no_struct_has_a_property_that_no_schema_knows():
    published = {}
    for name, revisions in TYPES.items():
        for struct in structs_of(name):
            published.setdefault(struct, set()).update(*revisions.values())
    extra = {
        (struct.__name__, property)
        for struct, names in published.items()
        for property in properties_of(struct)
        if property not in names
    }
    assert extra == set(BESIDES)


def test_every_entry_of_the_lists_is_of_use():
    names = [name for name in TYPES if not structs_of(name)]
    assert [pattern for pattern in STRUCTS if not any(fnmatchcase(name, pattern) for name in TYPES)] == []
    assert [pattern for pattern in ABSENT if not any(fnmatchcase(name, pattern) for name in names)] == []
    pairs = [(name, one) for name, revisions in TYPES.items() for each in revisions.values() for one in each]
    for table in (ABSENT_PROPERTIES, LENIENT):
        assert [pattern for pattern in table if not any(matching({pattern: 1}, *pair) for pair in pairs)] == []


def test_the_table_is_made_of_a_schemas_types():
    inner = {"type": "object", "properties": {"z": {}}}
    outer = {"properties": {"b": inner, "a": {"type": "string"}}, "required": ["a"]}
    schema = {"$defs": {"Outer": outer, "Empty": {"type": "string"}}}
    assert list(types(schema)) == [("Outer", "a! b"), ("Outer.b", "z")]


def test_each_difference_is_found():
    class Thing(Struct, rename="camel"):
        some_name: str
        needed: str
        given: str = ""

    revisions = {"1": {"someName": True, "needed": False, "given": True, "missing": False}}
    assert list(faults("Thing", revisions, Thing)) == [
        "Thing does not require given, which Thing does",
        "Thing has no missing (Thing)",
        "Thing requires needed, which Thing does not",
    ]
