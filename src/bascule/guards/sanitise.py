"""Sanitising: what leaves a tool, resource or prompt is of bounded size, holds no known secret, and, where strangers
wrote it, is made harmless and says where it comes from.

Knows results and a policy; what is done to a text it is given (`Cleaning`, `Redacting`, `Detector`), so that it knows
no check. The order is: secrets out, cut to size, the detector's look, sanitise, secrets out once more (what was hidden
between the letters of one is gone now), envelope, and last the sentence that says what was cut.
"""

import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.errors import MCPError, ToolError
from bascule.guards.outgoing import change_outgoing
from bascule.guards.result_size import Kept, as_json, fitted, fitting, is_small, said, size_limit
from bascule.guards.result_texts import Changes, changed, changed_block, changed_contents, changed_raw, changed_value
from bascule.wire.content import ContentBlock, TextContent
from bascule.wire.prompts import GetPromptResult
from bascule.wire.resources import ReadResourceResult
from bascule.wire.results import Result
from bascule.wire.tools import CallToolResult

SOURCE_KEY = "dev.bascule/source"
"""The key in a result's `_meta` under which a tool that fetches says where from."""

_MAX_SOURCE = 200
_MAX_LABEL = 2_000

Random = Callable[[int], bytes]
Detector = Callable[[str], str | None]
"""Looks at a stranger's text before it is sanitised. Returns a sentence that warns the reader, or None; refuses the
result by raising a ToolError. Runs on the event loop."""


class Cleaned(Protocol):
    """A text that was sanitised."""

    @property
    def text(self) -> str: ...


class Cleaning(Protocol):
    """What is done to texts of strangers; `bascule.checks.text` is one."""

    def sanitise(self, text: str, max_chars: int, /) -> Cleaned: ...

    def untrusted(self, text: str, source: str, random: Random, /) -> str: ...

    def without_controls(self, text: str, /) -> str: ...


class Redacting(Protocol):
    """Takes secrets out of a text; `bascule.Redactor` does."""

    def redact(self, text: str, /) -> Cleaned: ...


def sanitise(
    server: str,
    cleaning: Cleaning,
    *,
    redactor: Redacting | None = None,
    detector: Detector | None = None,
    random: Random = os.urandom,
) -> Guard:
    """The guard for the features of a server of this name; `random` makes the ids of envelopes.

    Raises ResultTooLarge for a result that cannot be cut, and what the detector raises.
    """
    redact = _redacting(redactor)

    def guard(next: Handler, feature: Feature) -> Handler:
        limit = feature.policy.max_result_bytes
        if feature.policy.untrusted:
            home = f"{server}, {feature.kind} {feature.name}"
            return _Untrusted(next, limit, redact, cleaning, detector, random, home)
        return of_size(next, feature) if redactor is None else _Redacted(next, limit, redact)

    of_size = size_limit()
    return guard


def redact(redactor: Redacting, *, again: bool = False) -> Guard:
    """The guard that takes secrets out, and does nothing else.

    With `again` it is the one that stands outside of `sanitise`, for what strangers wrote: what hid between the letters
    of a secret is gone there.
    """
    redacting = _redacting(redactor)

    def guard(next: Handler, feature: Feature) -> Handler:
        if again and not feature.policy.untrusted:
            return next
        return _OnlyRedacted(next, feature.policy.max_result_bytes, redacting)

    return guard


def _redacting(redactor: Redacting | None) -> Callable[[str], str]:
    if redactor is None:
        return _same
    redact = redactor.redact
    return lambda text: redact(text).text


def _same(text: str) -> str:
    return text


class _Redacted:
    """A handler whose results and errors hold no known secret, nor what it sends and asks while it runs."""

    def __init__(self, next: Handler, limit: int, redact: Callable[[str], str]) -> None:
        self._next = next
        self._limit = limit
        self._redact = redact
        self._redacts = redact is not _same
        self._changes = Changes(redact, redact, redact)

    async def __call__(self, exchange: Exchange) -> Result:
        if self._redacts:
            change_outgoing(exchange, self._redact)
        try:
            result = await self._next(exchange)
        except (ToolError, MCPError) as error:
            _reword(error, self._label, self._redact)
            raise
        return self._outgoing(result)

    def _label(self, text: str) -> str:
        return self._redact(text)

    def _outgoing(self, result: Result) -> Result:
        return fitting(_with_changes(result, self._changes), self._limit)


class _OnlyRedacted(_Redacted):
    """The same, of whatever size."""

    def _outgoing(self, result: Result) -> Result:
        return _with_changes(result, self._changes)


class _Untrusted(_Redacted):
    """A handler whose results strangers wrote."""

    def __init__(
        self,
        next: Handler,
        limit: int,
        redact: Callable[[str], str],
        cleaning: Cleaning,
        detector: Detector | None,
        random: Random,
        home: str,
    ) -> None:
        super().__init__(next, limit, redact)
        self._cleaning = cleaning
        self._detector = detector
        self._random = random
        self._home = home

    def _outgoing(self, result: Result) -> Result:
        source = self._home if result.meta is UNSET else self._source(result)
        if not isinstance(result, CallToolResult):
            return _with_changes(fitting(result, self._limit), self._changes_of(source))
        if is_small(result, self._limit):
            blocks: list[ContentBlock] = [
                self._text(block, source) for block in result.content if isinstance(block, TextContent)
            ]
        else:
            if self._redacts:
                result = _with_changes(result, self._changes)
            blocks = [self._kept(block, source) for block in fitted(result, self._limit)]
        structured = result.structured_content
        if structured is not UNSET and structured is not None:
            structured = Raw(self._json(as_json(structured)))
        meta = result.meta if result.meta is UNSET else changed_value(result.meta, self._value)
        return replace(result, content=blocks, structured_content=structured, meta=meta)

    def _changes_of(self, source: str) -> Changes:
        return Changes(lambda text: self._block(text, source), self._label, self._value)

    def _kept(self, block: ContentBlock | Kept, source: str) -> ContentBlock:
        if not isinstance(block, Kept):
            return changed_block(block, self._changes_of(source))
        return said(block._replace(block=self._text(block.block, source)), self._limit)

    def _text(self, block: TextContent, source: str) -> TextContent:
        meta = block.meta and changed_value(block.meta, self._value)
        return TextContent(self._block(block.text, source), block.annotations, meta)

    def _block(self, text: str, source: str) -> str:
        if self._redacts:
            text = self._redact(text)
        warning = self._detector(text) if self._detector is not None else None
        text = self._clean(text, len(text))
        enveloped = self._cleaning.untrusted(text, source, self._random)
        return f"Warning: {warning}\n{enveloped}" if warning else enveloped

    def _label(self, text: str) -> str:
        return self._clean(self._redact(text), _MAX_LABEL)

    def _value(self, text: str) -> str:
        return self._redact(self._cleaning.without_controls(text))

    def _clean(self, text: str, longest: int) -> str:
        clean = self._cleaning.sanitise(text, longest).text
        return clean if clean == text else self._redact(clean)

    def _json(self, data: bytes) -> bytes:
        if not self._redacts and b"\\" not in data and b"\x7f" not in data and data.isascii():
            return data  # no character that is not printed
        return changed_raw(data, self._value)

    def _source(self, result: Result) -> str:
        """The server and feature, and what the result says of its origin."""
        given = _source_in(result.meta)
        return f"{self._home}: {self._clean(self._redact(given), _MAX_SOURCE)}" if given else self._home


def _source_in(meta: Any) -> str | None:
    if isinstance(meta, Raw):
        try:
            meta = msgspec.json.decode(meta)
        except msgspec.DecodeError:
            return None
    found = meta.get(SOURCE_KEY) if isinstance(meta, dict) else None
    return found if isinstance(found, str) else None


R = TypeVar("R", bound=Result)


def _with_changes(result: R, changes: Changes) -> R:
    """A result all of whose texts went through the changes."""
    meta = result.meta if result.meta is UNSET else changed_value(result.meta, changes.value)
    if isinstance(result, CallToolResult):
        structured = result.structured_content
        if structured is not UNSET and structured is not None:
            structured = Raw(changed_raw(as_json(structured), changes.value))
        content = [changed_block(block, changes) for block in result.content]
        return changed(result, content=content, structured_content=structured, meta=meta)
    if isinstance(result, ReadResourceResult):
        contents = [changed_contents(one, changes) for one in result.contents]
        return changed(result, contents=contents, meta=meta)
    if isinstance(result, GetPromptResult):
        messages = [changed(one, content=changed_block(one.content, changes)) for one in result.messages]
        said = result.description
        description = changes.label(said) if isinstance(said, str) else said
        return changed(result, messages=messages, description=description, meta=meta)
    return result


def _reword(error: ToolError | MCPError, label: Callable[[str], str], value: Callable[[str], str]) -> None:
    """Put the sentence of an error, and what it carries, through the changes."""
    error.message = label(error.message)
    error.args = (error.message, *error.args[1:])
    if isinstance(error, ToolError):
        error.details = changed_value(error.details, value)
    else:
        error.data = changed_value(error.data, value)
