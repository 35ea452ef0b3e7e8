"""`bascule ping`: whether a server answers, what it speaks, and how long both took."""

import time
from typing import Any

from bascule.cli import exits
from bascule.cli.aside import Aside
from bascule.cli.connection import DEFAULTS, Aim, Options, Rest, Words, aim, client_of, run
from bascule.cli.screen import Screen
from bascule.errors import ConfigError


def ping(*words: Words, options: Options = DEFAULTS, command: Rest = None) -> int:
    """Connect, ask once, and tell the times."""
    aimed = aim(words, command)
    if aimed.words:
        raise ConfigError(f"ping takes a server and nothing else: {aimed.words[0]!r} is one word too many")
    return run(_ping(Screen.claim(), aimed, options))


async def _ping(screen: Screen, aimed: Aim, options: Options) -> int:
    client = client_of(aimed, options, Aside(), timeout=options.timeout)
    started = time.perf_counter()
    async with client:
        greeted = time.perf_counter()
        await client.ping()
        answered = time.perf_counter()
        found: dict[str, Any] = {
            "era": client.era,
            "protocolVersion": client.protocol_version,
            "serverInfo": client.server,
            "connectMs": round((greeted - started) * 1000, 3),
            "pingMs": round((answered - greeted) * 1000, 3),
        }
        name = f"{client.server.title or client.server.name} {client.server.version}".strip() if client.server else ""
    if options.json:
        screen.raw(found)
    else:
        screen.text(f"{name or 'The server'} answered in {found['pingMs']:.1f} ms")
        screen.text(f"protocol {found['protocolVersion']} ({found['era']}), connected in {found['connectMs']:.1f} ms")
    return exits.OK
