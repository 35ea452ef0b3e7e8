"""Settings: one file, `bascule.toml`, overridden by environment variables, decoded into typed structs.

Knows where settings come from and how a wrong one is told; does not know what they do. Values never stand in an error.
Environment: `BASCULE_SECTION__KEY` (lists separated by commas), what hosting platforms set (`PORT`, `REDIS_URL`), and
`MCP_API_KEYS`.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from bascule.engine.demands import SCOPE_FORM, Demands, Source, settle
from bascule.engine.settings import HttpSettings, Settings
from bascule.errors import ConfigError

FILE = "bascule.toml"
_PREFIX = "BASCULE_"
_SECTIONS: dict[str, Any] = {field.name: field.type for field in fields(Settings) if field.name != "policy"}
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`(?: - at `\$\.?(?P<place>[^`]*)`)?")
_CHOICE = re.compile(r"Invalid enum value .*", re.DOTALL)


def load(path: str | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings from `path` (or `BASCULE_CONFIG`, or ./bascule.toml where it exists) and the environment.

    Raises ConfigError naming the key, and the nearest valid one where it is unknown.
    """
    environment = os.environ if environment is None else environment
    named = path or environment.get("BASCULE_CONFIG")
    found = _read(Path(named)) if named else _read(Path(FILE)) if Path(FILE).is_file() else {}
    redis = environment.get("REDIS_URL")
    if redis:
        found.setdefault("limits", {})["redis_url"] = redis
    for name, value in environment.items():
        if name.startswith(_PREFIX) and "__" in name:
            section, _, key = name.removeprefix(_PREFIX).lower().partition("__")
            _override(found, section, key, value, name)
    port = environment.get("PORT")
    if port:
        found.setdefault("http", {})["port"] = _number(port, "PORT")
    keys = environment.get("MCP_API_KEYS")
    if keys:
        _override(found, "auth", "api_keys", keys, "MCP_API_KEYS")
        if not found["auth"]["api_keys"]:
            raise ConfigError("The environment variable MCP_API_KEYS is set, but there is no key in it")
    return _decoded(found)


def http_settings(settings: HttpSettings, **overrides: Any) -> HttpSettings:
    """The settings with the overrides that are not None. Raises ConfigError where one is out of bounds."""
    given = {key: value for key, value in overrides.items() if value is not None}
    if not given:
        return settings
    return _decoded({"http": {**msgspec.to_builtins(settings), **given}}).http


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} is not valid TOML: {error}") from None


def _override(found: dict[str, Any], section: str, key: str, value: str, name: str) -> None:
    shape = _SECTIONS.get(section)
    if shape is None or key not in (known := _keys(shape)):
        options = list(_SECTIONS) if shape is None else list(known)
        raise ConfigError(f"The environment variable {name} is no setting{_hint(key if shape else section, options)}")
    kind = {field.name: field.type for field in fields(shape)}[key]
    wanted: Any = [part.strip() for part in value.split(",") if part.strip()] if "tuple" in str(kind) else value
    try:
        converted = msgspec.convert(wanted, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"The environment variable {name} does not fit: {_reason(str(error))}") from None
    found.setdefault(section, {})[key] = msgspec.to_builtins(converted)


def _decoded(found: dict[str, Any]) -> Settings:
    entries = found.get("policy", {})
    if not isinstance(entries, dict):
        raise ConfigError('The section [policy] has an entry for each tool, as in [policy."drop_*"]')
    try:
        settings = msgspec.convert({**found, "policy": {}}, Settings)
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN.search(str(error))
        if unknown is None:
            reason, _, place = str(error).partition(" - at `$.")
            section, _, key = place.rstrip("`").partition(".")
            raise ConfigError(f"The setting {key or section} in [{section}] does not fit: {_reason(reason)}") from None
        key, place = unknown["key"], unknown["place"] or ""
        shape: Any = _SECTIONS.get(place, Settings)
        where = f" in [{place}]" if place else ""
        raise ConfigError(f"There is no setting {key!r}{where}{_hint(key, list(_keys(shape)))}") from None
    return msgspec.structs.replace(settings, policy={name: _demands(name, one) for name, one in entries.items()})


def _demands(name: str, entry: Any) -> Demands:
    """One entry of `[policy]`."""
    where = f'[policy."{name}"]'
    if not isinstance(entry, dict):
        raise ConfigError(f'{where} must be a table; write [policy."{name}"] above its settings')
    try:
        demands = msgspec.convert(entry, Demands)
        settle([Source(where, demands)])
    except (msgspec.ValidationError, ConfigError) as error:
        unknown = _UNKNOWN.search(str(error))
        if unknown is not None:
            key = unknown["key"]
            raise ConfigError(f"There is no setting {key!r} in {where}{_hint(key, list(_keys(Demands)))}") from None
        reason, _, place = str(error).partition(" - at `$.")
        reason = SCOPE_FORM if place.startswith("scopes[") else reason
        raise ConfigError(
            f"The setting {place.rstrip('`') or 'rate'} in {where} does not fit: {_reason(reason)}"
        ) from None
    return demands


def _reason(text: str) -> str:
    """Why a value does not fit, without the value, which may be a secret in the wrong place."""
    return _CHOICE.sub("it is none of the words that are allowed", text)


def _keys(shape: type[Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(shape))


def _hint(key: str, options: list[str]) -> str:
    near = get_close_matches(key, options, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; valid are {', '.join(sorted(options))}"


def _number(text: str, name: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"The environment variable {name} must be a port number")
    return int(text)
