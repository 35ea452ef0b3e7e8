"""Session ids of the handshake era: a session is sealed into its id, so that an idle one costs no memory.

The id carries version, client facts, capabilities, the principal's key and the time of issue; any replica with the same
sealing keys reads it. Kept in memory, and bounded, are only the ids opened lately, unusual log levels, the ids that
were ended before they expired, and, where idle ones end, when each was used last by this process.
Source: specification 2025-11-25, basic/transports, "Session Management".
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2s
from typing import Any

import msgspec
from msgspec import Struct

from bascule.engine.exchange import Conversation, Peer, Principal
from bascule.engine.ports import Seal, Unsealable
from bascule.engine.settings import HttpSettings
from bascule.errors import InvalidRequest, SessionEnded
from bascule.wire.requests import ClientCapabilities, Implementation, LogLevel

_PURPOSE = "session"
_REMEMBERED = 256
_KEPT = 10_000
_KEPT_CHARACTERS = 16 * 1024 * 1024
_LEVEL: LogLevel = "info"
_MARKS = 100_000
_DETAILS = ("form", "url", "tools", "context", "listChanged")

MAX_ID = 512
"""The longest session id, in characters."""


class _Ticket(Struct, array_like=True, frozen=True):
    """What is sealed into a session id."""

    version: str
    name: str
    client_version: str
    capabilities: dict[str, Any]
    principal: bytes
    issued: int
    nonce: bytes


class _Ended(Struct, frozen=True, gc=False):
    """A session that was ended: when it was issued, and until when that must be remembered."""

    issued: float
    until: float


_encode_ticket = msgspec.msgpack.Encoder().encode
_decode_ticket = msgspec.msgpack.Decoder(_Ticket).decode


class _Used(Struct, frozen=True, gc=False):
    """When a session was issued, and when it was used last."""

    issued: float
    last: float


class SessionIds:
    """Mints, opens and ends sessions."""

    def __init__(
        self,
        settings: HttpSettings,
        seal: Seal,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
        busy: Callable[[str], bool] = lambda key: False,
    ) -> None:
        """`busy` says whether a session, by its conversation's key, has a request or a stream under way."""
        self._busy = busy
        self._sealer = seal
        self._ttl = settings.session_ttl
        self._idle = settings.session_idle_timeout
        self._clock = clock
        self._random = random
        self._opened: OrderedDict[str, tuple[_Ticket, Conversation, Principal]] = OrderedDict()
        """The ids opened lately, each with the principal that it was found to belong to."""
        self._kept: OrderedDict[str, tuple[LogLevel, frozenset[str]]] = OrderedDict()
        """Log levels and subscriptions of sessions that have asked for some, and are not among the opened."""
        self._kept_characters = 0
        self._ended: OrderedDict[str, _Ended] = OrderedDict()
        self._used: OrderedDict[str, _Used] = OrderedDict()
        self._oldest = 0.0
        """Sessions issued before this moment are refused: the marks of ended ones from then on are all there."""

    def mint(self, peer: Peer, principal: Principal) -> str:
        """A new session id for a client that has just been greeted."""
        info = peer.info or Implementation("")
        ticket = _Ticket(
            peer.protocol_version,
            info.name[:64],
            info.version[:32],
            _declared(peer.capabilities),
            _digest(principal.key),
            int(self._clock()),
            self._random(8),
        )
        sealed = self._sealer.seal(_encode_ticket(ticket), _PURPOSE)
        if len(sealed) <= MAX_ID:
            return sealed
        bare = msgspec.structs.replace(ticket, name="", client_version="", capabilities=_families(peer.capabilities))
        return self._sealer.seal(_encode_ticket(bare), _PURPOSE)

    def open(self, session_id: str | None, principal: Principal) -> Conversation:
        """The conversation behind an id. Raises InvalidRequest (400) without one, SessionEnded (404) for a bad one."""
        if session_id is None:
            raise InvalidRequest(
                "Invalid request: send initialize first and repeat its Mcp-Session-Id header, "
                "or say MCP-Protocol-Version and _meta as stateless clients do"
            )
        found = self._opened.get(session_id)
        ticket, conversation, owner = found or (*self._unseal(session_id), None)
        now = self._clock()
        current = max(now - self._ttl, self._oldest) <= ticket.issued
        own = owner is principal or ticket.principal == _digest(principal.key)
        if conversation.key in self._ended or not current or not own:
            raise SessionEnded
        if self._idle:
            self._use(conversation.key, ticket.issued, now)
        if found is None:
            self._remember(session_id, ticket, conversation, principal)
        else:
            self._opened.move_to_end(session_id)
        return conversation

    def end(self, session_id: str) -> float:
        """Refuse an id from now on, which must have been opened; how many seconds the session has lasted."""
        ticket, conversation, _ = self._opened.pop(session_id)
        self._used.pop(conversation.key, None)
        self._end(conversation.key, ticket.issued)
        return max(self._clock() - ticket.issued, 0.0)

    def _end(self, key: str, issued: float) -> None:
        now = self._clock()
        while self._ended and next(iter(self._ended.values())).until < now:
            self._ended.popitem(last=False)
        if len(self._ended) >= _MARKS:
            _, dropped = self._ended.popitem(last=False)
            self._oldest = max(self._oldest, dropped.issued + 1)
        self._ended[key] = _Ended(issued, now + self._ttl)

    def touch(self, conversation: Conversation) -> None:
        """Note that a session was used until now."""
        used = self._used.get(conversation.key)
        if used is not None:
            self._used[conversation.key] = _Used(used.issued, self._clock())
            self._used.move_to_end(conversation.key)

    def _use(self, key: str, issued: float, now: float) -> None:
        """Note that a session is used. Raises SessionEnded, now and for good, where it was idle for too long."""
        used = self._used.pop(key, None)
        if used is not None and used.last < now - self._idle and not self._busy(key):
            self._end(key, issued)
            raise SessionEnded
        self._used[key] = _Used(issued, now)
        if len(self._used) > _MARKS:
            _, dropped = self._used.popitem(last=False)
            self._oldest = max(self._oldest, dropped.issued + 1)

    def _unseal(self, session_id: str) -> tuple[_Ticket, Conversation]:
        if len(session_id) > MAX_ID:
            raise SessionEnded
        try:
            ticket = _decode_ticket(self._sealer.open(session_id, _PURPOSE))
            capabilities = msgspec.convert(ticket.capabilities, ClientCapabilities)
        except (Unsealable, msgspec.MsgspecError):
            raise SessionEnded from None
        peer = Peer(ticket.version, Implementation(ticket.name, ticket.client_version), capabilities)
        key = ticket.nonce.hex()
        return ticket, Conversation(peer, key, *self._forget(key))

    def _remember(self, session_id: str, ticket: _Ticket, conversation: Conversation, principal: Principal) -> None:
        self._opened[session_id] = (ticket, conversation, principal)
        if len(self._opened) > _REMEMBERED:
            _, (_, forgotten, _) = self._opened.popitem(last=False)
            self._keep(forgotten)

    def _keep(self, conversation: Conversation) -> None:
        if conversation.log_level != _LEVEL or conversation.subscriptions:
            self._kept[conversation.key] = (conversation.log_level, conversation.subscriptions)
            self._kept_characters += sum(map(len, conversation.subscriptions))
            while len(self._kept) > _KEPT or self._kept_characters > _KEPT_CHARACTERS:
                self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> tuple[LogLevel, frozenset[str]]:
        """What a session had asked for, which is no longer kept."""
        level, subscriptions = self._kept.pop(key, (_LEVEL, frozenset()))
        self._kept_characters -= sum(map(len, subscriptions))
        return level, subscriptions


def _declared(capabilities: ClientCapabilities) -> dict[str, Any]:
    """The capabilities with what makes ids long left out: unknown keys, settings of extensions, experiments."""
    declared = _families(capabilities)
    for name in declared:
        declared[name] = {key: {} for key in _DETAILS if key in (getattr(capabilities, name) or {})}
    if capabilities.extensions:
        declared["extensions"] = {name[:64]: {} for name in list(capabilities.extensions)[:2]}
    return declared


def _families(capabilities: ClientCapabilities) -> dict[str, Any]:
    names = ("elicitation", "sampling", "roots")
    return {name: {} for name in names if getattr(capabilities, name) is not None}


@lru_cache(maxsize=1024)
def _digest(key: tuple[str, str, str]) -> bytes:
    """What stands in a session id for its principal: equal for the same one, and telling nothing about it."""
    return blake2s(msgspec.json.encode(key), digest_size=16).digest()
