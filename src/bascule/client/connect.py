"""From a target to a connection: a server object, a command or a URL.

Knows every transport by name and loads the one that is needed, when it is needed: a client of one kind of server pays
for no other.
"""

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from bascule.client.entries import Entry, read_entry
from bascule.engine.application import Application
from bascule.engine.connection import Connection, OnWire, Stream
from bascule.engine.exchange import Principal
from bascule.engine.ports import MakeSeal
from bascule.errors import ConfigError
from bascule.late import late
from bascule.runtime.caller import Caller
from bascule.runtime.inbox import Inbox
from bascule.runtime.watched import WatchedStream


class StdioCommand(Struct, frozen=True):
    """A command to start as a server: its arguments, what its environment has beyond the harmless part, its folder."""

    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    cwd: str | None = None

    def __repr__(self) -> str:
        """The command alone: arguments and environment may hold secrets."""
        return f"StdioCommand({self.command!r})"


Target = Application | StdioCommand | str | os.PathLike[str] | Sequence[str] | Mapping[str, Any] | Entry


Front = Callable[[Stream], Stream]
"""Something to put in front of a stream: is given the stream, and gives back what takes its place."""


class Openers(NamedTuple):
    """How to connect to a target, and how to one that knows only an older transport, where there is one."""

    first: "Opener"
    older: "Opener | None" = None

    def through(self, front: Front) -> "Openers":
        """The same with something in front of each stream. Raises ConfigError where messages are no stream."""
        if not isinstance(self.first, OverStream):
            raise ConfigError("Nothing can be put in front of a URL: that is for servers in memory and commands")
        return Openers(self.first.through(front))


class Opener(Protocol):
    """Makes a connection that reads into an inbox; it is not started yet."""

    def __call__(self, inbox: Inbox) -> Connection: ...


class OverStream:
    """An Opener whose connections speak over a byte stream."""

    def __init__(self, stream: Callable[[], Stream]) -> None:
        self._stream = stream

    def __call__(self, inbox: Inbox) -> Connection:
        """A connection over a new stream."""
        return Caller(self._stream(), inbox)

    def through(self, front: Front | None) -> "OverStream":
        """The same with something in front of the stream."""
        return self if front is None else OverStream(lambda: front(self._stream()))


def opener(
    target: Any,
    *,
    headers: Mapping[str, str] | None,
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
    on_wire: OnWire | None = None,
    principal: Principal | None = None,
) -> Openers:
    """How to connect to `target`. `headers` go with every HTTP request; `env` and `cwd` are for a command.

    `on_wire` is shown every message; `principal` is who calls a server object. Raises TypeError for what is no
    target, ConfigError for a URL, header, command or principal that cannot be used.
    """
    watch: Front | None = None if on_wire is None else lambda stream: WatchedStream(stream, on_wire)
    if isinstance(target, Mapping):
        target = read_entry(target)
    if isinstance(target, Entry):
        headers = {**target.headers, **(headers or {})}
        target = target.url or StdioCommand(target.command, target.args, target.env, target.cwd)
    known = None if principal is None else _known(principal, target)
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        connection = late("bascule.transports.http_client:HttpConnection")
        older = OverStream(lambda: late("bascule.transports.sse_client:SseStream")(target, headers or {})).through(
            watch
        )
        return Openers(lambda inbox: connection(target, inbox, headers=headers, on_wire=on_wire), older.through(watch))
    if headers:
        raise ConfigError("Headers go with HTTP requests: they are of no use for a target that is not a URL")
    command = _command(target)
    if command is not None:
        own = {**(command.env or {}), **(env or {})}
        words = [command.command, *command.args]
        stream = late("bascule.transports.spawn:SpawnStream")
        place = cwd if cwd is not None else command.cwd
        return Openers(OverStream(lambda: stream(words, env=own, cwd=place)).through(watch))
    if isinstance(target, Application):
        memory = late("bascule.transports.memory:connect")
        return Openers(OverStream(lambda: memory(target, _make_seal(), known)).through(watch))
    raise TypeError(
        f"A client cannot connect to {type(target).__name__!r}: give it a server object, a URL that begins with "
        "http:// or https://, a command (text, a list of words, or StdioCommand), the path of a Python file, or an "
        "entry of an mcpServers file"
    )


def _known(principal: Any, target: Any) -> Principal:
    """The principal as guards compare it. Raises ConfigError where nobody but the server can say who calls."""
    if not isinstance(target, Application):
        raise ConfigError(
            "A principal is for a server object in this process: every other server finds out itself who calls"
        )
    given: Any = getattr(principal, "scopes", "")
    if not isinstance(principal, Principal) or isinstance(given, str):
        raise ConfigError(
            'A principal is a Principal, its scopes a set, as in Principal(scopes=frozenset({"tools:read"}))'
        )
    return principal if isinstance(given, frozenset) else replace(principal, scopes=frozenset(given))


def _make_seal() -> MakeSeal:
    """How a server in this process seals: with a key of its own."""
    return cache(lambda: late("bascule.eras.sealing:Sealer")(()))


def _command(target: Any) -> StdioCommand | None:
    """The command that a target is, or None."""
    if isinstance(target, StdioCommand):
        return target
    if isinstance(target, os.PathLike):
        words = [os.fspath(target)]
    elif isinstance(target, str):
        words = _words(target)
    elif isinstance(target, (list, tuple)) and all(isinstance(word, str) for word in target):
        words = list(target)
    else:
        return None
    if not words or not words[0]:
        raise ConfigError("The server command is empty")
    if words[0].endswith(".py"):
        words.insert(0, sys.executable)
    return StdioCommand(words[0], words[1:])


def _words(text: str) -> list[str]:
    if text.endswith(".py") and Path(text).is_file():
        return [text]
    try:
        return shlex.split(text, posix=sys.platform != "win32")
    except ValueError as wrong:
        raise ConfigError(f"The server command cannot be read: {wrong}") from None
