"""The official SDK's client lists and calls Bascule's servers: over stdio and HTTP, by its own probe and by handshake.

The client runs in an environment of its own (`official_client.py`), once for each way; the tests read what it got. It
checks what it gets by itself too: every message against its models, structured content against the tool's schema.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.peers.children import left_of, running

HERE = Path(__file__).parent
SERVING = r"Serving \w+ on (http://127\.0\.0\.1:\d+/mcp)"
WAYS = [(transport, mode) for transport in ("stdio", "http") for mode in ("auto", "legacy")]
NOT_FOUND = {"auto": -32602, "legacy": -32002}


def sql_server(transport: str) -> list[str]:
    """The command that serves the sample shop; the Python door where there is no command line."""
    if find_spec("bascule.cli.main"):
        program = str(Path(sys.executable).with_name("bascule"))
        port = ["--port", "0"] if transport == "http" else []
        return [program, "serve", "sql", "--transport", transport, *port]
    port = "" if transport == "stdio" else ", port=0"
    door = f"from bascule.servers.sql.server import build; build().run({transport!r}{port})"
    return [sys.executable, "-c", door]


def chatty_server(transport: str) -> list[str]:
    return [sys.executable, str(HERE / "chatty_server.py"), transport]


def ask(sdk: str, target: list[str] | str, mode: str, *steps: tuple[str, dict[str, Any]], log_level=None) -> Any:
    """What the client got from the server at `target`, and what both `said` on standard error; neither may be left."""
    order = {"target": target, "mode": mode, "log_level": log_level, "steps": steps}
    done = subprocess.run(
        [sdk, "-W", "error::ResourceWarning", str(HERE / "official_client.py")],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    got = {**json.loads(done.stdout), "said": done.stderr}
    for process in got["processes"]:
        assert left_of(process["pid"]) == []
    return got


def served(sdk: str, way: tuple[str, str], server: Any, *steps: tuple[str, dict[str, Any]], log_level=None) -> Any:
    """The same over either transport; a server over HTTP is ended here, and `processes` tells how it ended."""
    transport, mode = way
    if transport == "stdio":
        return ask(sdk, server("stdio"), mode, *steps, log_level=log_level)
    with running(server("http")) as child:
        got = ask(sdk, child.says(SERVING)[1], mode, *steps, log_level=log_level)
        got["processes"] = [{"pid": child.pid, "status": child.end()}]
    return {**got, "said": got["said"] + child.output}


def called(name: str, arguments: dict[str, Any] | None = None, **options: Any) -> tuple[str, dict[str, Any]]:
    return "call_tool", {"name": name, "arguments": arguments or {}, **options}


COUNTRIES = """
    SELECT c.country, count(DISTINCT o.id) AS orders, round(sum(l.quantity * l.unit_price), 2) AS revenue
    FROM customers c JOIN orders o ON o.customer_id = c.id JOIN order_lines l ON l.order_id = o.id
    GROUP BY c.country ORDER BY orders DESC
"""
SHOP = {
    "tools": ("list_tools", {}),
    "tables": called("list_tables"),
    "rows": called("query_database", {"sql": "SELECT id, name FROM customers ORDER BY id", "limit": 3}),
    "countries": called("query_database", {"sql": COUNTRIES}),
    "write": called("query_database", {"sql": "DELETE FROM orders"}),
    "wrong": called("query_database", {"sql": 7, "limit": 0}),
    "unknown tool": called("no_such_tool"),
    "resources": ("list_resources", {}),
    "templates": ("list_resource_templates", {}),
    "schema": ("read_resource", {"uri": "schema://orders"}),
    "unknown resource": ("read_resource", {"uri": "schema://nothing"}),
    "prompts": ("list_prompts", {}),
    "prompt": ("get_prompt", {"name": "nl_to_sql", "arguments": {"description": "Who buys?", "table": "orders"}}),
    "unknown prompt": ("get_prompt", {"name": "nothing", "arguments": {}}),
}


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def way(request) -> tuple[str, str]:
    """A transport, and how the client finds the era."""
    return request.param


@pytest.fixture(scope="module")
def shop(sdk, way) -> Any:
    """What the client got from the SQL server: the facts, and an answer to each question."""
    got = served(sdk, way, sql_server, *SHOP.values())
    return {**got, **dict(zip(SHOP, got["answers"], strict=True))}


def test_they_agree_on_the_era_and_the_server_ends_cleanly(shop, way):
    assert shop["protocolVersion"] == {"auto": "2026-07-28", "legacy": "2025-11-25"}[way[1]]
    assert shop["server"]["name"] == "sql"
    assert {"tools", "resources", "prompts"} <= set(shop["capabilities"])
    assert "List the tables first" in shop["instructions"]
    assert [process["status"] for process in shop["processes"]] == [0]
    assert "Traceback" not in shop["said"]


def test_the_tools_are_listed(shop):
    tools = {tool["name"]: tool for tool in shop["tools"]["tools"]}
    assert sorted(tools) == ["list_tables", "query_database"]
    assert tools["query_database"]["inputSchema"]["required"] == ["sql"]
    assert tools["query_database"]["annotations"]["readOnlyHint"]


def test_queries_bring_rows(shop):
    rows = shop["rows"]["structuredContent"]
    assert [row[0] for row in rows["rows"]] == [1, 2, 3]
    assert (rows["rowCount"], rows["truncated"]) == (3, True)
    assert json.loads(shop["rows"]["content"][0]["text"]) == rows
    countries = shop["countries"]["structuredContent"]
    assert [field["name"] for field in countries["fields"]] == ["country", "orders", "revenue"]
    assert sum(orders for _, orders, _ in countries["rows"]) == 1500
    assert all(revenue > 0 for _, _, revenue in countries["rows"])
    tables = {table["name"] for table in shop["tables"]["structuredContent"]["tables"]}
    assert tables == {"customers", "products", "orders", "order_lines"}


def test_a_write_is_refused_as_a_result(shop):
    assert shop["write"]["isError"]
    assert "Only a single SELECT" in shop["write"]["content"][0]["text"]


def test_wrong_arguments_are_all_named_in_the_result(shop):
    assert shop["wrong"]["isError"]
    assert "sql" in shop["wrong"]["content"][0]["text"]
    assert "limit" in shop["wrong"]["content"][0]["text"]


def test_what_does_not_exist_is_an_error(shop, way):
    assert shop["unknown tool"]["error"]["code"] == -32602
    assert shop["unknown prompt"]["error"]["code"] == -32602
    assert shop["unknown resource"]["error"]["code"] == NOT_FOUND[way[1]]


def test_schemas_are_resources(shop):
    assert [template["uriTemplate"] for template in shop["templates"]["resourceTemplates"]] == ["schema://{table}"]
    assert {"schema://", "schema://orders"} <= {resource["uri"] for resource in shop["resources"]["resources"]}
    (contents,) = shop["schema"]["contents"]
    assert contents["uri"] == "schema://orders"
    assert contents["mimeType"] == "application/json"
    assert json.loads(contents["text"])["foreignKeys"][0]["references"] == "customers"


def test_the_prompt_carries_the_schema(shop):
    (prompt,) = shop["prompts"]["prompts"]
    assert [(one["name"], one["required"]) for one in prompt["arguments"]] == [("description", True), ("table", True)]
    (message,) = shop["prompt"]["messages"]
    assert message["role"] == "user"
    assert "Who buys?" in message["content"]["text"]
    assert "customer_id" in message["content"]["text"]


CHAT = {
    "tools": ("list_tools", {}),
    "climb": called("climb", {"steps": 3}),
    "sum": called("add", {"parts": [1, 2, 3]}),
    "mixed": called("mixed"),
    "fail": called("fail"),
    "crash": called("crash"),
    "late": called("stall", read_timeout_seconds=0.5),
    "late, seen": called("was_given_up"),
    "abandoned": ("abandon", {"name": "stall"}),
    "abandoned, seen": called("was_given_up"),
    "hangs": called("hang", read_timeout_seconds=0.5),
    "still there": called("add", {"parts": []}),
}


@pytest.fixture(scope="module")
def chat(sdk, way) -> Any:
    """What the client got from a server that talks while it works, with log messages from `info` on."""
    asked = {} if way[1] == "auto" else {"level": ("set_logging_level", {"level": "info"})}
    asked |= CHAT
    got = served(sdk, way, chatty_server, *asked.values(), log_level="info")
    return {**got, **dict(zip(asked, got["answers"], strict=True))}


def test_all_pages_of_a_list_are_found(chat):
    tools = [tool["name"] for tool in chat["tools"]["tools"]]
    assert tools == ["climb", "stall", "was_given_up", "hang", "add", "mixed", "fail", "crash"]
    assert chat["tools"]["pages"] == 3


def test_progress_arrives_before_the_result(chat):
    assert chat["climb"]["progress"] == [[1, 3, "step 1"], [2, 3, "step 2"], [3, 3, "step 3"]]
    assert chat["climb"]["content"] == [{"type": "text", "text": "3 steps"}]


def test_log_messages_of_the_wanted_level_arrive(chat):
    steps = [{"level": "info", "logger": "climber", "data": {"step": step}} for step in (1, 2, 3)]
    assert chat["logs"] == [*steps, {"level": "warning", "data": "on top"}]


def test_results_of_every_kind_are_understood(chat):
    assert chat["sum"]["structuredContent"] == {"total": 6, "parts": [1, 2, 3]}
    assert [block["type"] for block in chat["mixed"]["content"]] == ["text", "image", "resource", "resource_link"]


def test_a_failure_is_a_result_and_a_mistake_is_told_to_the_log_alone(chat):
    assert chat["fail"]["isError"]
    assert chat["fail"]["content"][0]["text"] == "The moon is in the wrong phase."
    assert chat["crash"]["isError"]
    assert "secret" not in json.dumps(chat["crash"])
    assert "KeyError: 'secret'" in chat["said"]
    assert chat["said"].count("Traceback") == 1


def test_a_call_that_takes_too_long_is_cancelled_at_the_server(chat):
    assert chat["late"]["error"]["code"] == -32001
    assert chat["late, seen"]["structuredContent"] == {"result": True}


def test_a_call_that_is_given_up_is_cancelled_at_the_server(chat):
    assert chat["abandoned"] == {"abandoned": True}
    assert chat["abandoned, seen"]["structuredContent"] == {"result": True}


def test_a_server_whose_thread_hangs_answers_on_and_ends_cleanly(chat):
    assert chat["hangs"]["error"]["code"] == -32001
    assert chat["still there"]["structuredContent"] == {"total": 0, "parts": []}
    assert [process["status"] for process in chat["processes"]] == [0]


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_client_that_names_its_version_needs_no_probe(sdk, transport):
    got = served(sdk, (transport, "2026-07-28"), chatty_server, called("add", {"parts": [2, 2]}))
    assert got["answers"][0]["structuredContent"]["total"] == 4
