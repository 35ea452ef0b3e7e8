"""Answers: what a file says to the questions of a server, for commands that nobody sits at.

A list answers in order. An object answers by key: that of the question where the server gives one, else its message.
Raises ConfigError.
"""

from collections import deque
from typing import Any

import msgspec
from msgspec import UnsetType

from bascule.cli.arguments import content
from bascule.cli.forms import Unfit, check_all
from bascule.errors import ConfigError
from bascule.wire.content import TextContent
from bascule.wire.inputs import CreateMessageParams, CreateMessageResult, ElicitParams, ElicitResult

_ACTIONS = ("accept", "decline", "cancel")
_MODEL = "a file of answers"


class Answers:
    """The answers of one file."""

    def __init__(self, path: str) -> None:
        """Read the file; `-` is standard input."""
        self._path = path
        try:
            given = msgspec.json.decode(content(path))
        except msgspec.DecodeError as wrong:
            raise ConfigError(f"The answers in {path} are not valid JSON: {wrong}") from None
        if not isinstance(given, (list, dict)):
            raise ConfigError(f"The answers in {path} must be a list, or an object with the answers by key")
        self._by_key: dict[str, Any] = given if isinstance(given, dict) else {}
        self._in_order = deque(given if isinstance(given, list) else [])

    def form(self, params: ElicitParams, key: str | None) -> ElicitResult | None:
        """The answer to a form or a page to visit; None where the file has none."""
        found, answer = self._found(key, params.message)
        if not found:
            return None
        result = _action(answer)
        if result is None and params.mode == "url":
            raise ConfigError(f"{self._about(params.message)}: a page is answered with one of {', '.join(_ACTIONS)}")
        result = result or ElicitResult("accept", answer)
        if result.action == "accept" and params.mode != "url":
            schema = None if isinstance(params.requested_schema, UnsetType) else params.requested_schema
            try:
                result.content = check_all(schema, result.content or {})
            except Unfit as wrong:
                raise ConfigError(f"{self._about(params.message)}: {wrong}") from None
        return result

    def sample(self, params: CreateMessageParams, key: str | None) -> CreateMessageResult | None:
        """The answer that stands for a model's; None where the file has none."""
        last = params.messages[-1].content if params.messages else None
        text = last.text if isinstance(last, TextContent) else ""
        found, answer = self._found(key, text)
        if not found:
            return None
        if isinstance(answer, str):
            return CreateMessageResult("assistant", TextContent(answer), _MODEL, "endTurn")
        try:
            return msgspec.convert(answer, CreateMessageResult)
        except msgspec.ValidationError as wrong:
            raise ConfigError(f"{self._about(text)}: {wrong}") from None

    def missing(self, message: str) -> ConfigError:
        """The error for a question that the file does not answer."""
        return ConfigError(f"{self._path} has no answer to {message!r}")

    def _found(self, key: str | None, message: str) -> tuple[bool, Any]:
        if self._in_order:
            return True, self._in_order.popleft()
        for name in (key, message):
            if name is not None and name in self._by_key:
                return True, self._by_key[name]
        return False, None

    def _about(self, message: str) -> str:
        return f"The answer in {self._path} to {message!r} does not fit"


def _action(answer: Any) -> ElicitResult | None:
    """The result that an answer names by its action, alone or as the protocol has it; None for a form's content."""
    if answer in _ACTIONS and isinstance(answer, str):
        return ElicitResult(answer)  # type: ignore[arg-type]
    if isinstance(answer, dict) and answer.get("action") in _ACTIONS and answer.keys() <= {"action", "content"}:
        return ElicitResult(answer["action"], answer.get("content"))
    return None
