"""The official SDK's client lists and calls Bascule's servers: over stdio and HTTP, by its own probe and by handshake.

The client runs in an environment of its own (`official_client.py`) and is asked everything at once; the tests read what
it got. It checks that by itself too: messages against its models, structured content against the tools' schemas.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.peers.children import left_of, running

HERE = Path(__file__).parent
SERVING = r"Serving \w+ on (http://127\.0\.0\.1:\d+/mcp)"
WAYS = [(transport, mode) for transport in ("stdio", "http") for mode in ("auto", "legacy")]
NOT_FOUND = {"auto": -32602, "legacy": -32002}


def sql_server(transport: str) -> list[str]:
    port = ["--port", "0"] if transport == "http" else []
    return [str(Path(sys.executable).with_name("bascule")), "serve", "sql", "--transport", transport, *port]


def chatty_server(transport: str) -> list[str]:
    return [sys.executable, str(HERE / "chatty_server.py"), transport]


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
CHAT = {
    "tools": ("list_tools", {}),
    "climb": called("climb", {"steps": 3}),
    "sum": called("add", {"parts": [1, 2, 3]}),
    "crowd": ("crowd", {"calls": [{"name": "add", "arguments": {"parts": [n, n]}} for n in range(40)]}),
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
HANDSHAKE_CHAT = {"ping": ("send_ping", {}), "level": ("set_logging_level", {"level": "info"}), **CHAT}
"""In the handshake era log messages are asked for once; in the other the client says so in every request."""

QUESTIONS = {
    **{(sql_server, *way): SHOP for way in WAYS},
    **{(chatty_server, *way): CHAT if way[1] == "auto" else HANDSHAKE_CHAT for way in WAYS},
    **{(chatty_server, transport, "2026-07-28"): {"sum": CHAT["sum"]} for transport in ("stdio", "http")},
}


class Answers(NamedTuple):
    """What came of all the questions, what everybody printed beside it, and how the servers over HTTP ended."""

    got: dict[Any, Any]
    said: str
    statuses: list[int]


@pytest.fixture(scope="module")
def answers(sdk) -> Answers:
    """All questions asked by one client process. A server over HTTP answers in every era; one over stdio is new."""
    with running(sql_server("http")) as sql, running(chatty_server("http")) as chatty:
        urls = {sql_server: sql.says(SERVING)[1], chatty_server: chatty.says(SERVING)[1]}
        orders = [
            {
                "target": urls[server] if transport == "http" else server("stdio"),
                "mode": mode,
                "steps": list(steps.values()),
            }
            for (server, transport, mode), steps in QUESTIONS.items()
        ]
        done = subprocess.run(
            [sdk, "-W", "error::ResourceWarning", str(HERE / "official_client.py")],
            input=json.dumps(orders),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        statuses = [sql.end(), chatty.end()]
    got = dict(zip(QUESTIONS, json.loads(done.stdout), strict=True))
    return Answers(got, done.stderr + sql.output + chatty.output, statuses)


def answered(answers: Answers, *key: Any) -> Any:
    """The facts of one connection, and the answer to each of its questions by name."""
    got = answers.got[key]
    assert "failed" not in got, got["failed"]
    return {**got, **dict(zip(QUESTIONS[key], got["answers"], strict=True))}


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def way(request) -> tuple[str, str]:
    """A transport, and how the client finds the era."""
    return request.param


@pytest.fixture
def shop(answers, way) -> Any:
    """What the client got from the SQL server."""
    return answered(answers, sql_server, *way)


@pytest.fixture
def chat(answers, way) -> Any:
    """What the client got from a server that talks while it works."""
    return answered(answers, chatty_server, *way)


def test_they_agree_on_the_era(shop, way):
    assert shop["protocolVersion"] == {"auto": "2026-07-28", "legacy": "2025-11-25"}[way[1]]
    assert shop["server"]["name"] == "sql"
    assert {"tools", "resources", "prompts"} <= set(shop["capabilities"])
    assert "List the tables first" in shop["instructions"]


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


def test_many_calls_at_once_are_told_apart(chat):
    totals = [result["structuredContent"]["total"] for result in chat["crowd"]["results"]]
    assert totals == [2 * n for n in range(40)]


def test_results_of_every_kind_are_understood(chat):
    assert chat["sum"]["structuredContent"] == {"total": 6, "parts": [1, 2, 3]}
    assert [block["type"] for block in chat["mixed"]["content"]] == ["text", "image", "resource", "resource_link"]


def test_a_failure_is_a_result_and_a_mistake_tells_nothing(chat):
    assert chat["fail"]["isError"]
    assert chat["fail"]["content"][0]["text"] == "The moon is in the wrong phase."
    assert chat["crash"]["isError"]
    assert "secret" not in json.dumps(chat["crash"])


def test_a_call_that_takes_too_long_is_cancelled_at_the_server(chat):
    assert chat["late"]["error"]["code"] == -32001
    assert chat["late, seen"]["structuredContent"] == {"result": True}


def test_a_call_that_is_given_up_is_cancelled_at_the_server(chat):
    assert chat["abandoned"] == {"abandoned": True}
    assert chat["abandoned, seen"]["structuredContent"] == {"result": True}


def test_a_server_whose_thread_hangs_answers_on(chat):
    assert chat["hangs"]["error"]["code"] == -32001
    assert chat["still there"]["structuredContent"] == {"total": 0, "parts": []}


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_client_that_names_its_version_needs_no_probe(answers, transport):
    got = answered(answers, chatty_server, transport, "2026-07-28")
    assert got["protocolVersion"] == "2026-07-28"
    assert got["sum"]["structuredContent"]["total"] == 6


def test_servers_end_cleanly_and_leave_nothing_even_while_a_thread_hangs(answers):
    """Over stdio when the client closes their input, over HTTP at SIGTERM."""
    started = [process for got in answers.got.values() for process in got["processes"]]
    assert [process["status"] for process in started] == [0] * 5
    assert answers.statuses == [0, 0]
    assert [left_of(process["pid"]) for process in started] == [[]] * 5


def test_nothing_fails_aloud_but_the_tool_that_is_meant_to(answers):
    assert answers.said.count("Traceback") == answers.said.count("KeyError: 'secret'") == len(WAYS)
