"""The SQL server through its public door: an in-memory client calls it, on both engines."""

import msgspec
import pytest

from bascule import Client, MCPError
from bascule.servers.sql.server import build


@pytest.fixture(params=["sample", "postgres"])
def url(request):
    """The sample shop, or the shop in PostgreSQL: both have customers and orders."""
    return None if request.param == "sample" else request.getfixturevalue("shop").url("shop")


async def test_a_query_is_answered_as_text_and_as_structure(url):
    async with Client(build(url)) as client:
        result = await client.call_tool(
            "query_database", {"sql": "SELECT id, id FROM customers ORDER BY id", "limit": 2}
        )
    assert not result.is_error
    data = result.structured_content
    assert data["rows"] == [[1, 1], [2, 2]]
    assert (data["rowCount"], data["truncated"]) == (2, True)
    assert [field["name"] for field in data["fields"]] == ["id", "id"]
    assert data["note"].startswith("Only the first 2 rows")
    assert msgspec.json.decode(result.content[0].text) == data


async def test_a_refusal_is_one_sentence_for_the_model(url):
    async with Client(build(url)) as client:
        result = await client.call_tool("query_database", {"sql": "DELETE FROM orders"})
        still = await client.call_tool("query_database", {"sql": "SELECT count(*) > 1000 FROM orders"})
    assert result.is_error
    assert "Only a single SELECT" in result.content[0].text
    assert "DELETE" in result.content[0].text
    assert still.structured_content["rows"] in ([[True]], [[1]])


@pytest.mark.parametrize("limit", [0, 1001])
async def test_the_limit_is_from_1_to_1000(url, limit):
    async with Client(build(url)) as client:
        result = await client.call_tool("query_database", {"sql": "SELECT 1", "limit": limit})
    assert result.is_error
    assert "limit" in result.content[0].text


async def test_the_tools_say_that_they_only_read(url):
    async with Client(build(url)) as client:
        tools = {tool.name: tool for tool in await client.list_tools()}
    assert sorted(tools) == ["list_tables", "query_database"]
    for tool in tools.values():
        assert tool.annotations.read_only_hint
        assert tool.annotations.open_world_hint is False
        assert tool.output_schema
    properties = tools["query_database"].output_schema["properties"]
    assert list(properties) == ["rows", "fields", "rowCount", "truncated", "note"]


async def test_tables_are_listed(url):
    async with Client(build(url)) as client:
        result = await client.call_tool("list_tables", {})
    tables = {table["name"]: table for table in result.structured_content["tables"]}
    assert {"customers", "orders"} <= set(tables)
    assert tables["orders"]["rowEstimate"] >= 1500


async def test_schemas_are_resources(url):
    async with Client(build(url)) as client:
        listed = {resource.uri for resource in await client.list_resources()}
        templates = [template.uri_template for template in await client.list_resource_templates()]
        (orders,) = (await client.read_resource("schema://orders")).contents
        (everything,) = (await client.read_resource("schema://")).contents
    assert {"schema://", "schema://customers", "schema://orders"} <= listed
    assert templates == ["schema://{table}"]
    assert orders.mime_type == "application/json"
    table = msgspec.json.decode(orders.text)
    assert table["primaryKey"] == ["id"]
    assert table["foreignKeys"][0]["references"] == "customers"
    assert [column["name"] for column in table["columns"]][:2] == ["id", "customer_id"]
    assert {one["name"] for one in msgspec.json.decode(everything.text)} >= {"customers", "orders"}


async def test_an_unknown_table_is_no_resource(url):
    async with Client(build(url)) as client:
        with pytest.raises(MCPError, match="Resource not found") as error:
            await client.read_resource("schema://nowhere")
    assert error.value.code == -32602
    assert error.value.data == {"uri": "schema://nowhere"}


async def test_the_prompt_carries_the_real_schema_and_that_of_what_it_points_at(url):
    async with Client(build(url)) as client:
        prompt = await client.get_prompt("nl_to_sql", {"description": "Who buys most?", "table": "orders"})
        with pytest.raises(MCPError, match="customers"):
            await client.get_prompt("nl_to_sql", {"description": "?", "table": "nowhere"})
    text = prompt.messages[0].content.text
    assert "Who buys most?" in text
    assert '"customer_id"' in text
    assert '"email"' in text


async def test_a_server_says_which_dialect_it_speaks(url):
    app = build(url)
    assert ("PostgreSQL" if url else "SQLite") in str(app.info.title)


async def test_one_client_leaving_takes_nothing_from_another(url):
    app = build(url)
    async with Client(app) as first:
        async with Client(app) as second:
            assert not (await second.call_tool("query_database", {"sql": "SELECT 1"})).is_error
        result = await first.call_tool("query_database", {"sql": "SELECT 1"})
    assert result.structured_content["rows"] == [[1]]


@pytest.mark.parametrize("of", [{"resource": "schema://{table}"}, {"prompt": "nl_to_sql"}])
async def test_names_of_tables_are_completed(url, of):
    async with Client(build(url)) as client:
        tables = {table["name"] for table in (await client.call_tool("list_tables")).structured_content["tables"]}
        everything = await client.complete("table", "", **of)
        begun = await client.complete("table", "ORDERS", **of)
        within = await client.complete("table", "er", **of)
        nothing = await client.complete("table", "%", **of)
    assert set(everything.values) == tables
    assert begun.values[0] == "orders"
    assert set(within.values) == {name for name in tables if "er" in name} >= {"customers", "orders"}
    assert nothing.values == []
