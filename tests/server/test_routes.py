"""Declaring pages: what is accepted at which path, what is refused and when, and what becomes of pages when mounted."""

import asyncio
import hmac
import re
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2
import pytest

from bascule import Client, ConfigError, DeclarationError, HttpResponse, Server
from bascule.engine.settings import HttpSettings
from bascule.serve import asgi


async def page(request):
    return request.path


async def other(request):
    return "other"


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['root_path']} {scope['path']}".encode()})


def get(app, *paths, method="GET", **settings):
    """What an ASGI server in front of the application gets for each path: status and text."""

    async def asked():
        transport = httpx2.ASGITransport(asgi(app, settings=HttpSettings(**settings)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            found = [await client.request(method, path) for path in paths]
            return [(answer.status_code, answer.text) for answer in found]

    return asyncio.run(asked())


def test_a_page_is_declared_by_decorating_or_by_calling_and_the_function_stays_what_it_is():
    app = Server("t")
    assert app.route("/decorated")(page) is page
    assert app.route("/called", page) is page
    assert get(app, "/decorated", "/called") == [(200, "/decorated"), (200, "/called")]


def test_one_path_may_have_a_page_for_each_method():
    app = Server("t")
    app.route("/hook", page)
    app.route("/hook", other, methods=["POST", "PUT"])
    assert get(app, "/hook") == [(200, "/hook")]
    assert get(app, "/hook", method="PUT") == [(200, "other")]
    with pytest.raises(DeclarationError, match="a page at /hook already"):
        app.route("/hook", other, methods=["DELETE", "PUT"])
    assert get(app, "/hook", method="DELETE")[0][0] == 405, "nothing is declared by halves"


MORE = ["/{name}", "/größe", "/x;y", None, 3, page]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "x",
        "/x/",
        "//x",
        "/x//y",
        "/x/../y",
        "/./x",
        "/..",
        "/x?y",
        "/x#y",
        "/x%2fy",
        "/x y",
        "/x\\y",
        "/x\n",
        *MORE,
    ],
)
def test_a_path_with_more_than_one_reading_is_refused(path):
    with pytest.raises(DeclarationError, match="must be like /metrics"):
        Server("t").route(path)


@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz", "/sse", "/messages"])
def test_the_servers_own_paths_are_refused_when_they_are_declared(path):
    with pytest.raises(DeclarationError, match="the server's own"):
        Server("t").route(path)


def test_well_known_documents_may_be_served():
    app = Server("t")
    app.route("/.well-known/mcp-registry-auth", page, public=True)
    assert get(app, "/.well-known/mcp-registry-auth") == [(200, "/.well-known/mcp-registry-auth")]


def test_a_page_where_the_endpoint_is_keeps_the_server_from_starting():
    app = Server("t")
    app.route("/api", page)
    assert get(app, "/api") == [(200, "/api")]
    for path in ("/api", "api", "/api/"):
        with pytest.raises(ConfigError, match="Both a page and the MCP endpoint are at /api"):
            asgi(app, settings=HttpSettings(path=path))


def test_once_served_the_endpoint_keeps_its_path():
    inner, outer = Server("inner"), Server("outer")
    outer.mount(inner)
    asgi(outer, settings=HttpSettings(path="/api"))
    for app in (outer, inner):
        with pytest.raises(DeclarationError, match="the server's own"):
            app.route("/api", page)


@pytest.mark.parametrize("methods", [[], "GET", ["get"], ["HEAD"], ["OPTIONS"], ["TRACE"], ["GET", "BREW"]])
def test_methods_that_no_page_can_answer_are_refused(methods):
    with pytest.raises(DeclarationError, match="The methods of the page /x must be"):
        Server("t").route("/x", page, methods=methods)


class Both:
    async def __call__(self, scope, receive, send): ...


@pytest.mark.parametrize(
    "handler",
    [lambda: "", lambda a, b: "", lambda a, b, c, d: "", lambda a, *, b: "", lambda *a: "", 3, "page", Both, dict],
)
def test_what_is_neither_a_page_nor_an_application_is_refused(handler):
    with pytest.raises(DeclarationError, match="must be a function of one argument"):
        Server("t").route("/x", handler)


def test_partials_methods_and_callable_objects_are_pages():
    async def with_more(more, request, option="o"):
        return more + option

    class Callable:
        async def __call__(self, request):
            return "object"

        def method(self, request):
            return "method"

    app = Server("t")
    app.route("/partial", partial(with_more, "partial"))
    app.route("/object", Callable())
    app.route("/method", Callable().method)
    app.route("/lambda", lambda request: "lambda")
    found = get(app, "/partial", "/object", "/method", "/lambda")
    assert [text for _, text in found] == ["partialo", "object", "method", "lambda"]


def test_an_application_answers_below_its_path_and_the_nearest_one_wins():
    app = Server("t")
    app.route("/files", application)
    app.route("/files/inner", application)
    app.route("/files/page", page)
    paths = ["/files", "/files/", "/files/a/b", "/files/inner/x", "/files/page", "/files/page/x"]
    assert [text for _, text in get(app, *paths)] == [
        "/files /files",
        "/files /files/",
        "/files /files/a/b",
        "/files/inner /files/inner/x",
        "/files/page",
        "/files /files/page/x",
    ]
    assert get(app, "/filesystem")[0][0] == 404
    for handler in (application, page):
        with pytest.raises(DeclarationError, match="already"):
            app.route("/files", handler)
    with pytest.raises(DeclarationError, match="already"):
        app.route("/files/page", application)
    with pytest.raises(DeclarationError, match="says itself which methods"):
        app.route("/x", application, methods=["POST"])


def test_an_application_above_the_endpoint_does_not_hide_it():
    app = Server("t")
    app.route("/api", application)
    assert get(app, "/api/mcp", path="/api/mcp")[0][0] == 405
    assert get(app, "/api/other", path="/api/mcp") == [(200, "/api /api/other")]


def test_pages_of_a_mounted_server_come_along_now_and_later():
    inner, middle, outer = Server("inner"), Server("middle"), Server("outer")
    inner.route("/early", page)
    middle.mount(inner, prefix="in")
    outer.mount(middle, prefix="mid")
    inner.route("/late", page)
    inner.route("/files", application)
    assert get(outer, "/mid/in/early", "/mid/in/late", "/mid/in/files/x") == [
        (200, "/mid/in/early"),
        (200, "/mid/in/late"),
        (200, "/mid/in/files /mid/in/files/x"),
    ]
    assert get(outer, "/early")[0][0] == 404
    plain = Server("plain")
    plain.mount(inner)
    assert get(plain, "/late") == [(200, "/late")]


def test_a_conflict_of_mounted_pages_mounts_nothing():
    inner, outer = Server("inner"), Server("outer")
    inner.route("/x", page)
    inner.route("/y", page)

    @inner.tool
    def add(a: int) -> int:
        return a

    outer.route("/y", other)
    with pytest.raises(DeclarationError, match="a page at /y already"):
        outer.mount(inner)
    assert outer.explain() == []
    assert [status for status, _ in get(outer, "/x", "/y")] == [404, 200]
    with pytest.raises(DeclarationError, match="prefix"):
        outer.mount(inner, prefix="../a")


def test_a_conflict_of_mounted_tools_mounts_no_page():
    inner, outer = Server("inner"), Server("outer")
    inner.route("/x", page)

    for app in (inner, outer):
        app.tool(name="same")(lambda: "text")
    with pytest.raises(DeclarationError, match="same"):
        outer.mount(inner)
    assert get(outer, "/x")[0][0] == 404


def test_a_page_that_comes_later_and_conflicts_outside_is_declared_nowhere():
    inner, outer = Server("inner"), Server("outer")
    outer.mount(inner, prefix="in")
    outer.route("/in/x", other)
    with pytest.raises(DeclarationError, match="a page at /in/x already"):
        inner.route("/x", page)
    assert get(inner, "/x")[0][0] == 404
    assert get(outer, "/in/x") == [(200, "other")]


def test_a_page_has_the_lifespan_of_its_own_server():
    def of(name):
        @asynccontextmanager
        async def lifespan(server):
            yield name

        app = Server(name, lifespan=lifespan)
        app.route(f"/{name}", lambda request: HttpResponse(request.lifespan))
        return app

    outer, bare = of("outer"), Server("bare")
    outer.mount(of("inner"))
    outer.mount(bare)
    bare.route("/bare", lambda request: repr(request.lifespan))
    assert [text for _, text in get(outer, "/outer", "/inner", "/bare")] == ["outer", "inner", "None"]


def test_in_memory_pages_are_neither_features_nor_in_the_way():
    app = Server("t")
    app.route("/x", page)
    app.route("/files", application)
    app.tool(name="add")(lambda: "text")

    async def listed():
        async with Client(app) as client:
            return [tool.name for tool in await client.list_tools()]

    assert asyncio.run(listed()) == ["add"]
    assert app.facts.capabilities.resources is None


def examples(heading):
    """The Python of one section of the guide, each piece run; what it defines."""
    text = (Path(__file__).parents[2] / "docs" / "guards.md").read_text()
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        defined = {"__name__": "example"}
        exec(compile(code.replace("app.run()", ""), "guards.md", "exec"), defined)
        yield defined["app"], defined


def test_the_examples_of_the_guide_answer_as_it_says():
    (shop, defined), (reports, _) = examples("Add a page beside the endpoint")

    async def asked():
        async with Client(shop) as client:
            await client.call_tool("order", {"item": "tea"})
        transport = httpx2.ASGITransport(asgi(shop, settings=HttpSettings()))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            signed = {"x-signature": hmac.new(defined["secret"], b"[1]", "sha256").hexdigest()}
            hook = partial(client.post, "/hooks/delivery", content=b"[1]")
            found = [await client.get("/metrics"), await hook(headers=signed), await hook()]
            return [(answer.status_code, answer.text) for answer in found]

    assert asyncio.run(asked()) == [
        (200, "shop_orders_total 1\n"),
        (202, '{"taken":[1]}'),
        (403, '{"error":"wrong signature"}'),
    ]
    assert get(reports, "/reports/monday") == [(200, "monday for anybody")]
