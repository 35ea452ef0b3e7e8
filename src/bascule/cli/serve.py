"""`bascule serve`: run a server over stdio or HTTP.

Knows targets and the wiring in `bascule.serve`. Over stdio the descriptors are claimed before the server's code is
imported, so that nothing it prints while loading reaches the client.
"""

import signal
import sys
from types import FrameType
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bascule.cli import exits, logs, targets
from bascule.cli.ready_made import NOTHING, Choices
from bascule.errors import ConfigError
from bascule.late import late


def serve(
    target: Annotated[str, Parameter(show=False)],
    /,
    *,
    transport: Annotated[Literal["stdio", "http"], Parameter(alias="-t", show_default=True)] = "stdio",
    host: Annotated[str | None, Parameter(metavar="ADDRESS")] = None,
    port: Annotated[int | None, Parameter(alias="-p", metavar="NUMBER")] = None,
    choices: Choices = NOTHING,
    reload: bool = False,
    allow_unauthenticated: bool = False,
    legacy_sse: bool = False,
    config: Annotated[str | None, Parameter(metavar="FILE")] = None,
    log_level: Annotated[logs.Level, Parameter(alias="-l", show_default=True)] = "warning",
    debug: bool = False,
) -> int:
    """Serve until the input closes (stdio), or until Ctrl-C or SIGTERM, which end it with exit code 0.

    Parameters
    ----------
    transport
        How clients reach it.
    host
        The address to listen on; 127.0.0.1 unless the settings say otherwise.
    port
        The port to listen on; 3000 unless PORT or the settings say otherwise, 0 for a free one.
    reload
        Restart when a Python file in the target's folder changes (HTTP only).
    allow_unauthenticated
        Listen beyond this machine although nobody has to prove who they are.
    legacy_sse
        Serve clients of the HTTP+SSE transport too, at /sse (HTTP only).
    config
        The settings file; ./bascule.toml where it exists.
    log_level
        How much is told on standard error.
    debug
        Show the traceback of an error.
    """
    if transport == "stdio":
        _refuse_for_stdio(host is not None or port is not None or reload, legacy_sse)
    if reload:
        words = _without(sys.argv[1:], "--reload")
        return int(late("bascule.cli.reload:supervise")(words, targets.folder(target)))
    http = {"host": host, "port": port, "allow_unauthenticated": allow_unauthenticated, "legacy_sse": legacy_sse}
    logs.for_server(log_level)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if transport == "stdio":
            _stdio(target, choices, config)
        else:
            _http(target, choices, config, **http)
    except KeyboardInterrupt:
        pass  # told to stop, and stopped
    return exits.OK


def _refuse_for_stdio(listens: bool, legacy_sse: bool) -> None:
    if listens:
        raise ConfigError("--host, --port and --reload are for HTTP: add --transport http")
    if legacy_sse:
        raise ConfigError("--legacy-sse is for HTTP: add --transport http")


def _stdio(target: str, choices: Choices, config: str | None) -> None:
    settings = late("bascule.config:load")(config)
    if sys.stdin is not None and sys.stdin.isatty():
        _hint("Waiting for a client's messages on standard input; to serve over HTTP, add --transport http")
    streams = late("bascule.transports.stdio:claim")()
    late("bascule.serve:serve_stdio")(targets.load(target, choices, config), settings, streams)


def _http(target: str, choices: Choices, config: str | None, **overrides: Any) -> None:
    settings = late("bascule.config:load")(config)
    application = targets.load(target, choices, config)

    def announce(url: str) -> None:
        _hint(f"Serving {application.facts.info.name} on {url}")
        if sys.stderr.isatty():
            _hint(f"Connect with: bascule list {url} (Ctrl-C stops the server)")

    late("bascule.serve:run")(application, "http", settings=settings, announce=announce, **overrides)


def _hint(line: str) -> None:
    print(line, file=sys.stderr)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM before the server listens to signals itself ends the start as Ctrl-C does."""
    raise KeyboardInterrupt


def _without(words: list[str], option: str) -> list[str]:
    return [word for word in words if word.partition("=")[0] != option]
