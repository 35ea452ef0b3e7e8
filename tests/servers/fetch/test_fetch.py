"""Reading pages: forms, parts, redirects, robots.txt, caching; and what a hostile or broken site can do to a reader."""

import asyncio
import gzip
import ssl
import threading
import zlib
from contextlib import asynccontextmanager
from pathlib import Path

import brotli
import pytest

from bascule import Client
from bascule.servers.fetch.limits import Limits
from bascule.servers.fetch.readers import Readers
from bascule.servers.fetch.server import PAGE_KEY, SOURCE_KEY, build
from bascule.testing import ManualClock
from tests.servers.fetch.world import PUBLIC, answer, make_certificates

ARTICLE = (
    "<html><head><title>On bascules</title><style>p{}</style></head><body><nav><a href='/menu'>MENU</a></nav>"
    "<script>alert('SCRIPT')</script><p hidden>HIDDEN</p><div style='Display: NONE'>INVISIBLE</div>"
    "<article><h1>Bascules</h1>"
    + "".join(f"<p>Paragraph {n} tells of bridges that tilt, <a href='/more'>more</a> of it.</p>" for n in range(30))
    + "</article><!-- COMMENT --></body></html>"
).encode()
SITE = "http://site.example"


@asynccontextmanager
async def reading(scene, *, clock=None, allow=None, **limits):
    """A function that fetches through a client of the server in the scene's world."""
    more = {} if clock is None else {"clock": clock}
    app = build(allow, limits=Limits(**{"rate": "1000/s", **limits}), network=scene.world.network(**more))
    async with Client(app) as client:

        async def fetch(url, **arguments):
            return await client.call_tool("fetch", {"url": url if "://" in url else SITE + url, **arguments})

        yield fetch


def text(result):
    assert not result.is_error, result.content[0].text
    return result.content[0].text


def refusal(result):
    assert result.is_error, result.content[0].text[:500]
    return result.content[0].text


async def test_a_page_comes_as_markdown_text_or_raw(scene):
    scene.pages({"/": answer(ARTICLE)})
    async with reading(scene) as fetch:
        markdown, plain, raw = [text(await fetch("/", format=form)) for form in ("markdown", "text", "raw")]
    assert "# Bascules" in markdown
    assert "[more](http://site.example/more)" in markdown
    assert "Paragraph 29" in plain
    assert "](" not in plain
    for form in (markdown, plain):
        for gone in ("SCRIPT", "HIDDEN", "INVISIBLE", "COMMENT", "<p"):
            assert gone not in form
    assert "<nav>" in raw


async def test_a_page_without_main_content_is_read_as_a_whole(scene):
    links = "".join(f"<li><a href='/item/{n}'>Item {n}</a></li>" for n in range(40))
    scene.pages({"/": answer(f"<html><body><script>SCRIPT</script><ul>{links}</ul></body></html>".encode())})
    async with reading(scene) as fetch:
        page = text(await fetch("/"))
    assert "Item 39" in page
    assert "http://site.example/item/7" in page
    assert "SCRIPT" not in page


async def test_a_long_page_comes_in_parts_that_make_the_whole(scene):
    body = "".join(f"line {n}\n" for n in range(2000))
    scene.pages({"/": answer(body.encode(), kind="text/plain")})
    whole, start = "", 0
    async with reading(scene) as fetch:
        while start is not None:
            result = await fetch("/", start_index=start, max_length=7000)
            told = result.meta[PAGE_KEY]
            part = text(result).split(">\n", 1)[1]
            whole += part[: told["endIndex"] - start]
            start = told["endIndex"] if told["endIndex"] < told["length"] else None
            assert (start is None) or f"go on with start_index={start}" in part
        beyond = text(await fetch("/", start_index=10**6))
    assert whole == body
    assert "there is nothing from 1000000 on" in beyond


async def test_the_result_is_marked_with_where_it_came_from(scene):
    scene.pages({"/": answer(b"", "302 Found", Location="/a"), "/a": answer()})
    async with reading(scene) as fetch:
        result = await fetch("/")
    assert result.meta[SOURCE_KEY] == "http://site.example/a"
    assert 'source="fetch, tool fetch: http://site.example/a"' in text(result)


async def test_redirects_are_followed_but_not_without_end(scene):
    def serve(send, path, _head):
        number = int(path[1:] or 0) if path != "/robots.txt" else -1
        send(answer(b"", "301 Moved Permanently", Location=f"/{number + 1}") if number >= 0 else answer(b"", "404 No"))

    scene.site.serve = serve
    async with reading(scene, max_redirects=3) as fetch:
        assert "redirects more than 3 times" in refusal(await fetch("/0"))
    assert scene.paths() == ["/0", "/1", "/2", "/3"]


async def test_a_refresh_that_a_page_asks_for_is_not_followed(scene):
    page = b"<html><head><meta http-equiv=refresh content='0;url=http://127.0.0.1/'></head><body>STAYS</body></html>"
    scene.pages({"/": answer(page, Refresh="0; url=http://127.0.0.1/")})
    async with reading(scene) as fetch:
        assert "STAYS" in text(await fetch("/"))
    assert set(scene.world.dials()) == {PUBLIC}
    assert scene.canary.hits == 0


async def test_nothing_of_the_caller_is_sent_along(scene, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{scene.canary.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{scene.canary.port}")
    scene.pages({"/": answer(b"", "302 Found", Location="/a", Set_Cookie="a=b"), "/a": answer()})
    async with reading(scene) as fetch:
        text(await fetch("/"))
    heads = "".join(head for _, head in scene.site.requests).lower()
    for name in ("cookie", "authorization", "referer", "traceparent", "x-forwarded"):
        assert name not in heads
    assert heads.count("host: site.example\r\n") == len(scene.site.requests)
    assert scene.canary.hits == 0


async def test_tls_is_verified_for_the_name(scene, tmp_path_factory):
    scene.pages({"/": answer()})
    async with reading(scene) as fetch:
        assert "HONEST" in text(await fetch("https://site.example/"))
        assert "HONEST" in text(await fetch("https://www.site.example/"))
        assert "certificate" in refusal(await fetch("https://elsewhere.example/"))
    other = tmp_path_factory.mktemp("other")
    make_certificates(other, "site.example")
    network = scene.world.network()._replace(tls=lambda: ssl.create_default_context(cafile=other / "ca.pem"))
    async with Client(build(network=network)) as client:
        assert "certificate" in refusal(await client.call_tool("fetch", {"url": "https://site.example/"}))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"<p>" + b"A" * 300_000_000)),
        ("deflate", zlib.compress(b"<p>" + b"A" * 300_000_000)),
        ("br", brotli.compress(b"<p>" + b"A" * 300_000_000, quality=1)),
    ],
    ids=["gzip", "deflate", "brotli"],
)
async def test_a_decompression_bomb_is_cut_where_the_limit_is(scene, encoding, body):
    scene.pages({"/": answer(body, Content_Encoding=encoding)})
    async with reading(scene, max_bytes=500_000) as fetch:
        result = await fetch("/", format="raw", max_length=10)
    assert not result.is_error
    assert result.meta[PAGE_KEY]["length"] == 500_000
    assert result.meta[PAGE_KEY]["cut"]


@pytest.mark.parametrize("encoding", ["gzip, gzip", "zstd", "compress", "identity, br", "nonsense"])
async def test_a_compression_that_was_not_asked_for_is_refused(scene, encoding):
    scene.pages({"/": answer(b"x", Content_Encoding=encoding)})
    async with reading(scene) as fetch:
        assert "compressed in a way that was not asked for" in refusal(await fetch("/"))


async def test_broken_compression_is_an_honest_error(scene):
    scene.pages({"/": answer(b"no gzip at all", Content_Encoding="gzip")})
    async with reading(scene) as fetch:
        assert "compression is broken" in refusal(await fetch("/"))


def endless(send, path, _head):
    """A body that never ends; the site stops when the reader has gone."""
    if path == "/robots.txt":
        send(answer(b"", "404 Not Found"))
        return
    send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        send(b"1000\r\n" + b"x" * 4096 + b"\r\n")


async def test_an_endless_body_is_cut_and_its_connection_closed(scene):
    gone = threading.Event()

    def serve(send, path, head):
        try:
            endless(send, path, head)
        except OSError:
            gone.set()

    scene.site.serve = serve
    async with reading(scene, max_bytes=100_000) as fetch:
        result = await fetch("/", format="raw", max_length=10)
    assert result.meta[PAGE_KEY]["length"] == 100_000
    assert result.meta[PAGE_KEY]["cut"]
    assert await asyncio.to_thread(gone.wait, 10)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
async def test_a_site_that_says_nothing_more_ends_at_the_time_limit(scene, sent):
    release = threading.Event()

    def serve(send, path, _head):
        if path == "/robots.txt":
            send(answer(b"", "404 Not Found"))
        else:
            send(sent)
            release.wait(30)

    scene.site.serve = serve
    async with reading(scene, seconds=0.5) as fetch:
        assert "did not answer within 0.5 seconds" in refusal(await fetch("/"))
    release.set()


async def test_a_slow_robots_txt_ends_at_the_same_limit(scene):
    release = threading.Event()
    scene.site.serve = lambda _send, _path, _head: release.wait(30)
    async with reading(scene, seconds=0.5) as fetch:
        said = refusal(await fetch("/"))
    release.set()
    assert "within 0.5 seconds" in said or "too long" in said


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(30_000)) + b"\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"220 mail ESMTP\r\n",
        b"\x00\x01\x02",
    ],
)
async def test_what_is_no_http_is_an_honest_error_and_the_next_call_works(scene, raw):
    scene.pages({"/": raw, "/good": answer()})
    async with reading(scene) as fetch:
        assert "cannot be read" in refusal(await fetch("/", format="raw"))
        assert "HONEST" in text(await fetch("/good", format="raw"))


async def test_a_short_content_length_gives_what_it_says(scene):
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nshort and SMUGGLED"
    scene.pages({"/": raw})
    async with reading(scene) as fetch:
        assert "SMUGGLED" not in text(await fetch("/", format="raw"))


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ("é€".encode(), "text/plain", "é€"),
        ("é€".encode("cp1252"), "text/plain; charset=iso-8859-1", "é€"),
        ("é".encode("cp1252") + b" and more text after it", "text/plain", "é and"),
        ("привет".encode("koi8-r"), "text/plain; charset=KOI8-R", "привет"),
        ("日本".encode("shift_jis"), 'text/plain; charset="shift_jis"', "日本"),
        ("日本".encode("utf-16"), "text/plain", "日本"),
        ("é".encode(), "text/plain; charset=nonsense", "é"),
        (b"plain", "text/plain; charset=zlib_codec", "plain"),
        (b"+ADw-script+AD4-", "text/plain; charset=utf-7", "+ADw-script+AD4-"),
        (b"\\u0041", "text/plain; charset=unicode_escape", "\\u0041"),
        ("é".encode(), "text/plain; charset=utf-8; charset=latin1", "é"),
        (b"\xff\xfe\x00", "text/plain; charset=utf-8", "\ufffd"),
    ],
)
async def test_charsets_are_read_and_nonsense_is_not_obeyed(scene, body, kind, expected):
    scene.pages({"/": answer(body, kind=kind)})
    async with reading(scene) as fetch:
        assert expected in text(await fetch("/", format="raw"))


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "application/octet-stream", "video/mp4", "x"])
async def test_what_is_no_text_is_refused(scene, kind):
    scene.pages({"/": answer(b"\x89PNG", kind=kind)})
    async with reading(scene) as fetch:
        assert "which is no text" in refusal(await fetch("/"))


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "304 Not Modified", "300 Choices", "204 No", "999 ?"])
async def test_other_statuses_are_told(scene, status):
    scene.pages({"/": answer(b"" if status[:3] in ("304", "204") else b"SECRET", status)})
    async with reading(scene) as fetch:
        result = await fetch("/")
    if status.startswith("204"):
        assert "has no text" in text(result)
    else:
        assert f"HTTP status {status[:3]}" in refusal(result) or "does not speak HTTP" in refusal(result)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<html>",
        b"\x00" * 1000,
        b"<div>" * 200_000,
        b"<ul><li>" * 50_000,
        b"<!DOCTYPE html [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;'>]><p>&b;</p>",
        b"<!DOCTYPE x SYSTEM 'http://127.0.0.1/x.dtd'><html><body>fine</body></html>",
        b"<?xml version='1.0' encoding='utf-7'?><html><body>fine</body></html>",
        b"<html><head><base href='http://[::1'></head><body><a href='http://['>x</a>" + b"word " * 100,
        "<html><body>\ud800\udfff</body></html>".encode("utf-8", "surrogatepass"),
    ],
)
async def test_odd_html_is_read_or_refused_in_time_and_the_next_call_works(scene, body):
    scene.pages({"/": answer(body), "/good": answer()})
    async with reading(scene, read_seconds=15) as fetch:
        await fetch("/")
        assert "HONEST" in text(await fetch("/good"))
    assert scene.canary.hits == 0


async def test_html_that_takes_for_ever_costs_one_process_and_no_more(scene):
    slow = b"<a " + b" ".join(b"a%d=1" % n for n in range(300_000)) + b">x</a>"
    scene.pages({"/slow": answer(slow), "/good": answer()})
    async with reading(scene, read_seconds=2, readers=1) as fetch:
        assert "takes too much time or memory" in refusal(await fetch("/slow"))
    async with reading(scene, readers=1) as fetch:
        assert "HONEST" in text(await fetch("/good"))


ROBOTS = "User-agent: *\nDisallow: /private\nAllow: /private/open\n\nUser-agent: bascule\nDisallow: /bascule\n"


async def test_robots_txt_is_obeyed_for_every_redirect_and_kept_for_a_while(scene):
    pages = {path: answer() for path in ("/", "/private/x", "/bascule/x")}
    pages |= {
        "/robots.txt": answer(ROBOTS.encode(), kind="text/plain"),
        "/moved": answer(b"", "302 Found", Location="/bascule/x"),
    }
    scene.pages(pages)
    clock = ManualClock()
    async with reading(scene, clock=clock, robots_seconds=100) as fetch:
        assert "HONEST" in text(await fetch("/"))
        assert "does not want this page" in refusal(await fetch("/bascule/x"))
        assert "does not want this page" in refusal(await fetch("/moved"))
        assert "HONEST" in text(await fetch("/private/x"))
        asked = [path for path, _ in scene.site.requests]
        assert asked.count("/robots.txt") == 1
        assert "/bascule/x" not in asked
        clock.advance(101)
        await fetch("/", max_length=50)
    assert [path for path, _ in scene.site.requests].count("/robots.txt") == 2


@pytest.mark.parametrize(
    ("robots", "said"),
    [
        (answer(b"", "500 Oops"), "the answer was 500"),
        (answer(b"", "302 Found", Location="http://169.254.169.254/latest/"), "link-local"),
        (answer(b"", "302 Found", Location="http://[::1]/"), "loopback"),
        (answer(b"", "302 Found", Location="file:///etc/passwd"), "http://"),
        (answer(b"", "302 Found", Location="/robots.txt"), "redirects more than"),
        (b"no http", "does not speak HTTP"),
        (answer(b"no gzip at all", Content_Encoding="gzip"), "compression"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nUser-agent: *", "does not speak HTTP"),
    ],
)
async def test_a_robots_txt_that_cannot_be_had_allows_nothing(scene, robots, said):
    scene.pages({"/": answer(), "/robots.txt": robots})
    async with reading(scene) as fetch:
        sentence = refusal(await fetch("/"))
    assert "robots.txt cannot be read, so nothing is fetched" in sentence
    assert said in sentence
    assert scene.paths() == []
    assert set(scene.world.dials()) <= {PUBLIC}
    assert scene.canary.hits == 0


async def test_a_huge_robots_txt_is_read_to_its_limit(scene):
    rules = b"User-agent: *\nDisallow: /first\n" + b"Disallow: /x\n" * 100_000 + b"Disallow: /last\n"
    scene.pages({"/first": answer(), "/last": answer(), "/robots.txt": answer(rules, kind="text/plain")})
    async with reading(scene) as fetch:
        assert "does not want" in refusal(await fetch("/first"))
        assert "HONEST" in text(await fetch("/last"))


async def test_patterns_of_a_robots_txt_cannot_hold_up_the_server(scene):
    rules = b"User-agent: *\nDisallow: /" + b"*a" * 2000 + b"b$\n"
    scene.pages({"/" + "a" * 3000: answer(), "/robots.txt": answer(rules, kind="text/plain"), "/ok": answer()})
    async with reading(scene, read_seconds=3) as fetch:
        await fetch("/" + "a" * 3000)
        assert "HONEST" in text(await fetch("/ok"))


async def test_one_host_is_asked_no_more_often_than_the_rate(scene):
    scene.pages({f"/{n}": answer() for n in range(5)})
    async with reading(scene, rate="3/min") as fetch:
        for n in range(3):
            text(await fetch(f"/{n}"))
        refused = await fetch("/3")
        other = await fetch("http://www.site.example/1")
    assert "asked too often" in refusal(refused)
    assert refused.meta["dev.bascule/error"]["code"] == "rate_limited"
    assert "HONEST" in text(other)


async def test_pages_are_cached_as_http_says(scene):
    fresh = answer().replace(b"no-store", b"max-age=600")
    scene.pages({"/fresh": fresh, "/not": answer(), "/private": answer().replace(b"no-store", b"private, max-age=9")})
    async with reading(scene) as fetch:
        for path in ("/fresh", "/not", "/private") * 2:
            assert "HONEST" in text(await fetch(path))
    asked = scene.paths()
    assert (asked.count("/fresh"), asked.count("/not"), asked.count("/private")) == (1, 2, 2)


async def test_a_stale_page_is_asked_for_again_with_its_tag(scene):
    def serve(send, path, head):
        if path == "/robots.txt":
            send(answer(b"", "404 Not Found"))
        elif 'if-none-match: "one"' in head.lower():
            send(b'HTTP/1.1 304 Not Modified\r\nETag: "one"\r\nCache-Control: no-cache\r\n\r\n')
        else:
            send(answer(ETag='"one"').replace(b"no-store", b"no-cache"))

    scene.site.serve = serve
    async with reading(scene) as fetch:
        assert "HONEST" in text(await fetch("/"))
        assert "HONEST" in text(await fetch("/"))
    assert len(scene.paths()) == 2
    assert "if-none-match" in scene.site.requests[-1][1].lower()


async def test_a_cached_redirect_leads_to_nothing_that_is_not_checked(scene):
    moved = answer(b"", "301 Moved Permanently", Location="http://127.0.0.1/").replace(b"no-store", b"max-age=600")
    scene.pages({"/": moved})
    async with reading(scene) as fetch:
        for _ in range(2):
            assert "loopback" in refusal(await fetch("/"))
    assert scene.canary.hits == 0


async def test_the_tool_says_what_it_is(scene):
    async with Client(build(network=scene.world.network())) as client:
        (tool,) = await client.list_tools()
    assert tool.name == "fetch"
    assert tool.annotations.read_only_hint
    assert tool.annotations.open_world_hint
    assert list(tool.input_schema["properties"]) == ["url", "format", "start_index", "max_length"]
    assert tool.input_schema["properties"]["url"]["format"] == "uri"


async def test_readers_end_with_the_server():
    readers = Readers(Limits(readers=1))
    assert await readers.decoded(b"text", None) == "text"
    assert await readers.decoded(b"more", None) == "more"
    (process,) = readers.idle
    assert process.returncode is None
    await readers.close()
    assert process.returncode is not None
    assert readers.idle == []


async def test_a_reader_that_died_is_replaced():
    readers = Readers(Limits(readers=1))
    await readers.decoded(b"text", None)
    readers.idle[0].kill()
    await readers.idle[0].wait()
    assert await readers.decoded(b"more", None) == "more"
    await readers.close()


async def test_a_reader_sees_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    readers = Readers(Limits(readers=1))
    await readers.decoded(b"text", None)
    environment = (Path("/proc") / str(readers.idle[0].pid) / "environ").read_bytes()
    await readers.close()
    assert b"hunter2" not in environment
