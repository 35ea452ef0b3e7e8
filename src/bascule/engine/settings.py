"""The settings of a served application, each with its default.

Shapes only: `config` reads them from file and environment.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bascule.engine.demands import Demands

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


class HttpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP endpoint: where it listens, whom it lets in, what it bears. Times in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 3000
    path: str = "/mcp"
    public_url: str | None = None
    """The URL under which clients reach the server from outside; its host and origin are allowed."""
    allowed_hosts: tuple[str, ...] = ()
    """Host headers allowed besides loopback and the public URL: names with or without port, `*.example.com`."""
    allowed_origins: tuple[str, ...] = ()
    """Origin headers allowed besides loopback and the public URL: `https://*.example.com`, or `*` for all."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    allow_unauthenticated: bool = False
    """Listen beyond loopback although no credentials are configured."""
    legacy_sse: bool = False
    """Serve the transport of 2024-11-05 too: a stream at /sse, messages at /messages/."""
    max_body_bytes: Count = 4 * 1024 * 1024
    max_header_bytes: Count = 64 * 1024
    request_timeout: Positive = 30.0
    """How long a client may take to send one whole request."""
    idle_timeout: Positive = 60.0
    """How long a connection may stay open between two requests."""
    keep_alive_interval: Positive = 15.0
    """How often a quiet GET stream carries a comment, so that nothing between the two ends closes it."""
    shutdown_timeout: Positive = 10.0
    """How long running requests may take to finish when the server stops."""
    max_connections: Count = 10_000
    max_streams: Count = 1000
    """How many GET streams of the handshake era may be open at once."""
    max_streams_per_principal: Count = 100
    """How many of them one caller may hold open."""
    session_ttl: Positive = 86_400.0
    """How long a handshake-era session id is good for."""
    session_idle_timeout: NotNegative = 0.0
    """After how long without a request a session ends; with 0, only its age ends one, and it costs no memory."""
    single_use_state: bool = False
    """Take each `requestState` of the stateless era once only; what was asked back cannot be answered twice."""
    sealing_keys: tuple[str, ...] = ()
    """Secrets that seal session ids, newest first; one is generated for this process where none is given."""


class AuthSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call over HTTP: everybody who reaches it, with neither `keys` nor `api_keys`. Times in seconds."""

    keys: str = ""
    """The SQLite file with the API keys that `bascule keys` makes."""
    api_keys: tuple[str, ...] = ()
    """API keys themselves, each alone or as `key=scope+scope`; the environment's MCP_API_KEYS wins over them."""
    max_failures: Count = 20
    """How many requests with wrong credentials one address may send within `failure_window`; then 429."""
    failure_window: Positive = 60.0
    list_all: bool = False
    """Show in lists what a caller may not use, too."""

    def __repr__(self) -> str:
        return f"AuthSettings(keys={self.keys!r}, api_keys=<{len(self.api_keys)}>, list_all={self.list_all})"


class TaskSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Calls that go on as tasks. Times in seconds, sizes in bytes."""

    store: str = ""
    """The SQLite file that keeps tasks beyond a restart, for one process; where there is none, memory keeps them."""
    ttl: Positive = 3600.0
    """How long a task is kept, from its creation."""
    poll_interval: Positive = 1.0
    """How long clients are asked to wait between two looks at a task."""
    max_tasks: Count = 10_000
    max_tasks_per_principal: Count = 100
    max_result_bytes: Count = 4 * 1024 * 1024
    """How long the result of a task may be; a longer one fails it."""
    max_kept_bytes: Count = 256 * 1024 * 1024
    """How long all results together may be."""


Fail = Literal["closed", "open", "local"]
"""What holds while shared counters cannot be reached: no call, every call, or what this process counts by itself."""


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How often callers may call. Rates as in `10/s, 600/h`, empty for none; times in seconds."""

    rate: str = "60/min"
    """How often one caller may call one tool, where neither the tool nor a policy says."""
    lists: str = ""
    """How often one caller may ask for each of the lists."""
    per_address: str = "600/min"
    """How often callers without credentials may call from one address, whatever they call."""
    figures: bool = False
    """Put the figures into the `_meta` of results too, and not only of refusals."""
    max_keys: Count = 100_000
    """How many callers and tools are counted apart in this process; those beyond share one count."""
    redis_url: str = ""
    """The Redis that counts for all processes; without one, each counts for itself."""
    timeout: Positive = 0.05
    """How long Redis may take to answer."""
    fail: Fail = "local"
    """What holds while Redis does not answer."""

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__} | {"redis_url": bool(self.redis_url)}
        return f"LimitSettings({shown})"


class LoadSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What one process bears at once, and what it takes for a loop. Times in seconds."""

    max_calls: Count = 1000
    """How many calls may be under way."""
    max_calls_per_principal: Count = 100
    """How many of them one caller may hold; the user at this machine may hold all."""
    max_waiting: Annotated[int, Meta(ge=0)] = 100
    """How many more may wait for their turn; with 0, none does."""
    max_wait: Positive = 1.0
    """How long one waits before it is refused."""
    timeout_grace: Positive = 5.0
    """How long a handler whose time is over may take to clean up, before its caller is answered without it."""
    max_threads: Count = 32
    """How many synchronous functions may run."""
    max_threads_per_feature: Annotated[int, Meta(ge=0)] = 0
    """How many of these threads one tool, resource or prompt may hold; 0 stands for a half of them."""
    max_repeats: Annotated[int, Meta(ge=0)] = 20
    """How often one caller may make the same call of a tool with the same arguments; with 0, as often as it likes."""
    repeats_within: Positive = 60.0
    """The time within which these are counted."""


class ResultSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What leaves the server."""

    redact: bool = False
    """Take what looks like a secret out of every result and error."""


class ApprovalSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Calls that a person must confirm. Times in seconds, sizes in bytes."""

    file: str = ""
    """The SQLite file that keeps approvals, and which confirmations were used; all processes of a server share it.
    Where there is none, memory keeps the latter, and nothing can wait for an approval."""
    ttl: Positive = 3600.0
    """How long an approval can be given, and from then on, how long it can be used."""
    max_pending: Count = 1000
    """How many calls may wait for an approval at once."""
    max_pending_per_principal: Count = 20
    max_arguments_bytes: Count = 128 * 1024
    """How long the arguments of a call may be that anybody is asked about."""
    max_shown: Annotated[int, Meta(ge=200)] = 4000
    """How many characters of arguments a question shows."""
    too_long: Literal["shorten", "refuse"] = "shorten"
    """What happens where that is not enough: the question says what it leaves out, or the call is refused."""


class AuditSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The audit log. Times in seconds, sizes in bytes."""

    file: str = ""
    """The file that gets one line for each decision; no file, no log."""
    key: str = ""
    """The secret that the lines are chained with, of at least 16 characters; where there is none, a file has it."""
    key_file: str = ""
    """The file that has the key, written where it is missing; by default the log's name and `.key`."""
    arguments: Literal["digest", "redacted", "none"] = "digest"
    """What stands of a call's arguments: a digest, the arguments without what is secret, or nothing."""
    redact: tuple[str, ...] = ()
    """Words in the names of arguments that are secret, besides password, token, secret, key and their like."""
    fail: Literal["closed", "open"] = "closed"
    """Where the log cannot be written: calls are refused, or carried out while what is missing is counted."""
    fsync: Literal["batch", "never"] = "batch"
    """Whether each batch of lines is forced to the disk."""
    interval: NotNegative = 0.1
    """How long lines are gathered before they are written; what a killed process loses."""
    queue: Count = 10_000
    """How many decisions may wait to be written."""
    rotate_bytes: Count = 64 * 1024 * 1024
    rotate_after: NotNegative = 86_400.0
    """After how long a file is followed by the next; with 0, only its size decides."""

    def __repr__(self) -> str:
        return f"AuditSettings(file={self.file!r}, arguments={self.arguments!r}, fail={self.fail!r})"


class StdioSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The stdio transport. Sizes in bytes."""

    max_line_bytes: Count = 4 * 1024 * 1024


class WeatherSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[weather]`: what the ready-made server weather asks, and where that is."""

    source: Literal["wttr", "open-meteo"] = "wttr"
    wttr_url: str = "https://wttr.in"
    open_meteo_url: str = "https://api.open-meteo.com"
    geocoding_url: str = "https://geocoding-api.open-meteo.com"
    cities: tuple[str, ...] = ()
    """Cities that are listed besides the built-in ones."""
    timeout: Annotated[float, Meta(gt=0)] = 8.0
    """Seconds that one try may take; there are three."""
    cache_seconds: Annotated[float, Meta(ge=0)] = 600.0
    """For how long an answer counts."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that `bascule.toml` may say, section by section."""

    http: HttpSettings = HttpSettings()
    stdio: StdioSettings = StdioSettings()
    tasks: TaskSettings = TaskSettings()
    limits: LimitSettings = LimitSettings()
    auth: AuthSettings = AuthSettings()
    policy: dict[str, Demands] = {}
    """What is demanded of tools, resources and prompts, by name or glob."""
    load: LoadSettings = LoadSettings()
    results: ResultSettings = ResultSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    audit: AuditSettings = AuditSettings()
    weather: WeatherSettings = WeatherSettings()
