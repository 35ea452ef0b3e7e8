"""Questions: what a handler may ask the client, made ready to travel, and the readers of the answers.

Knows the shapes of questions and answers; does not know how or in which era they travel.
Source: specification 2026-07-28, client/elicitation, client/sampling, client/roots.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from bascule.engine.asking import Question
from bascule.errors import DeclarationError
from bascule.server.forms import form_of
from bascule.wire.content import TextContent
from bascule.wire.inputs import (
    ELICIT,
    ROOTS,
    SAMPLE,
    Action,
    CreateMessageParams,
    CreateMessageResult,
    ElicitParams,
    ElicitResult,
    ListRootsResult,
    ModelPreferences,
    SamplingMessage,
    ToolChoice,
    ToolResultContent,
    ToolUseContent,
)
from bascule.wire.jsonrpc import encode
from bascule.wire.tools import Tool

T = TypeVar("T")

_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f<>\"{}|\\^`]")

FAULTS = (msgspec.MsgspecError, RecursionError, ValueError, TypeError, KeyError)
"""What reading an answer that does not fit may raise."""


class Answer(Struct, Generic[T], frozen=True):
    """What a user did with a question; `content` is what was filled in, None unless `action` is "accept"."""

    action: Action
    content: T | None = None

    @property
    def accepted(self) -> bool:
        """Whether the user agreed; False for a refusal ("decline") and for a dismissal ("cancel")."""
        return self.action == "accept"


class Elicit(Struct, frozen=True):
    """A question to the user: a form made from `schema` (a type or a JSON Schema), or a `url` to visit."""

    message: str
    schema: Any = None
    url: str | None = None


class Sample(Struct, frozen=True):
    """A question to the client's model. `messages` is a text of the user's, or a whole conversation."""

    messages: str | Sequence[SamplingMessage]
    max_tokens: int = 1000
    system_prompt: str | None = None
    temperature: float | None = None
    stop_sequences: list[str] | None = None
    model_preferences: ModelPreferences | None = None
    include_context: Literal["none", "thisServer", "allServers"] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    metadata: dict[str, Any] | None = None


class Roots(Struct, frozen=True):
    """The question for the client's roots."""


class Ask(Struct, frozen=True):
    """Marks a parameter that the user is asked for before the function runs: `seats: Annotated[int, Ask("How many?")]`.

    The caller cannot give it, and does not see it. A user who declines fails the call.
    """

    message: str


class Prepared(NamedTuple):
    """A question ready to travel, and the reader of its answer, which raises one of FAULTS where it does not fit."""

    question: Question
    read: Callable[[Raw], Any]


def prepare(asked: Elicit | Sample | Roots) -> Prepared:
    """Make a question ready. Raises DeclarationError for one that cannot be asked as written."""
    if isinstance(asked, Elicit):
        return _elicit(asked)
    if isinstance(asked, Sample):
        return _sample(asked)
    if isinstance(asked, Roots):
        return Prepared(Question(ROOTS, None, "roots"), _read_roots)
    raise DeclarationError(f"A question is an Elicit, a Sample or Roots, not {type(asked).__name__}")


def prepare_all(asked: Mapping[str, Elicit | Sample | Roots]) -> dict[str, Prepared]:
    """Make several questions ready."""
    return {key: prepare(one) for key, one in asked.items()}


def _elicit(asked: Elicit) -> Prepared:
    if (asked.url is None) == (asked.schema is None):
        raise DeclarationError("A question to the user needs a schema for its form, or a url to visit, and not both")
    if asked.url is not None:
        _check_url(asked.url)
        params = ElicitParams(asked.message, mode="url", url=asked.url)
        return Prepared(Question(ELICIT, encode(params), "elicitation.url"), _read_visit)
    form = form_of(asked.schema)
    params = ElicitParams(asked.message, mode="form", requested_schema=form.schema)

    def read(raw: Raw) -> Answer[Any]:
        result = _decode_elicited(raw)
        accepted = result.action == "accept"
        return Answer(result.action, form.read(result.content) if accepted else None)

    return Prepared(Question(ELICIT, encode(params), "elicitation"), read)


def _sample(asked: Sample) -> Prepared:
    given = asked.messages
    messages = [SamplingMessage("user", TextContent(given))] if isinstance(given, str) else list(given)
    _check_balance(messages)
    params = CreateMessageParams(
        messages=messages,
        max_tokens=asked.max_tokens,
        system_prompt=asked.system_prompt,
        temperature=asked.temperature,
        stop_sequences=asked.stop_sequences,
        model_preferences=asked.model_preferences,
        include_context=asked.include_context,
        tools=asked.tools,
        tool_choice=asked.tool_choice,
        metadata=asked.metadata,
    )
    with_tools = asked.tools is not None or asked.tool_choice is not None
    return Prepared(Question(SAMPLE, encode(params), "sampling.tools" if with_tools else "sampling"), _decode_sampled)


def _check_url(url: str) -> None:
    """Raise DeclarationError unless it is the absolute URL of a web page."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not _NOT_IN_URL.search(url)
    except ValueError:
        valid = False
    if not valid:
        raise DeclarationError("The url of a question must begin with https:// or http://, name a host, and be encoded")


def _check_balance(messages: Sequence[SamplingMessage]) -> None:
    """Raise DeclarationError unless each tool use is answered by the next message, which has nothing else in it.

    Source: specification 2026-07-28, client/sampling, "Message Content Constraints".
    """
    open_uses: set[str] = set()
    for message in messages:
        if message.role not in ("user", "assistant"):
            raise DeclarationError(f"A message to the model is the user's or the assistant's, not {message.role!r}")
        blocks = message.content if isinstance(message.content, list) else [message.content]
        results = [block.tool_use_id for block in blocks if isinstance(block, ToolResultContent)]
        if sorted(results) != sorted(open_uses) or (results and (len(results) < len(blocks) or message.role != "user")):
            raise DeclarationError(
                "In messages to the model, each tool use must be followed by a message of the user's "
                "that holds the results of all of them and nothing else"
            )
        open_uses = {block.id for block in blocks if isinstance(block, ToolUseContent)}
    if open_uses:
        raise DeclarationError("Messages to the model end with a tool use that has no result")


def _read_visit(raw: Raw) -> Answer[None]:
    return Answer(_decode_elicited(raw).action)


def _read_roots(raw: Raw) -> Any:
    return _decode_roots(raw).roots


_decode_elicited = msgspec.json.Decoder(ElicitResult).decode
_decode_sampled = msgspec.json.Decoder(CreateMessageResult).decode
_decode_roots = msgspec.json.Decoder(ListRootsResult).decode
