"""What a server may ask of a client while it works on a request: the user's input, a model's answer, the roots.

In the stateless era a question is part of an `input_required` result and its answer comes with the retry; in the
handshake era both are messages of their own. The shapes are the same.
Source: specification 2026-07-28, basic/patterns/mrtr, client/elicitation, client/sampling, client/roots.
"""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field

from bascule.wire.content import AudioContent, ContentBlock, ImageContent, Meta, Role, TextContent
from bascule.wire.requests import RequestParams
from bascule.wire.results import Result

ELICIT = "elicitation/create"
SAMPLE = "sampling/createMessage"
ROOTS = "roots/list"

Action = Literal["accept", "decline", "cancel"]


class InputParams(RequestParams, kw_only=True):
    """Parameters of a request that may be asked back: what the client answers to an earlier round, and its state."""

    input_responses: dict[str, Raw] | UnsetType = UNSET
    request_state: str | UnsetType = UNSET


class InputRequest(Struct, omit_defaults=True):
    """One question of a round: the method and parameters of the request that asks it."""

    method: str
    params: Any = UNSET


class InputRequiredResult(Result, kw_only=True):
    """The end of a round: the client answers the questions and repeats its request, with the state as it is."""

    input_requests: dict[str, InputRequest] | UnsetType = UNSET
    request_state: str | UnsetType = UNSET


class ElicitParams(Struct, rename="camel", omit_defaults=True):
    """A question to the user: a form with a schema, or a URL to visit (`elicitation_id` in the handshake era only)."""

    message: str
    mode: Literal["form", "url"] | UnsetType = UNSET
    requested_schema: dict[str, Any] | UnsetType = UNSET
    url: str | UnsetType = UNSET
    elicitation_id: str | UnsetType = UNSET
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class ElicitResult(Struct, rename="camel", omit_defaults=True):
    """What the user did, and the form's fields where it was accepted."""

    action: Action
    content: dict[str, Any] | None = None
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class ToolUseContent(Struct, rename="camel", omit_defaults=True, tag_field="type", tag="tool_use"):
    """A model's wish to call one of the tools that came with the question."""

    id: str
    name: str
    input: dict[str, Any]
    meta: Meta | None = field(default=None, name="_meta")


class ToolResultContent(Struct, rename="camel", omit_defaults=True, tag_field="type", tag="tool_result"):
    """What such a call gave back."""

    tool_use_id: str
    content: list[ContentBlock]
    structured_content: Any = UNSET
    is_error: bool = False
    meta: Meta | None = field(default=None, name="_meta")


SamplingContent = TextContent | ImageContent | AudioContent | ToolUseContent | ToolResultContent


class SamplingMessage(Struct, omit_defaults=True):
    """One message of a conversation with a model."""

    role: Role
    content: SamplingContent | list[SamplingContent]
    meta: Meta | None = field(default=None, name="_meta")


class ModelHint(Struct, omit_defaults=True):
    """A part of the name of a model that would do."""

    name: str | None = None


class ModelPreferences(Struct, rename="camel", omit_defaults=True):
    """Which model would do: names, best first, and how much cost, speed and intelligence matter (0 to 1 each)."""

    hints: list[ModelHint] | None = None
    cost_priority: float | None = None
    speed_priority: float | None = None
    intelligence_priority: float | None = None


class ToolChoice(Struct, omit_defaults=True):
    """Whether the model may, must or must not call tools."""

    mode: Literal["auto", "required", "none"] | None = None


class CreateMessageParams(Struct, rename="camel", omit_defaults=True):
    """A question to the client's model."""

    messages: list[SamplingMessage]
    max_tokens: int
    system_prompt: str | None = None
    temperature: float | None = None
    stop_sequences: list[str] | None = None
    model_preferences: ModelPreferences | None = None
    include_context: Literal["none", "thisServer", "allServers"] | None = None
    tools: list[Any] | None = None
    tool_choice: ToolChoice | None = None
    metadata: dict[str, Any] | None = None
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class CreateMessageResult(Struct, rename="camel", omit_defaults=True):
    """What the model said; `content` is a list where it said several things."""

    role: Role
    content: SamplingContent | list[SamplingContent]
    model: str
    stop_reason: str | None = None
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        blocks = self.content if isinstance(self.content, list) else [self.content]
        return "".join(block.text for block in blocks if isinstance(block, TextContent))


class Root(Struct, omit_defaults=True):
    """A place that the client lets a server work in: a file URI, and a name for it."""

    uri: str
    name: str | None = None
    meta: Meta | None = field(default=None, name="_meta")


class ListRootsResult(Struct, omit_defaults=True):
    """The client's roots."""

    roots: list[Root]
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")
