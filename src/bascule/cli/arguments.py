"""Arguments of a tool or prompt as they are typed: `key=value`, `key:=JSON`, `key=@file`, or one JSON object.

Two steps: `read` takes the words apart, `bind` gives the values their types once the tool's schema is known. A value is
text where the schema allows text or says nothing, and JSON elsewhere. Raises ConfigError with one sentence.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bascule.cli.parameters import Parameter, parameters, takes_others
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError

_WORD = re.compile(r"(?P<key>[^=:@{\s][^=:\s]*)(?P<sign>:?=)(?P<value>.*)", re.DOTALL)
_STANDARD_INPUT = "-"


class Given(NamedTuple):
    """One argument as it was typed; `key` is None for a whole JSON object, and `forced` says that the text is JSON."""

    key: str | None
    text: str
    forced: bool


def read(words: Sequence[str]) -> list[Given]:
    """Take words apart, and read the files that they name. A file's final line break does not belong to its value."""
    return [_given(word) for word in words]


def bind(given: Sequence[Given], schema: dict[str, Any], tool: str) -> dict[str, Any]:
    """The arguments for a tool with this input schema. What stands in a whole object is passed on as it is."""
    known = {parameter.name: parameter for parameter in parameters(schema)}
    strict = not takes_others(schema)
    bound: dict[str, Any] = {}
    for key, text, forced in given:
        if key is None:
            bound.update(_object(text))
            continue
        if strict and key not in known:
            raise ConfigError(unknown(f"{tool} has no argument", key, known))
        bound[key] = _json(key, text) if forced else _typed(key, text, known.get(key))
    return bound


def texts(given: Sequence[Given], known: Sequence[str], prompt: str) -> dict[str, str]:
    """The arguments for a prompt, which takes text only."""
    bound: dict[str, str] = {}
    for key, text, _ in given:
        pairs = _object(text) if key is None else {key: text}
        for name, value in pairs.items():
            if name not in known:
                raise ConfigError(unknown(f"{prompt} has no argument", name, known))
            bound[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return bound


def _given(word: str) -> Given:
    if word.startswith("{"):
        return Given(None, word, True)
    if word.startswith("@"):
        return Given(None, content(word[1:]), True)
    taken = _WORD.fullmatch(word)
    if taken is None:
        raise ConfigError(f"{word!r} is no argument: write key=value, key:=JSON, key=@file or a JSON object")
    value = taken["value"]
    text = content(value[1:]) if value.startswith("@") else value
    return Given(taken["key"], text, taken["sign"] == ":=")


def content(path: str) -> str:
    """What is in a file, `-` for standard input, without its final line break. Raises ConfigError."""
    try:
        text = sys.stdin.read() if path == _STANDARD_INPUT else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The file {path} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _typed(key: str, text: str, parameter: Parameter | None) -> Any:
    if parameter is None or not parameter.kinds or "string" in parameter.kinds:
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        example = {"array": """ (as in '["a", "b"]')""", "object": """ (as in '{"a": 1}')"""}
        hint = next((example[kind] for kind in parameter.kinds if kind in example), "")
        raise ConfigError(f"The argument {key} must be {parameter.label}{hint}, and {_short(text)} is not") from None


def _json(key: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ConfigError(f"The argument {key} is not valid JSON: {error}") from None


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ConfigError(f"The arguments {_short(text)} are no JSON object: {error}") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
