"""Prompts: their definitions, and the messages that one renders to.

Source: specification 2026-07-28, server/prompts.
"""

from msgspec import UNSET, Raw, Struct, UnsetType, field

from bascule.wire.content import ContentBlock, Icon, Meta, Role
from bascule.wire.inputs import InputParams
from bascule.wire.results import CacheableResult, Result


class PromptArgument(Struct, rename="camel", omit_defaults=True):
    """One argument of a prompt; on the wire its value is always a string."""

    name: str
    title: str | None = None
    description: str | None = None
    required: bool | None = None


class Prompt(Struct, rename="camel", omit_defaults=True):
    """A prompt as a client sees it."""

    name: str
    title: str | None = None
    description: str | None = None
    arguments: list[PromptArgument] | None = None
    icons: list[Icon] | None = None
    meta: Meta | None = field(default=None, name="_meta")


class PromptMessage(Struct):
    """One message of a rendered prompt."""

    role: Role
    content: ContentBlock


class GetPromptParams(InputParams):
    """Which prompt to render, and its arguments."""

    name: str
    arguments: dict[str, str] | UnsetType = UNSET


class ListPromptsResult(CacheableResult):
    """One page of prompts."""

    prompts: list[Prompt] | Raw
    next_cursor: str | UnsetType = UNSET


class GetPromptResult(Result):
    """A rendered prompt."""

    messages: list[PromptMessage]
    description: str | UnsetType = UNSET
