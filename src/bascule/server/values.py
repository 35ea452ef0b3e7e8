"""Values that the JSON library does not know by itself: paths, pydantic's values, text that is not valid Unicode.

Knows Python values and JSON bytes; knows no tool and no protocol. Pydantic is used only where the author's own code has
loaded it, so it is looked up among the loaded modules and never imported.
"""

import sys
from pathlib import PurePath
from typing import Any

import msgspec

MARK = "__get_pydantic_core_schema__"
"""The attribute by which a class or an annotation says that pydantic knows how to read it."""


def encode(value: object) -> bytes:
    """The JSON bytes of any supported value; NaN becomes null, lone surrogates U+FFFD.

    Raises TypeError, in a sentence, for a value that has no JSON form.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_mended(msgspec.to_builtins(value, str_keys=True, enc_hook=to_json)))
    except RecursionError:
        raise TypeError("the value contains itself or nests too deeply") from None
    except (ValueError, OverflowError) as wrong:
        raise TypeError(str(wrong)) from None


def to_json(value: object) -> object:
    """What to encode instead of a value that msgspec does not know. Raises TypeError for what nobody knows."""
    if isinstance(value, PurePath):
        return str(value)
    pydantic = sys.modules.get("pydantic_core")
    if pydantic is not None and hasattr(type(value), MARK):
        return pydantic.to_jsonable_python(value, by_alias=True)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def from_json(kind: Any, value: object) -> Any:
    """Make a value of a type that msgspec does not know from what JSON holds in its place."""
    if _is_path(kind) and isinstance(value, str):
        return kind(value)
    raise TypeError("Expected `str`")


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a type that msgspec does not know. Raises TypeError for what nobody knows."""
    if _is_path(kind):
        return {"type": "string", "format": "path"}
    raise TypeError(f"{getattr(kind, '__name__', kind)} cannot be written as JSON")


def _is_path(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, PurePath)


def _mended(value: object) -> object:
    """The same plain value with lone surrogates replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mended(item) for item in value]
    return value


_encode = msgspec.json.Encoder(enc_hook=to_json).encode
