"""The main job in one minute: a real database behind an MCP server, read over HTTP by a client in another process.

Run it with `make demo`. It starts `bascule serve sql` on a free loopback port (with no database named, it makes and
serves a sample shop), lets a client list tools, read a schema, query and try to write, and tells how to connect a host.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from bascule import CallToolResult, Client

T = TypeVar("T")
out = Console(highlight=False, soft_wrap=True)
BEST_CUSTOMERS = """
SELECT c.name, c.country, count(DISTINCT o.id) AS orders, round(sum(l.quantity * l.unit_price), 2) AS revenue
FROM customers c
JOIN orders o ON o.customer_id = c.id
JOIN order_lines l ON l.order_id = o.id
GROUP BY c.id
ORDER BY revenue DESC
"""


def main() -> int:
    """Start the server, run the client, say how to go on, stop the server."""
    bascule = str(Path(sys.executable).parent / "bascule")
    command = [bascule, "serve", "sql", "--transport", "http", "--port", "0"]
    out.print(f"[bold]Starting[/] bascule {' '.join(command[1:])}")
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as server:
        try:
            url = wait_for_url(server)
            out.print(f"[bold]Serving[/]  a sample shop on {url}\n")
            code = subprocess.run([sys.executable, __file__, url], check=False).returncode
        finally:
            server.terminate()
            server.communicate(timeout=15)
    show_how_to_connect(bascule)
    out.print(f"[bold]Stopped[/]  the server cleanly (exit code {server.returncode})")
    return code or server.returncode


def wait_for_url(server: "subprocess.Popen[str]") -> str:
    """The URL that the server says it listens on."""
    said = []
    for line in server.stderr or ():
        said.append(line)
        found = re.search(r"http://\S+/mcp", line)
        if found:
            return found[0]
    raise SystemExit("The server did not start:\n" + "".join(said))


async def call_everything(url: str) -> None:
    """What a host does: list, read a schema, query, and be refused a write."""
    async with Client(url) as client:
        server = client.server
        out.print(f"[bold]Connected[/] to {server.name if server else '?'}, protocol {client.protocol_version}\n")

        tools, spent = await timed(client.list_tools())
        heading("tools/list", spent)
        for tool in tools:
            out.print(f"  [cyan]{tool.name}[/]  {first_line(tool.description)}")

        schema, spent = await timed(client.read_resource("schema://orders"))
        heading("resources/read schema://orders", spent)
        show_schema(json.loads(schema.contents[0].text or "{}"))

        for title, sql, limit in (
            ("tools/call query_database: a plain query", "SELECT id, name, price FROM products ORDER BY price DESC", 4),
            ("tools/call query_database: an aggregate over a join", BEST_CUSTOMERS, 5),
        ):
            result, spent = await timed(client.call_tool("query_database", {"sql": sql, "limit": limit}))
            heading(title, spent)
            out.print(f"  [dim]{' '.join(sql.split())}[/]")
            show_rows(result)

        sql = "DELETE FROM customers"
        refused, spent = await timed(client.call_tool("query_database", {"sql": sql}))
        heading("tools/call query_database: an attempt to write", spent)
        out.print(f"  [dim]{sql}[/]\n  [red]refused[/]: {text_of(refused)}")
        if not refused.is_error:
            raise SystemExit("The write was not refused")
    out.print()


async def timed(call: Awaitable[T]) -> tuple[T, float]:
    """The outcome of a call, and the milliseconds that it took."""
    started = time.perf_counter()
    outcome = await call
    return outcome, (time.perf_counter() - started) * 1000


def heading(title: str, milliseconds: float) -> None:
    """A line above what one call brought."""
    out.print(f"\n[bold]{title}[/]  [green]{milliseconds:.1f} ms[/]")


def first_line(text: str | None) -> str:
    """The first sentence of a description."""
    return (text or "").strip().partition("\n")[0]


def text_of(result: CallToolResult) -> str:
    """What a model would read."""
    return "\n".join(getattr(block, "text", "") for block in result.content)


def show_schema(schema: dict[str, Any]) -> None:
    """The columns of one table."""
    rows = [[column.get("name"), column.get("type"), column.get("nullable")] for column in schema.get("columns", [])]
    show_table(["column", "type", "nullable"], rows)


def show_rows(result: CallToolResult) -> None:
    """The rows of one query."""
    if result.is_error:
        raise SystemExit(text_of(result))
    found = result.structured_content
    show_table([field["name"] for field in found["fields"]], found["rows"])
    if found["truncated"]:
        out.print(f"  [dim]the first {found['rowCount']} rows; there are more[/]")


def show_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table, indented."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    out.print(table)


def show_how_to_connect(bascule: str) -> None:
    """The exact settings of three hosts."""
    stdio = {"command": bascule, "args": ["serve", "sql"]}
    for host, file, settings in (
        ("Claude Desktop", "claude_desktop_config.json", {"mcpServers": {"shop": stdio}}),
        ("VS Code", ".vscode/mcp.json", {"servers": {"shop": {"type": "stdio", **stdio}}}),
        ("Cursor", ".cursor/mcp.json", {"mcpServers": {"shop": stdio}}),
    ):
        out.print(f"[bold]{host}[/]: put this into {file}")
        out.print(json.dumps(settings, indent=2), markup=False)
    out.print('Your own database: add "--db", "postgresql://user@host/name" (or "sqlite:///file.db") to "args".\n')


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(call_everything(sys.argv[1]))
    else:
        raise SystemExit(main())
