"""Serving: where a Server meets a transport. The one place, with `testing`, that knows both sides.

Everything that one transport needs and another does not is loaded when that transport is asked for.
"""

import asyncio
import ipaddress
import logging
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from bascule import config
from bascule.engine.application import Application
from bascule.engine.ports import Authenticator, Clock, Keeping, MakeSeal, Seal
from bascule.engine.settings import AuthSettings, HttpSettings, Settings, TaskSettings
from bascule.errors import ConfigError
from bascule.late import late
from bascule.pipeline import Pipeline
from bascule.runtime.daemons import DaemonExecutor

if TYPE_CHECKING:
    from bascule.transports.http_server import HttpServer, PerAddress

log = logging.getLogger("bascule")

Announce = Callable[[str], None]


def run(
    application: Application,
    transport: Literal["stdio", "http"] = "stdio",
    *,
    host: str | None = None,
    port: int | None = None,
    allow_unauthenticated: bool = False,
    legacy_sse: bool = False,
    settings: Settings | None = None,
    announce: Announce | None = None,
) -> None:
    """Serve one application until its input closes or a signal arrives. Raises ConfigError.

    `announce` is told the URL once clients can connect; without it, the log is.
    """
    settings = config.load() if settings is None else settings
    _log_to_stderr()
    if transport == "stdio":
        serve_stdio(application, settings)
    elif transport == "http":
        pipeline = use_guards(application, settings)
        keep_tasks(application, settings.tasks)
        http = config.http_settings(
            settings.http,
            host=host,
            port=port,
            allow_unauthenticated=allow_unauthenticated or None,
            legacy_sse=legacy_sse or None,
        )
        serve_http(application, http, authenticator(settings.auth), announce, pipeline.address_limit)
    else:
        raise ConfigError(f"There is no transport {transport!r}; choose stdio or http")


def asgi(
    application: Application,
    *,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    settings: HttpSettings | None = None,
    door: Authenticator | None = None,
    per_address: "PerAddress | None" = None,
) -> "HttpServer":
    """The ASGI application of one Server; mounted in another application, that one's server owns sockets and timers.

    With `settings` given, `door` says who may call (everybody, where there is none), and `per_address` counts the
    requests of each address. Raises ConfigError.
    """
    if settings is None:
        loaded = config.load()
        per_address = use_guards(application, loaded).address_limit
        keep_tasks(application, loaded.tasks)
        settings = loaded.http
        door = authenticator(loaded.auth)
    http = settings
    widened = config.http_settings(
        http,
        allowed_hosts=[*http.allowed_hosts, *allowed_hosts],
        allowed_origins=[*http.allowed_origins, *allowed_origins],
    )
    if widened.sealing_keys:
        application.use_secrets(widened.sealing_keys)
    marks = late("bascule.stores.memory:MemoryMarks")() if widened.single_use_state else None
    server: HttpServer = late("bascule.transports.http_server:HttpServer")(
        application,
        widened,
        _handshake_endpoint,
        _legacy_endpoint,
        _make_seal(widened.sealing_keys),
        marks,
        authenticator=door,
        per_address=per_address,
    )
    return server


def authenticator(settings: AuthSettings, clock: Clock = time.time) -> Authenticator | None:
    """What lets callers in over HTTP; None where no credentials are configured. Raises ConfigError."""
    if not settings.keys and not settings.api_keys:
        return None
    given = late("bascule.auth.given_keys:given_keys")(settings.api_keys)
    store = late("bascule.stores.sqlite_keys:SqliteKeys")(settings.keys) if settings.keys else None
    if store is not None:
        try:
            store.check()
        except OSError as error:
            raise ConfigError(str(error)) from None
    made: Authenticator = late("bascule.auth.keys:ApiKeys")(given, store, settings, clock)
    return made


def use_guards(application: Application, settings: Settings) -> Pipeline:
    """Have an application guard its features as the settings say. Raises ConfigError.

    The log is told of entries that hold for nothing: what they were to protect has perhaps another name.
    """
    pipeline = Pipeline(settings, application.facts.info.name)
    application.use_guards(pipeline)
    for pattern in pipeline.unused:
        log.warning('[policy."%s"] is for nothing that the server %s has', pattern, application.facts.info.name)
    return pipeline


def keep_tasks(application: Application, settings: TaskSettings) -> None:
    """Have an application keep its tasks as the settings say."""
    store = late("bascule.stores.sqlite:SqliteTasks")(settings.store) if settings.store else None
    application.keep_tasks(Keeping(settings, store))


def serve_stdio(application: Application, settings: Settings, streams: tuple[int, int] | None = None) -> None:
    """Serve over standard input and output, or over two descriptors that were claimed already."""
    use_guards(application, settings)
    keep_tasks(application, settings.tasks)
    stdio = late("bascule.transports.stdio:serve")
    if streams is None:
        if sys.stdin is not None and sys.stdin.isatty():
            log.warning("Waiting for a client's messages on standard input; for HTTP, choose the http transport")
        streams = late("bascule.transports.stdio:claim")()
    make_seal = _make_seal(settings.http.sealing_keys)
    _run(stdio(application, *streams, settings.stdio.max_line_bytes, make_seal), asyncio.new_event_loop)


def serve_http(
    application: Application,
    settings: HttpSettings,
    door: Authenticator | None = None,
    announce: Announce | None = None,
    per_address: "PerAddress | None" = None,
) -> None:
    """Serve over HTTP. Raises ConfigError where the address is taken, or public and without credentials."""
    check_public(settings, guarded=door is not None)
    served = asgi(application, settings=settings, door=door, per_address=per_address)
    server = late("bascule.transports.uvicorn_server:UvicornServer")(served, settings)
    sockets = bind(settings.host, settings.port)
    port = sockets[0].getsockname()[1]
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{port}{settings.path}"
    if announce is None:
        log.warning("Serving %s on %s", application.facts.info.name, url)
    else:
        announce(url)
    _run(server.serve(sockets), _quick_loop())


def check_public(settings: HttpSettings, *, guarded: bool = False) -> None:
    """Raise ConfigError for an address beyond loopback without credentials, unless the settings insist."""
    if guarded or _is_loopback(settings.host):
        return
    if not settings.allow_unauthenticated:
        raise ConfigError(
            f"Refusing to listen on {settings.host} without credentials: anybody who reaches it could call every tool; "
            "make API keys (bascule keys create, MCP_API_KEYS), listen on 127.0.0.1, or allow it with "
            "--allow-unauthenticated"
        )
    log.warning("Listening on %s WITHOUT credentials: anybody who reaches it can call every tool", settings.host)


def _handshake_endpoint(application: Application, settings: HttpSettings, seal: Seal) -> Any:
    return late("bascule.transports.http_sessions:HandshakeEndpoint")(
        application, settings, seal, late("bascule.stores.memory:MemoryReplay")()
    )


def _make_seal(secrets: Sequence[str]) -> MakeSeal:
    return cache(lambda: late("bascule.eras.sealing:Sealer")([secret.encode() for secret in secrets]))


def _legacy_endpoint(application: Application, settings: HttpSettings, make_seal: MakeSeal) -> Any:
    return late("bascule.transports.legacy_sse:LegacyEndpoint")(application, settings, make_seal)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for a host and port; port 0 takes a free one. Raises ConfigError."""
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in _addresses(host, port):
            listener = socket.socket(family, kind, protocol)
            bound.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], bound[0].getsockname()[1], *address[2:]) if port == 0 and bound[1:] else address)
            listener.listen(2048)
    except OSError as error:
        for listener in bound:
            listener.close()
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}; choose another address with --host and --port"
        ) from None
    return bound


def _addresses(host: str, port: int) -> list[Any]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return sorted(set(found), key=lambda entry: entry[0])


def _quick_loop() -> Any:
    try:
        return late("uvloop:new_event_loop")
    except ImportError:
        return asyncio.new_event_loop


def _run(main: Coroutine[Any, Any, None], new_loop: Any) -> None:
    """Run to the end; cancel what is left, but wait for no thread that hangs."""
    loop = new_loop()
    loop.set_default_executor(DaemonExecutor())
    try:
        asyncio.set_event_loop(loop)
        _run_to_the_end(loop, loop.create_task(main))
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _run_to_the_end(loop: asyncio.AbstractEventLoop, main: "asyncio.Task[None]") -> None:
    """Run a task; a SystemExit in another one, which asyncio lets through, is one failed call and not the end."""
    while True:
        try:
            loop.run_until_complete(main)
            return
        except SystemExit:
            if main.done():
                raise
            log.exception("a handler's task tried to end the process")


def _log_to_stderr() -> None:
    """Show warnings on standard error unless the program has set up logging itself."""
    if not logging.getLogger().handlers and not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        log.addHandler(handler)
