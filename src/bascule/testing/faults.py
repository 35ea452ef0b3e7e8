"""Faults: what goes wrong with one request and its answer, and which requests it happens to.

Knows no transport: `proxy` and `streams` do what a rule says. Nothing is left to chance: the same requests in the same
order meet the same faults.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bascule.errors import ConfigError

_OUTCOMES = ("drop_after", "truncate", "status", "garbage", "close_before_answer")


class Seen(Struct, frozen=True):
    """A request that has passed: the how-manieth it was (from 1), its JSON-RPC method, and what carried it.

    `method` is None for what is no single JSON-RPC message; over a byte stream `http_method` is empty, and `headers`
    (names in lower case) are too.
    """

    number: int
    method: str | None
    body: bytes = b""
    http_method: str = ""
    headers: Mapping[str, str] = {}


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: what happens, to which requests.

    What happens; of all but `delay` and `duplicate` at most one:
    `delay`: seconds that the answer is held back, of the ManualClock where there is one.
    `drop_after`: the connection breaks after so many bytes of the answer's body; one that is shorter passes whole.
    `truncate`: the answer ends after so many bytes, as if that were all of it.
    `status`: this HTTP status answers, with `retry_after` as its Retry-After; the server never sees the request.
    `garbage`: these bytes come in place of the answer.
    `close_before_answer`: the server does its work, and the connection ends without a byte of the answer.
    `duplicate`: over HTTP the request reaches the server twice, one after the other, and the client gets the second
    answer; over a byte stream the answer comes twice.

    To which requests; to all of them unless told otherwise:
    `method`: those with this JSON-RPC method.
    `when`: those for which this function of Seen is true.
    `nth`: of the requests that `method` and `when` choose, this one (from 1), or these.

    Raises ConfigError for what contradicts itself.
    """

    delay: float = 0.0
    drop_after: int | None = None
    truncate: int | None = None
    status: int | None = None
    retry_after: float | str | None = None
    garbage: bytes | None = None
    close_before_answer: bool = False
    duplicate: bool = False
    method: str | None = None
    nth: int | Collection[int] | None = None
    when: Callable[[Seen], bool] | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in _OUTCOMES}
        chosen = [name for name, value in given.items() if value is not None and value is not False]
        if len(chosen) > 1:
            raise ConfigError(f"An answer cannot have both {chosen[0]} and {chosen[1]}: write two rules")
        if self.retry_after is not None and self.status is None:
            raise ConfigError("retry_after goes with a status")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ConfigError(f"status is one of an answer, 200 to 599, not {self.status}")
        if min(self.delay, self.drop_after or 0, self.truncate or 0) < 0:
            raise ConfigError("delay, drop_after and truncate are not negative")

    def concerns(self, seen: Seen) -> bool:
        """Whether `method` and `when` choose this request."""
        return self.method in {None, seen.method} and (self.when is None or self.when(seen))

    def falls_on(self, count: int) -> bool:
        """Whether `nth` chooses the request that is the count-th of those concerned."""
        if isinstance(self.nth, Collection):
            return count in self.nth
        return self.nth in {None, count}


NO_FAULT = Faults()


class Plan:
    """The rules in use, and every request that has passed; the first rule that applies to a request is its fault."""

    def __init__(self, rules: Collection[Faults]) -> None:
        self._rules = list(rules)
        self._counts = [0] * len(self._rules)
        self.requests: list[Seen] = []

    def take(
        self, method: str | None, body: bytes, http_method: str = "", headers: Mapping[str, str] | None = None
    ) -> Faults:
        """Note a request and say what happens to it."""
        seen = Seen(len(self.requests) + 1, method, body, http_method, headers or {})
        self.requests.append(seen)
        found = NO_FAULT
        for place, rule in enumerate(self._rules):
            if rule.concerns(seen):
                self._counts[place] += 1
                if found is NO_FAULT and rule.falls_on(self._counts[place]):
                    found = rule
        return found


class Sleeper(Protocol):
    """What delays: a ManualClock, or the loop's own time."""

    def sleep(self, seconds: float, /) -> Awaitable[None]:
        """Return after so many seconds."""
        ...


class Envelope(NamedTuple):
    """What a message says of itself; both are None where it cannot be read."""

    method: str | None
    id: str | int | None


class _Message(Struct):
    method: str | UnsetType = UNSET
    id: str | int | None = None


_decode = msgspec.json.Decoder(_Message).decode


def envelope(message: bytes) -> Envelope:
    """Method and id of a JSON-RPC message."""
    try:
        found = _decode(message)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return Envelope(None, None)
    return Envelope(None if isinstance(found.method, UnsetType) else found.method, found.id)
