"""Files of environment variables (`.env`), which entries name as `envFile`.

`NAME=value` on each line; `export` before the name, blank lines and comments are allowed. A value in single quotes is
taken as it is, in double quotes `\\n`, `\\t`, `\\r`, `\\"` and `\\\\` are escapes; elsewhere ` #` begins a comment.
Nothing is expanded and nothing executed. Errors give the number of a line, never what stands there.
"""

import re
from pathlib import Path

from bascule.errors import ConfigError

MAX_BYTES = 1024 * 1024

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][\w.-]*)\s*=\s*(?P<value>.*)", re.ASCII)
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def read_env_file(path: str) -> dict[str, str]:
    """The variables of a file; of two with one name the later counts. Raises ConfigError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as wrong:
        reason = (wrong.strerror if isinstance(wrong, OSError) else None) or "that is no path"
        raise ConfigError(f"the file in 'envFile' cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"the file in 'envFile' has more than {MAX_BYTES} bytes")
    found: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8-sig", "surrogateescape").split("\n"), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ConfigError(f"line {number} of the file in 'envFile' is not NAME=value")
        found[match["name"]] = _value(match["value"], number)
    return found


def _value(text: str, number: int) -> str:
    single = _SINGLE.fullmatch(text)
    if single:
        return single[1]
    double = _DOUBLE.fullmatch(text)
    if double:
        return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), double[1])
    if text[:1] in {"'", '"'}:
        raise ConfigError(f"line {number} of the file in 'envFile' has a quote that is not closed")
    return re.split(r"\s#", text, maxsplit=1)[0].rstrip()
