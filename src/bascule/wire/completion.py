"""Completion: suggestions for the arguments of prompts and the variables of resource templates.

Source: specification 2026-07-28, server/utilities/completion.
"""

from msgspec import UNSET, Struct, UnsetType

from bascule.wire.requests import RequestParams
from bascule.wire.results import Result

MAX_VALUES = 100
"""How many values one answer may have."""


class PromptReference(Struct, tag_field="type", tag="ref/prompt", omit_defaults=True):
    """A prompt by its name; `title` is what people call it, and finds nothing."""

    name: str
    title: str | UnsetType = UNSET


class TemplateReference(Struct, tag_field="type", tag="ref/resource"):
    """A resource template by its URI template."""

    uri: str


class CompletedArgument(Struct):
    """The argument that is being filled in, and what it says so far."""

    name: str
    value: str


class CompletionContext(Struct, omit_defaults=True):
    """The arguments that are filled in already."""

    arguments: dict[str, str] | UnsetType = UNSET


class CompleteParams(RequestParams):
    """What is being completed."""

    ref: PromptReference | TemplateReference
    argument: CompletedArgument
    context: CompletionContext | UnsetType = UNSET


class Completion(Struct, rename="camel", omit_defaults=True):
    """Suggestions, best first: at most 100 `values` out of `total`."""

    values: list[str]
    total: int | None = None
    has_more: bool | None = None


class CompleteResult(Result):
    """The answer to a request for completion."""

    completion: Completion
