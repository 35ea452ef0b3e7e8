"""The interfaces of what several parts share: sealing now, shared state as it comes. Implementations live elsewhere."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from bascule.engine.exchange import Principal
from bascule.engine.policy import Kind, Window
from bascule.engine.settings import TaskSettings
from bascule.wire.jsonrpc import RequestId
from bascule.wire.tasks import Status


class Unsealable(Exception):
    """The text was not sealed with one of our keys for this purpose, or was changed on its way."""


class Seal(Protocol):
    """Makes text that only we can read and nobody can change."""

    def seal(self, payload: bytes, purpose: str) -> str:
        """The payload as URL-safe text, good for this purpose only."""
        ...

    def open(self, text: str, purpose: str) -> bytes:
        """The payload. Raises Unsealable, without saying why."""
        ...


Clock = Callable[[], float]
"""Seconds, since the epoch or since some other moment."""

Random = Callable[[int], bytes]
"""So many bytes that nobody can guess."""

MakeSeal = Callable[[], Seal]
"""Gives the one Seal of a process; made when first asked for, because most servers never need it."""


class Marks(Protocol):
    """Remembers what may happen once."""

    async def take(self, mark: str, until: float) -> bool:
        """Take a mark, to be remembered until a moment (seconds since the epoch); False where it was taken before, or
        cannot be remembered."""
        ...


class Verdict(Struct, frozen=True, gc=False):
    """What became of one charge. `window` is the one that left least room, or kept the call out the longest.

    Allowed: `remaining` calls may start at once, and `reset_at` is when the window begins to give back. Refused:
    nothing was charged, and `reset_at` is when the next call may start. `wait` is the seconds until then.
    """

    allowed: bool
    remaining: int
    reset_at: float
    """Seconds since the epoch."""
    wait: float
    window: Window
    counted: bool = True
    """False where the starts could not be counted, and a setting decided."""


class Counters(Protocol):
    """Counts how often something started, per key and within sliding windows."""

    async def charge(self, key: str, windows: tuple[Window, ...]) -> Verdict:
        """Count one start in every window, or in none where one of them is full. Never raises for want of a store."""
        ...

    async def close(self) -> None:
        """Let go of what it holds open."""
        ...


class Recorded(NamedTuple):
    """One event of a stream: its number, from 1, and its data."""

    number: int
    data: bytes


class Replay(Protocol):
    """Keeps the events of event streams for clients that come back for them; bounded."""

    async def append(self, stream: str, data: bytes, *, last: bool = False) -> int:
        """Keep one event; returns its number. The `last` one ends the stream."""
        ...

    async def after(self, stream: str, number: int) -> list[Recorded] | None:
        """The events after one, waited for where there is none yet; empty at the end, None where they are not kept."""
        ...

    async def knows(self, stream: str, number: int) -> bool:
        """Whether all events after this one are still kept, or will be."""
        ...

    def forget(self, prefix: str) -> None:
        """Drop all streams whose name begins so."""
        ...


class TaskRecord(NamedTuple):
    """A task as it is kept. Times in seconds since the epoch; `result` and `error` are JSON."""

    id: str
    owner: tuple[str, str, str]
    state: Status
    created: float
    updated: float
    expires: float
    message: str | None = None
    result: bytes | None = None
    error: bytes | None = None


class TaskStore(Protocol):
    """Keeps tasks beyond the process that runs them."""

    async def open(self) -> list[TaskRecord]:
        """The tasks of earlier processes that have not expired, oldest first; none where the store is open already.

        Raises ConfigError where it cannot be opened.
        """
        ...

    async def put(self, record: TaskRecord) -> None:
        """Keep a task as it stands, surely. Raises OSError where that fails."""
        ...

    async def close(self) -> None:
        """Close once for each `open`."""
        ...


class Keeping(NamedTuple):
    """How the tasks of a process are kept. Stands in the state of a run, under its own type."""

    settings: TaskSettings
    store: TaskStore | None = None


class Authenticator(Protocol):
    """Finds out who sends a request, from its head alone."""

    async def authenticate(self, headers: Mapping[str, str], address: str) -> Principal:
        """Who sent a request with these headers (names in lower case) from this address, empty where it is not known.

        Raises Unauthenticated, Forbidden, TooManyFailures, CredentialsUnavailable, InvalidRequest.
        """
        ...

    async def close(self) -> None:
        """Write down what is still to be kept; may be used again afterwards."""
        ...


class KeyRecord(NamedTuple):
    """An API key as it is kept, without what it is proved by. Times in seconds since the epoch.

    `id` is the part of the key that may be seen; `subject` is the id of the first key of its line: the keys that
    replaced it are the same caller.
    """

    id: str
    subject: str
    name: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None

    def works(self, now: float) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyStore(Protocol):
    """Keeps API keys: of each its record and a keyed hash, never the key. Everything raises OSError, with a sentence
    for the operator, where the store cannot be read or written: nothing is taken for granted then."""

    async def find(self, key_id: str, key: str) -> KeyRecord | None:
        """The record of a key, compared in constant time; None where the key is not the one with this id."""
        ...

    async def all(self) -> list[KeyRecord]:
        """All records, oldest first."""
        ...

    async def add(self, record: KeyRecord, key: str, now: float) -> None:
        """Keep a new key, surely. Raises ConfigError where another line has a key of this name that works at `now`."""
        ...

    async def replace(self, old: str, expires: float, record: KeyRecord, key: str) -> None:
        """Keep a new key and let the one with the id `old` expire, at the latest, at a moment; both or neither."""
        ...

    async def revoke(self, key_ids: list[str], now: float) -> None:
        """Let no one in with these keys from now on."""
        ...

    async def used(self, moments: Mapping[str, float]) -> None:
        """Note when keys, by id, were used last."""
        ...


class Wanted(NamedTuple):
    """A call that needs an approval: whose, and what. `arguments` is canonical JSON; `owner` ends with the session of
    a caller who has nothing else to be known by."""

    owner: tuple[str, str, str, str]
    server: str
    kind: Kind
    method: str
    name: str
    arguments: bytes


class Approval(NamedTuple):
    """One approval, asked for or decided. Times in seconds since the epoch; it can be spent until it `expires`.

    `decided_by` is who approved or denied it, None while it is pending.
    """

    id: str
    wanted: Wanted
    state: Literal["pending", "approved", "denied", "spent"]
    created: float
    expires: float
    decided_by: str | None = None
    decided: float | None = None
    spent: float | None = None


class Approvals(Protocol):
    """Keeps the approvals that calls wait for, for all processes of a server."""

    async def present(self, wanted: Wanted) -> Approval | None:
        """Spend the approval of a call where it has one, at most once among all processes; else ask for one.

        Returns it as it stands then: spent (by this very call), denied, or pending; None where too many are pending.
        Raises OSError where that cannot be kept.
        """


Outcome = Literal["ok", "error", "refused", "asked", "task", "cancelled"]
"""How a call ended: with a result, with an error, refused by a guard, with questions to the client, as a task that goes
on, or because nobody waits for it any more."""


class Decision(Struct, frozen=True, gc=False):
    """What became of one call. `time` in seconds since the epoch, `seconds` how long it took.

    Thousands wait to be written, and none can be part of a cycle: the garbage collector need not look at them.

    `arguments` are JSON as it came, or by name, or a digest where they are long; `code` and `guard` say why it failed
    and who refused it; `trace` is the id of the trace that it belongs to.
    """

    time: float
    seconds: float
    principal: Principal
    method: str
    kind: Kind
    feature: str
    arguments: bytes | Mapping[str, str] | str | None
    outcome: Outcome
    code: str | None
    guard: str | None
    trace: str | None
    request_id: RequestId


class AuditLog(Protocol):
    """Keeps every decision, or says in time that it cannot."""

    @property
    def healthy(self) -> bool:
        """Whether what is put now will be kept."""
        ...

    def admit(self) -> None:
        """Ask before a call begins. Raises AuditUnavailable where its decision could not be kept and has to be."""
        ...

    def put(self, decision: Decision) -> None:
        """Keep a decision. Returns at once and raises nothing."""
        ...

    def digest(self, data: bytes) -> str:
        """What stands for arguments that are too long to be kept: equal for equal ones, and tells nothing of them."""
        ...
