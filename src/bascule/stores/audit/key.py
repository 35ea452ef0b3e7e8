"""The key of an audit log: a setting, or a file that is written once and that only its owner may read."""

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from bascule.engine.settings import AuditSettings
from bascule.errors import ConfigError
from bascule.stores.audit.chain import Keys, keys_of

_SHORTEST = 16


def keys_from(settings: AuditSettings, *, make: bool) -> Keys:
    """The keys that the settings name; a key file that is missing is written where `make` says so.

    Raises ConfigError for a key that is too short, a file that others may read, and one that cannot be read or written.
    """
    if settings.key:
        return _checked(settings.key, "The setting key in [audit]")
    path = Path(settings.key_file or f"{settings.file}.key")
    if make and not path.exists():
        _write(path)
    return read_key(path)


def read_key(path: Path) -> Keys:
    """The keys in a file. Raises ConfigError."""
    try:
        with path.open(encoding="ascii") as file:
            if sys.platform != "win32" and os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"The audit key {path} can be read by others: chmod 600 {path}")
            return _checked(file.read().strip(), f"The audit key in {path}")
    except OSError as error:
        raise ConfigError(f"The audit key {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The audit key in {path} is not plain text") from None


def _checked(text: str, what: str) -> Keys:
    if len(text) < _SHORTEST:
        raise ConfigError(f"{what} must have at least {_SHORTEST} characters")
    return keys_of(text.encode())


def _write(path: Path) -> None:
    """Write a new key, whole or not at all; where another process was quicker, its key stays."""
    own = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, f"{secrets.token_hex(32)}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with suppress(FileExistsError):
            os.link(own, path)
        own.unlink()
    except OSError as error:
        own.unlink(missing_ok=True)
        raise ConfigError(f"The audit key {path} cannot be written: {error.strerror}") from None
