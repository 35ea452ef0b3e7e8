"""Which era a message belongs to. A dual-era server decides message by message; both eras share one endpoint.

A request is stateless if its `_meta` says a protocol version, or if its HTTP header names a stateless one; everything
else belongs to the handshake era. Source: specification 2026-07-28, basic/versioning, "Compatibility Matrix".
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from bascule.engine.application import Application
from bascule.engine.era import ServerEra
from bascule.engine.exchange import Conversation
from bascule.eras.handshake import INITIALIZE, Handshake
from bascule.eras.stateless import Stateless
from bascule.eras.versions import BATCHES, LEGACY, MODERN
from bascule.errors import HeaderMismatch, InvalidRequest, UnsupportedVersion
from bascule.wire.jsonrpc import Frame
from bascule.wire.requests import VERSION_KEY

_KEY = VERSION_KEY.encode()


class _MetaVersion(Struct):
    version: str | UnsetType = field(default=UNSET, name=VERSION_KEY)


class _ParamsVersion(Struct):
    meta: _MetaVersion | UnsetType = field(default=UNSET, name="_meta")


_probe = msgspec.json.Decoder(_ParamsVersion).decode


class Eras:
    """Both eras of one application, and the choice between them."""

    def __init__(self, application: Application) -> None:
        self.stateless = Stateless(application)
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
        if said_version(frame) is not None:
            return self.stateless
        if conversation is not None or frame.method in (INITIALIZE, "ping"):
            return self.handshake
        return self.stateless


def said_version(frame: Frame) -> str | None:
    """The protocol version in the request's own `_meta`, if it has one; malformed parameters count as none."""
    if not isinstance(frame.params, Raw) or _KEY not in bytes(frame.params):
        return None
    try:
        meta = _probe(frame.params).meta
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return None if meta is UNSET or meta.version is UNSET else meta.version


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
