"""Masks: what a trace must not show, taken out of messages and headers before anybody sees them.

Hidden are headers and fields whose names speak of secrets, what a tool's schema or a form calls a password or
write-only, wherever its value turns up again, and whatever looks like a token. Knows JSON and schemas; prints nothing.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bascule.cli.parameters import resolved

HIDDEN = "***"

_HEADER = re.compile(r"auth|cookie|credential|key|pass|secret|session|token", re.IGNORECASE)
_FIELD = re.compile(
    r"(?:pass(?:word|wd|phrase)|secret|client_?secret|(?:api|access|private|secret)_?key|"
    r"(?:(?:access|refresh|bearer|auth|id|api)_?)?token|authorization|credentials?)",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?<=\bBearer )[\w.~+/=-]+|(?<=\bBasic )[\w.~+/=-]{8,}|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|"
    r"\b(?:sk|pk|rk|gh[pousr]|github_pat|glpat|xox[abprs])[-_][\w-]{16,}|\bAKIA[A-Z0-9]{16}\b",
    re.IGNORECASE,
)
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"(?<==)[^&#\s]+")
_DEPTH = 8
_SHORTEST = 4
_EACH = "[]"
"""Stands in a shape for the items of a list."""

Shape = dict[str, Any]
"""Which parts of a value are secret: by key, each another shape, or True for the whole part."""


class Masks:
    """Learns from the messages of one connection what is secret, and hides it in those that follow."""

    def __init__(self) -> None:
        self._tools: dict[str, Shape | bool] = {}
        self._forms: Shape = {}
        self._values: set[str] = set()

    def learn(self, message: Any) -> None:
        """See what a message of the server calls secret: the schemas of tools, and of forms to fill in."""
        for part in message if isinstance(message, list) else ():
            self.learn(part)
        for tool in _dicts(_at(message, "result", "tools")):
            name, schema = tool.get("name"), tool.get("inputSchema")
            if isinstance(name, str) and isinstance(schema, dict):
                self._tools[name] = _shape(schema, schema, _DEPTH)
        asked = _at(message, "result", "inputRequests")
        params = [message.get("params")] if isinstance(message, dict) else []
        params += [one.get("params") for one in _dicts(asked.values() if isinstance(asked, dict) else ())]
        for one in params:
            schema = _at(one, "requestedSchema")
            form = _shape(schema, schema, _DEPTH) if isinstance(schema, dict) else {}
            if isinstance(form, dict):
                self._forms.update(form)

    def masked(self, message: Any) -> Any:
        """The message, or the batch, without its secrets."""
        if isinstance(message, list):
            return [self.masked(part) for part in message]
        return self._clean(self._covered(message))

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers without their secrets."""
        return {
            name: HIDDEN if _HEADER.search(name) else self.text(_unquoted(value)) for name, value in headers.items()
        }

    def text(self, text: str) -> str:
        """Text without the secrets that are known, and without what looks like one."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return _TOKEN.sub(HIDDEN, text)

    def url(self, text: str) -> str:
        """A URL, or a line with one, without its user, password and values of its query."""
        return _QUERY.sub(HIDDEN, _USER.sub(HIDDEN, self.text(text)))

    def _covered(self, message: Any) -> Any:
        """The message with the arguments and answers covered that a schema calls secret."""
        if not isinstance(message, dict):
            return message
        covered = dict(message)
        params = covered.get("params")
        if isinstance(params, dict):
            covered["params"] = params = dict(params)
            shape = self._tools.get(str(params.get("name")))
            if shape and "arguments" in params:
                params["arguments"] = self._cover(params["arguments"], shape)
            if "inputResponses" in params:
                params["inputResponses"] = self._cover_answers(params["inputResponses"])
        if isinstance(covered.get("result"), dict):
            covered["result"] = self._cover_answer(covered["result"])
        return covered

    def _cover_answers(self, answers: Any) -> Any:
        if not isinstance(answers, dict):
            return answers
        return {key: self._cover_answer(answer) for key, answer in answers.items()}

    def _cover_answer(self, answer: Any) -> Any:
        if isinstance(answer, dict) and isinstance(answer.get("content"), dict) and self._forms:
            return {**answer, "content": self._cover(answer["content"], self._forms)}
        return answer

    def _cover(self, value: Any, shape: Shape | bool) -> Any:
        if isinstance(shape, bool):
            self._remember(value)
            return HIDDEN
        if isinstance(value, dict):
            return {key: self._cover(part, shape[key]) if key in shape else part for key, part in value.items()}
        if isinstance(value, list) and _EACH in shape:
            return [self._cover(part, shape[_EACH]) for part in value]
        return value

    def _remember(self, value: Any) -> None:
        """Know a secret again wherever it turns up."""
        if isinstance(value, str) and len(value) >= _SHORTEST:
            self._values.add(value)
        elif isinstance(value, (dict, list)):
            for part in value.values() if isinstance(value, dict) else value:
                self._remember(part)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._clean(part) for part in value]
        if isinstance(value, dict):
            return {self.text(key): self._field(key, part) for key, part in value.items()}
        return value

    def _field(self, key: str, value: Any) -> Any:
        if not _is_secret(key, value):
            return self._clean(value)
        self._remember(value)
        return HIDDEN


def _is_secret(key: str, value: Any) -> bool:
    return _FIELD.fullmatch(key) is not None and isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _shape(form: dict[str, Any], root: dict[str, Any], depth: int) -> Shape | bool:
    """Which parts of a value with this schema are secret."""
    form = resolved(form, root)
    if form.get("writeOnly") is True or form.get("format") == "password":
        return True
    found: Shape = {}
    if not depth:
        return found
    for name, inner in _inner(form):
        shape = _shape(inner, root, depth - 1)
        if shape is True and name is None:
            return True
        if shape and name is None and isinstance(shape, dict):
            found.update(shape)
        elif shape and name is not None:
            found[name] = shape
    return found


def _inner(form: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The schemas inside a schema, each with the key of the part that it is for, None where it is for the whole."""
    for word in ("anyOf", "oneOf", "allOf"):
        yield from ((None, part) for part in _dicts(form.get(word)))
    properties = form.get("properties")
    if isinstance(properties, dict):
        yield from ((name, inner) for name, inner in properties.items() if isinstance(inner, dict))
    if isinstance(form.get("items"), dict):
        yield _EACH, form["items"]


def _dicts(values: Any) -> Iterable[dict[str, Any]]:
    if not isinstance(values, Iterable) or isinstance(values, (str, dict)):
        return []
    return [value for value in values if isinstance(value, dict)]


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _unquoted(value: str) -> str:
    """A header's value as text, where it travels as base64."""
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except ValueError:
        return value
