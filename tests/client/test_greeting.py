"""The greeting finds out the era of every kind of server, as the specification's compatibility matrix says."""

from typing import Any

import pytest

from bascule.client.greeting import greet
from bascule.engine.connection import EraName, Greeting, Introduction
from bascule.errors import CallTimedOut, MCPError, UnsupportedVersion
from bascule.runtime.caller import Caller
from bascule.runtime.inbox import Inbox
from bascule.wire.requests import ClientCapabilities, Implementation
from tests.client.scripted import (
    DISCOVERED,
    INITIALIZED,
    LEGACY,
    MODERN,
    Message,
    Script,
    ScriptedStream,
    answer,
    error,
    legacy,
    modern,
)

WHO = Introduction(Implementation("test", "1"), ClientCapabilities())


async def greeted(
    script: Script, era: EraName | None = None, within: float = 5, probe: float = 5
) -> tuple[Greeting, ScriptedStream]:
    stream = ScriptedStream(script)
    caller = Caller(stream, Inbox(), probe_timeout=probe)
    await caller.start()
    return await greet(caller, WHO, era, within), stream


def once(code: int, data: Any, then: Any) -> Any:
    """Refuses the first request and answers the next."""
    refusals = [code]

    def script(message: Message) -> list[Message]:
        return [error(message, refusals.pop(), data=data) if refusals else answer(message, then)]

    return script


async def test_a_discover_result_shows_a_modern_server() -> None:
    greeting, stream = await greeted(modern())
    assert (greeting.name, greeting.era.protocol_version, stream.methods()) == ("modern", MODERN, ["server/discover"])


async def test_a_refused_version_is_retried_with_one_that_is_supported() -> None:
    script = modern({"server/discover": once(-32022, {"supported": [MODERN]}, DISCOVERED)})
    greeting, stream = await greeted(script)
    assert (greeting.name, len(stream.sent)) == ("modern", 2)
    assert stream.sent[0]["id"] != stream.sent[1]["id"]


async def test_a_server_that_keeps_refusing_is_an_error() -> None:
    refuse = {"server/discover": lambda m: [error(m, -32022, data={"supported": [MODERN]})]}
    with pytest.raises(MCPError, match="refuses every"):
        await greeted(modern(refuse))


@pytest.mark.parametrize("data", [{"supported": ["1900-01-01"]}, {"supported": "x"}, {}, None, [1]])
async def test_no_common_version_is_an_error_and_no_reason_to_shake_hands(data: Any) -> None:
    stream_script = legacy({"server/discover": lambda m: [error(m, -32022, data=data)]})
    with pytest.raises(UnsupportedVersion):
        await greeted(stream_script)


@pytest.mark.parametrize("code", [-32020, -32021])
async def test_other_modern_errors_are_raised(code: int) -> None:
    with pytest.raises(MCPError) as caught:
        await greeted(legacy({"server/discover": lambda m: [error(m, code)]}))
    assert caught.value.code == code


@pytest.mark.parametrize("code", [-32601, -32602, -32600, -32000, -32002, 0, 7])
async def test_any_other_error_shows_a_legacy_server(code: int) -> None:
    greeting, stream = await greeted(legacy({"server/discover": lambda m: [error(m, code)]}))
    assert greeting.name == "legacy"
    assert stream.methods() == ["server/discover", "initialize", "notifications/initialized"]


async def test_an_error_without_an_id_does_too() -> None:
    null = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "first initialize"}}
    greeting, _ = await greeted(legacy({"server/discover": lambda m: [null]}))
    assert greeting.name == "legacy"


async def test_silence_does_too() -> None:
    greeting, _ = await greeted(legacy({"server/discover": lambda m: []}), probe=0.05)
    assert greeting.name == "legacy"


@pytest.mark.parametrize("result", [{}, {"tools": []}, [], {"supportedVersions": 1}])
async def test_an_answer_that_is_no_discovery_does_too(result: Any) -> None:
    greeting, _ = await greeted(legacy({"server/discover": lambda m: [answer(m, result)]}))
    assert greeting.name == "legacy"


async def test_a_server_that_names_only_legacy_versions_is_shaken_hands_with() -> None:
    greeting, _ = await greeted(legacy({"server/discover": {**DISCOVERED, "supportedVersions": [LEGACY]}}))
    assert greeting.name == "legacy"


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
async def test_every_known_legacy_version_is_taken(version: str) -> None:
    greeting, stream = await greeted(legacy({"initialize": {**INITIALIZED, "protocolVersion": version}}), "legacy")
    assert greeting.era.protocol_version == version
    assert stream.sent[0]["params"]["protocolVersion"] == LEGACY


async def test_an_unknown_legacy_version_is_an_error() -> None:
    with pytest.raises(UnsupportedVersion):
        await greeted(legacy({"initialize": {**INITIALIZED, "protocolVersion": "2031-01-01"}}))


async def test_a_forced_era_is_the_only_one_tried() -> None:
    _, stream = await greeted(legacy(), "legacy")
    assert "server/discover" not in stream.methods()
    with pytest.raises(MCPError, match="does not speak the modern era"):
        await greeted(legacy(), "modern")


async def test_a_modern_server_that_rises_late_is_recognised() -> None:
    asked: list[Message] = []

    def late(message: Message) -> list[Message]:
        asked.append(message)
        return [] if len(asked) == 1 else [answer(message, DISCOVERED)]

    greeting, stream = await greeted(modern({"server/discover": late}), probe=0.05)
    assert greeting.name == "modern"
    assert stream.methods() == ["server/discover", "initialize", "server/discover"]


async def test_a_server_that_says_nothing_at_all_times_out() -> None:
    with pytest.raises(CallTimedOut, match="initialize"):
        await greeted(lambda message: [], within=0.02)


async def test_a_malformed_server_name_is_no_reason_to_fail() -> None:
    greeting, _ = await greeted(
        modern({"server/discover": {**DISCOVERED, "_meta": {"io.modelcontextprotocol/serverInfo": 5}}})
    )
    assert greeting.server is None
