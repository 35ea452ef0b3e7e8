"""The greeting: finding out which era a server speaks, and getting to know it.

Knows the eras by their `greet`, and the order in which they are tried; knows no transport. The stateless era is tried
first; a server that shows itself not to speak it is shaken hands with.
"""

from bascule.engine.connection import Connection, EraName, Greeting, Introduction
from bascule.eras import handshake_client, stateless_client
from bascule.eras.stateless_client import NotStateless
from bascule.errors import CallTimedOut, MCPError


async def greet(
    connection: Connection, introduction: Introduction, era: EraName | None, within: float | None
) -> Greeting:
    """Greet a server, in one era only where `era` names it. Each message is answered within `within` seconds.

    Raises MCPError where the server refuses or speaks no version that is known here, and what Connection.call raises.
    """
    if era == "legacy":
        return await handshake_client.greet(connection, introduction, within)
    try:
        patience = within if era == "modern" else _shorter(within, connection.probe_timeout)
        return await stateless_client.greet(connection, introduction, patience)
    except NotStateless as shown:
        if era == "modern":
            raise MCPError(f"The server does not speak the modern era: {shown}") from shown.__cause__
        silent = isinstance(shown.__cause__, CallTimedOut)
    try:
        return await handshake_client.greet(connection, introduction, within)
    except MCPError:
        if not silent:
            raise
    return await _greet_late_riser(connection, introduction, within)


async def _greet_late_riser(connection: Connection, introduction: Introduction, within: float | None) -> Greeting:
    """A server that was silent at first and refuses the handshake may only have been slow to start."""
    try:
        return await stateless_client.greet(connection, introduction, within)
    except NotStateless as shown:
        raise MCPError(f"The server refuses the handshake, and does not speak the modern era: {shown}") from None


def _shorter(one: float | None, other: float | None) -> float | None:
    known = [seconds for seconds in (one, other) if seconds is not None]
    return min(known, default=None)
