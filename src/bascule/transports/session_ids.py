"""Session ids of the handshake era: a session is sealed into its id, so that an idle one costs no memory.

The id carries version, client facts, capabilities, the principal's key and the time of issue; any replica with the same
sealing keys reads it. Kept in memory, and bounded, are only the ids opened lately and those ended before they expired.
Source: specification 2025-11-25, basic/transports, "Session Management".
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2s
from typing import Any

import msgspec
from msgspec import Struct

from bascule.engine.exchange import Conversation, Peer, Principal
from bascule.engine.settings import HttpSettings
from bascule.eras.sealing import Sealer, Unsealable
from bascule.errors import InvalidRequest, MCPError
from bascule.wire.requests import ClientCapabilities, Implementation

_PURPOSE = "session"
_REMEMBERED = 10_000
_MAX_ID = 2048


class _Ticket(Struct, array_like=True, frozen=True):
    """What is sealed into a session id."""

    version: str
    name: str
    client_version: str
    capabilities: dict[str, Any]
    principal: bytes
    issued: int
    nonce: bytes


_encode_ticket = msgspec.msgpack.Encoder().encode
_decode_ticket = msgspec.msgpack.Decoder(_Ticket).decode


class SessionEnded(MCPError):
    """The session id is unknown, expired, ended or another caller's: the client must initialize again."""

    code = -32600
    status = 404

    def __init__(self) -> None:
        super().__init__("The session has ended or was never opened here; send initialize again")


class SessionIds:
    """Mints, opens and ends sessions."""

    def __init__(
        self,
        settings: HttpSettings,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._sealer = Sealer([key.encode() for key in settings.sealing_keys], random)
        self._ttl = settings.session_ttl
        self._clock = clock
        self._random = random
        self._opened: OrderedDict[str, tuple[_Ticket, Conversation]] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()

    def mint(self, peer: Peer, principal: Principal) -> str:
        """A new session id for a client that has just been greeted."""
        info = peer.info or Implementation("")
        ticket = _Ticket(
            peer.protocol_version,
            info.name[:64],
            info.version[:32],
            _declared(peer.capabilities),
            _digest(principal),
            int(self._clock()),
            self._random(8),
        )
        return self._sealer.seal(_encode_ticket(ticket), _PURPOSE)

    def open(self, session_id: str | None, principal: Principal) -> Conversation:
        """The conversation behind an id. Raises InvalidRequest (400) without one, SessionEnded (404) for a bad one."""
        if session_id is None:
            raise InvalidRequest(
                "Invalid request: send initialize first and repeat its Mcp-Session-Id header, "
                "or say MCP-Protocol-Version and _meta as stateless clients do"
            )
        found = self._opened.get(session_id)
        if found is None:
            found = self._unseal(session_id)
        ticket, conversation = found
        if (
            session_id in self._ended
            or ticket.issued + self._ttl < self._clock()
            or ticket.principal != _digest(principal)
        ):
            raise SessionEnded
        return conversation

    def end(self, session_id: str) -> None:
        """Refuse an id from now on."""
        now = self._clock()
        while self._ended and (next(iter(self._ended.values())) < now or len(self._ended) >= _REMEMBERED):
            self._ended.popitem(last=False)
        self._ended[session_id] = now + self._ttl
        self._opened.pop(session_id, None)

    def _unseal(self, session_id: str) -> tuple[_Ticket, Conversation]:
        if len(session_id) > _MAX_ID:
            raise SessionEnded
        try:
            ticket = _decode_ticket(self._sealer.open(session_id, _PURPOSE))
            capabilities = msgspec.convert(ticket.capabilities, ClientCapabilities)
        except (Unsealable, msgspec.MsgspecError):
            raise SessionEnded from None
        peer = Peer(ticket.version, Implementation(ticket.name, ticket.client_version), capabilities)
        found = self._opened[session_id] = (ticket, Conversation(peer, session_id))
        if len(self._opened) > _REMEMBERED:
            self._opened.popitem(last=False)
        return found


def _declared(capabilities: ClientCapabilities) -> dict[str, Any]:
    """The capabilities with what makes ids long left out: settings of extensions, experiments."""
    declared: dict[str, Any] = {}
    for name in ("elicitation", "sampling", "roots"):
        value = getattr(capabilities, name)
        if value is not None:
            declared[name] = {key: {} for key in list(value)[:4] if isinstance(value[key], dict)}
    if capabilities.extensions:
        declared["extensions"] = {name[:64]: {} for name in list(capabilities.extensions)[:2]}
    return declared


def _digest(principal: Principal) -> bytes:
    return blake2s("\0".join(principal.key).encode(), digest_size=16).digest()
