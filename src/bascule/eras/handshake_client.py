"""The handshake era (2025-11-25 and earlier), client side: `initialize` once, and plain requests from then on.

Knows the protocol's dates and shapes; knows no transport beyond a Connection.
Source: specification 2025-11-25, basic/lifecycle; basic/transports, "Protocol Version Header".
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from bascule.engine.answers import decode_result
from bascule.engine.connection import Connection, Greeting, Introduction
from bascule.engine.era import Outbound
from bascule.eras.versions import LEGACY, NEWEST_LEGACY
from bascule.errors import UnsupportedVersion
from bascule.wire.notices import INITIALIZED
from bascule.wire.requests import LogLevel


class HandshakeClient:
    """Speaks one revision of the handshake era to a server that agreed to it."""

    def __init__(self, protocol_version: str) -> None:
        self.protocol_version = protocol_version
        self._headers = {"MCP-Protocol-Version": protocol_version}

    def prepare(
        self,
        method: str,
        params: Mapping[str, Any],
        log_level: LogLevel | None = None,
    ) -> Outbound:
        """The request as it is; the level of log messages was set by `logging/setLevel` and does not travel."""
        return Outbound(params or UNSET, self._headers)

    def conclude(self, method: str, result: Any) -> Any:
        """The result as its struct. Raises MCPError where it is malformed."""
        return decode_result(method, Raw(result))


async def greet(connection: Connection, introduction: Introduction, within: float | None) -> Greeting:
    """Shake hands: offer the newest revision, take any known one that the server names, and confirm.

    Raises UnsupportedVersion where the server names another, and what Connection.call raises.
    """
    offer = {
        "protocolVersion": NEWEST_LEGACY,
        "capabilities": introduction.capabilities,
        "clientInfo": introduction.info,
    }
    result = decode_result("initialize", await connection.call("initialize", Outbound(offer, {}), within))
    version = result.protocol_version
    if version not in LEGACY:
        raise UnsupportedVersion(version, LEGACY)
    era = HandshakeClient(version)
    await connection.notify(INITIALIZED, era.prepare(INITIALIZED, {}))
    instructions = None if isinstance(result.instructions, UnsetType) else result.instructions
    return Greeting("legacy", era, result.server_info, result.capabilities, instructions)
