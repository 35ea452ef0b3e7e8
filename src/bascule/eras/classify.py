"""Which era a message belongs to. A dual-era server decides message by message; both eras share one endpoint.

A request is stateless if its `_meta` says a protocol version, or if its HTTP header names a stateless one; everything
else belongs to the handshake era. Source: specification 2026-07-28, basic/versioning, "Compatibility Matrix".
"""

import os
import time

from bascule.engine.application import Application
from bascule.engine.era import ServerEra
from bascule.engine.exchange import Conversation
from bascule.engine.ports import Clock, MakeSeal, Marks, Random
from bascule.eras.handshake import INITIALIZE, Handshake
from bascule.eras.said import said_version
from bascule.eras.stateless import Stateless
from bascule.eras.versions import BATCHES, LEGACY, MODERN
from bascule.errors import HeaderMismatch, InvalidRequest, UnsupportedVersion
from bascule.wire.jsonrpc import Frame


class Eras:
    """Both eras of one application, and the choice between them."""

    def __init__(
        self,
        application: Application,
        make_seal: MakeSeal,
        marks: Marks | None = None,
        clock: Clock = time.time,
        random: Random = os.urandom,
    ) -> None:
        self.stateless = Stateless(application, make_seal, marks, clock, random)
        self.handshake = Handshake()

    def of_headers(self, frame: Frame, version: str | None) -> ServerEra:
        """The era of a request over HTTP whose MCP-Protocol-Version header is `version`.

        Raises HeaderMismatch or UnsupportedVersion where header and body cannot belong together.
        """
        if version in MODERN:
            return self.stateless
        said = said_version(frame)
        if said is None:
            if version is None or version in LEGACY:
                return self.handshake
            raise UnsupportedVersion(version, (*MODERN, *LEGACY))
        if version != said:
            raise HeaderMismatch("Header mismatch: MCP-Protocol-Version is missing or not the version in _meta")
        raise UnsupportedVersion(version, MODERN)

    def of_stream(self, frame: Frame, conversation: Conversation | None) -> ServerEra:
        """The era of a request on a byte stream whose handshake, if there was one, opened `conversation`."""
        greets = frame.method in (INITIALIZE, "ping")
        if (conversation is None and not greets) or said_version(frame) is not None:
            return self.stateless
        return self.handshake


def check_batch(conversation: Conversation | None) -> None:
    """Raise InvalidRequest unless the conversation speaks the one revision that has batches."""
    if conversation is None or conversation.peer.protocol_version != BATCHES:
        raise InvalidRequest("Invalid request: JSON-RPC batches are not part of this protocol revision")


def check_batch_header(version: str | None) -> None:
    """Raise InvalidRequest for a batch over HTTP whose MCP-Protocol-Version names a stateless revision."""
    if version in MODERN:
        check_batch(None)


def check_version_header(version: str | None) -> None:
    """Raise UnsupportedVersion unless a handshake-era request's MCP-Protocol-Version is absent or known."""
    if version is not None and version not in LEGACY:
        raise UnsupportedVersion(version, (*MODERN, *LEGACY))
