"""The client that the public conformance suite runs: `python -m tests.conformance.client URL`.

The suite names the scenario and the wire in the environment, and judges by what reaches its own server. A scenario that
needs what Bascule does not do yet is not in SCENARIOS: the client then exits with status 2, and
`expected-failures.yml` says so.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from bascule import Client, CreateMessageResult, ElicitResult, MCPError, TextContent
from bascule.wire.inputs import CreateMessageParams, ElicitParams

Scenario = Callable[[Client], Awaitable[None]]

ERAS = {"2025-11-25": "legacy", "2026-07-28": "modern"}


async def initialize(client: Client) -> None:
    await client.list_tools()


async def tools_call(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def come_back(client: Client) -> None:
    """The answer comes on the stream that goes on with one that the server has closed."""
    await client.list_tools()
    await client.call_tool("test_reconnection")


async def request_metadata(client: Client) -> None:
    for tool in await client.list_tools():
        await client.call_tool(tool.name, {})


async def standard_headers(client: Client) -> None:
    """Everything that carries a name in a header, as far as the server has it."""
    for tool in await client.list_tools():
        await client.call_tool(tool.name, {})
    with suppress(MCPError):
        for resource in await client.list_resources():
            await client.read_resource(resource.uri)
    with suppress(MCPError):
        for prompt in await client.list_prompts():
            await client.get_prompt(prompt.name, {})


async def custom_headers(client: Client) -> None:
    """The calls that the suite wants, once their tools are known."""
    await client.list_tools()
    for call in json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def tools_with_headers(client: Client) -> None:
    """Whatever was not left out is called, with a text for each parameter."""
    for tool in await client.list_tools():
        await client.call_tool(tool.name, dict.fromkeys(tool.input_schema["properties"], "a"))


async def echo_schema(client: Client) -> None:
    """The schema that the server listed goes back to it as an argument, unchanged."""
    schemas = {tool.name: tool.input_schema for tool in await client.list_tools()}
    await client.call_tool("json_schema_echo", {"schema": schemas["json_schema_2020_12_tool"]})


async def every_default(client: Client) -> None:
    await client.call_tool("test_client_elicitation_defaults", {})


async def request_state(client: Client) -> None:
    """Each tool asks back in its own way, or not at all."""
    await client.list_tools()
    for tool in ("test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state", "test_mrtr_no_result_type"):
        await client.call_tool(tool, {})


def fill_in(params: ElicitParams) -> ElicitResult:
    """Accept, with every default; and what the server wants to have confirmed is."""
    properties = params.requested_schema["properties"]
    defaults = {name: form["default"] for name, form in properties.items() if "default" in form}
    return ElicitResult("accept", {"confirmed": True} if "confirmed" in properties else defaults)


def say(params: CreateMessageParams) -> CreateMessageResult:
    return CreateMessageResult("assistant", TextContent("Hello"), "conformance")


SCENARIOS: dict[str, Scenario] = {
    "initialize": initialize,
    "tools_call": tools_call,
    "elicitation-sep1034-client-defaults": every_default,
    "sep-2322-client-request-state": request_state,
    "sse-retry": come_back,
    "request-metadata": request_metadata,
    "http-standard-headers": standard_headers,
    "http-custom-headers": custom_headers,
    "http-invalid-tool-headers": tools_with_headers,
    "json-schema-ref-no-deref": initialize,
    "json-schema-2020-12-preservation": echo_schema,
}


async def play(scenario: Scenario, url: str, era: str) -> None:
    """Run one scenario. The client that comes back for its answer has no handlers: with them it would hold a stream for
    the server's questions open too, which the suite takes for coming back too early."""
    handlers: dict[str, Any] = {"on_elicit": fill_in, "on_sample": say, "on_roots": []}
    async with Client(url, era=era, **({} if scenario is come_back else handlers)) as client:
        await scenario(client)


def main() -> int:
    name = os.environ["MCP_CONFORMANCE_SCENARIO"]
    scenario = SCENARIOS.get(name)
    if scenario is None:
        print(f"no such scenario here: {name}", file=sys.stderr)
        return 2
    asyncio.run(play(scenario, sys.argv[-1], ERAS[os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
