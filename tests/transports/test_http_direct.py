"""Requests straight to a server, which behaves badly: raw bytes on loopback, read by the client's own connections."""

import asyncio
import datetime
import gzip
import ipaddress
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bascule.client.client import Client
from bascule.errors import CallTimedOut, ConfigError, ConnectionLost, MCPError, ParseError
from bascule.transports import http_direct, http_wire
from bascule.transports.http_endpoint import Endpoint
from tests.client.scripted import Posted, http, modern, speaking

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Raw:
    """A server that answers with bytes; `requests` keeps the head and body of each request, by connection."""

    def __init__(self, answer: Callable[["Talk"], Awaitable[None]]) -> None:
        self.answer = answer
        self.talks: list[Talk] = []
        self.serving: set[asyncio.Task[Any]] = set()
        self.url = ""
        self._arrived = asyncio.Event()

    @property
    def connections(self) -> int:
        return len(self.talks)

    @property
    def heads(self) -> list[str]:
        return [head for talk in self.talks for head in talk.heads]

    async def until(self, count: int, word: str = "") -> None:
        """Return when so many requests have come that have this word in their heads."""
        while sum(word in head for head in self.heads) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(reader, writer)
        self.talks.append(talk)
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while await talk.asked():
                self._arrived.set()
                await self.answer(talk)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            talk.gone.set()
            writer.close()


class Talk:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.gone = asyncio.Event()

    async def asked(self) -> bool:
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return False
        length = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        self.bodies.append(await self.reader.readexactly(int(length[0].partition(":")[2])) if length else b"")
        self.heads.append(head)
        return True

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()


@asynccontextmanager
async def raw(
    answer: Callable[[Talk], Awaitable[None]], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Raw]:
    served = Raw(answer)
    server = await asyncio.start_server(served.serve, host, 0, ssl=tls)
    name = f"[{host}]" if ":" in host else host
    served.url = f"http{'s' if tls else ''}://{name}:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield served
    finally:
        server.close()
        for task in served.serving:
            task.cancel()
        if served.serving:
            await asyncio.wait(served.serving)


def saying(*parts: bytes) -> Callable[[Talk], Awaitable[None]]:
    async def answer(talk: Talk) -> None:
        await talk.say(*parts)

    return answer


@asynccontextmanager
async def endpoint(url: str, headers: Mapping[str, str] | None = None, patience: float = 5) -> AsyncIterator[Endpoint]:
    made = Endpoint(url, headers or {}, 5, patience)
    try:
        yield made
    finally:
        await made.close()


async def ask(to: Endpoint, limit: int = 10**6, **options: Any) -> tuple[int, bytes]:
    reply = await to.send("POST", {"Accept": "application/json"}, b"{}", **options)
    try:
        return reply.status, await to.read(reply, limit)
    finally:
        await reply.close()


async def give(served: Raw, **options: Any) -> tuple[int, bytes]:
    async with endpoint(served.url, **options) as to:
        return await ask(to)


class TestReuse:
    async def test_one_connection_serves_one_request_after_the_other(self) -> None:
        async with raw(saying(OK)) as served, endpoint(served.url) as to:
            assert [await ask(to) for _ in range(20)] == [(200, b"{}")] * 20
            assert served.connections == 1

    async def test_a_server_that_closes_between_requests_is_connected_to_again(self) -> None:
        async def answer(talk: Talk) -> None:
            await talk.say(OK)
            talk.writer.close()

        async with raw(answer) as served, endpoint(served.url) as to:
            for _ in range(5):
                assert await ask(to) == (200, b"{}")
                await asyncio.wait_for(served.talks[-1].gone.wait(), 5)
            assert served.connections == 5

    async def test_an_end_that_the_loop_has_not_seen_yet_is_seen_before_the_next_request(self) -> None:
        """The end lies in the socket when the next request is made, in the same turn of the loop."""
        async with raw(saying(OK)) as served, endpoint(served.url) as to:
            await ask(to)
            (wire,) = to._sender._wires  # type: ignore[attr-defined]
            wire._transport.pause_reading()
            served.talks[0].writer.close()
            await asyncio.wait_for(served.talks[0].writer.wait_closed(), 5)
            assert not wire.usable()
            assert await ask(to) == (200, b"{}")
            assert served.connections == 2

    async def test_a_request_that_could_not_be_sent_is_sent_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with raw(saying(OK)) as served, endpoint(served.url) as to:
            await ask(to)
            (wire,) = to._sender._wires  # type: ignore[attr-defined]
            monkeypatch.setattr(wire, "usable", lambda: True)
            wire._transport.abort()  # as a write does that fails
            assert await ask(to) == (200, b"{}")
            assert [len(talk.heads) for talk in served.talks] == [1, 1]

    async def test_a_request_that_may_have_arrived_is_not(self) -> None:
        turns = iter(range(5))

        async def answer(talk: Talk) -> None:
            if next(turns) == 1:
                talk.writer.close()
            else:
                await talk.say(OK)

        async with raw(answer) as served, endpoint(served.url) as to:
            await ask(to)
            with pytest.raises(ConnectionLost, match="without an answer"):
                await ask(to)
            assert len(served.heads) == 2
            assert await ask(to) == (200, b"{}")

    async def test_idle_connections_are_left_before_servers_close_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with raw(saying(OK)) as served, endpoint(served.url) as to:
            await ask(to)
            monkeypatch.setattr(http_direct, "KEEPALIVE_EXPIRY", -1)
            assert await ask(to) == (200, b"{}")
            await asyncio.wait_for(served.talks[0].gone.wait(), 5)
            assert served.connections == 2

    @pytest.mark.parametrize(
        "close",
        [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        ],
    )
    async def test_a_connection_that_the_server_will_close_is_not_used_again(self, close: bytes) -> None:
        async with raw(saying(close)) as served, endpoint(served.url) as to:
            assert [await ask(to), await ask(to)] == [(200, b"{}")] * 2
            assert served.connections == 2

    @pytest.mark.parametrize("excess", [OK, b"HTTP/1.1 ", b"garbage", b"\0"])
    async def test_bytes_after_an_answer_are_no_answer_to_the_next_request(self, excess: bytes) -> None:
        stolen = OK.replace(b"{}", b"[]")
        async with raw(saying(stolen + excess)) as served, endpoint(served.url) as to:
            assert [await ask(to), await ask(to)] == [(200, b"[]")] * 2
            assert served.connections == 2

    async def test_what_a_server_says_unasked_ends_the_connection(self) -> None:
        async with raw(saying(OK)) as served, endpoint(served.url) as to:
            await ask(to)
            await served.talks[0].say(OK.replace(b"{}", b"[]"))
            await asyncio.wait_for(served.talks[0].gone.wait(), 5)
            assert await ask(to) == (200, b"{}")

    async def test_the_answers_that_calls_wait_for_need_no_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_direct, "MAX_CONNECTIONS", 2)

        async def answer(talk: Talk) -> None:
            if "patient" in talk.heads[-1]:
                await asyncio.Event().wait()
            await talk.say(OK)

        async with raw(answer) as served, endpoint(served.url) as to:
            calls = [asyncio.create_task(to.send("POST", {"X": "patient"}, b"{}", patient=True)) for _ in range(3)]
            async with asyncio.timeout(5):
                await served.until(2, "patient")
                assert await ask(to) == (200, b"{}")
                assert sum("patient" in head for head in served.heads) == 2
                calls[0].cancel()
                await served.until(3, "patient")
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)

    async def test_turns_come_back_whatever_happens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_direct, "MAX_CONNECTIONS", 1)
        ways = iter([OK, b"", b"garbage\r\n\r\n", OK[:-1], OK])

        async def answer(talk: Talk) -> None:
            data = next(ways)
            await talk.say(data)
            if data != OK:
                talk.writer.close()

        async with asyncio.timeout(5), raw(answer) as served, endpoint(served.url) as to:
            assert await ask(to, patient=True) == (200, b"{}")
            for _ in range(3):
                with pytest.raises(ConnectionLost):
                    await ask(to, patient=True)
            assert await ask(to, patient=True) == (200, b"{}")

    async def test_closing_fails_what_is_read_and_refuses_what_comes(self) -> None:
        async with raw(saying(OK[:-1])) as served, endpoint(served.url) as to:
            asking = asyncio.create_task(ask(to, patient=True))
            async with asyncio.timeout(5):
                await served.until(1)
                await to.close()
                with pytest.raises(ConnectionLost, match="was closed"):
                    await asking
                with pytest.raises(ConnectionLost, match="was closed"):
                    await ask(to)
                await served.talks[0].gone.wait()


class TestBadAnswers:
    @pytest.mark.parametrize(
        ("said", "match"),
        [
            (b"", "without an answer"),
            (b"HTTP/1.1 200", "without an answer"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: app", "without an answer"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "in the middle"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", "in the middle"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "in the middle"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "not HTTP"),
            (b"SSH-2.0-OpenSSH_9.7\r\n", "not HTTP"),
            (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\nA: b\x7fc\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "not HTTP"),
            (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "switches protocols"),
            (b"HTTP/1.1 101 Switching\r\n\r\n", "switches protocols"),
        ],
    )
    async def test_what_is_half_or_no_answer_is_a_lost_connection(self, said: bytes, match: str) -> None:
        async def answer(talk: Talk) -> None:
            await talk.say(said)
            talk.writer.close()

        async with asyncio.timeout(5), raw(answer) as served:
            with pytest.raises(ConnectionLost, match=match):
                await give(served)

    @pytest.mark.parametrize("size", [1, 7, 10_000])
    async def test_however_an_answer_is_cut_it_is_read_whole(self, size: int) -> None:
        whole = (
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Type: text/plain\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 203 Not Mine\r\nTransfer-Encoding: chunked\r\nX-Two: a\r\nX-Two: b\r\nTrailer: X-T\r\n\r\n"
            b"1;ext=1\r\n{\r\n1\r\n}\r\n0\r\nX-T: trailing\r\nContent-Type: evil/trailer\r\n\r\n"
        )
        parts = [whole[at : at + size] for at in range(0, len(whole), size)]
        async with raw(saying(*parts)) as served, endpoint(served.url) as to:
            for _ in range(2):
                reply = await to.send("POST", {}, b"{}")
                assert await to.read(reply, 100) == b"{}"
                assert (reply.status, reply.reason) == (203, "Not Mine")
                assert dict(reply.headers) == {"transfer-encoding": "chunked", "x-two": "a, b", "trailer": "X-T"}
                await reply.close()
            assert served.connections == 1

    async def test_an_answer_without_a_length_ends_with_its_connection(self) -> None:
        async def answer(talk: Talk) -> None:
            await talk.say(b"HTTP/1.1 200 OK\r\n\r\n{", b"}")
            talk.writer.close()

        async with raw(answer) as served:
            assert await give(served) == (200, b"{}")

    async def test_an_answer_without_a_body_ends_with_its_head(self) -> None:
        async with raw(saying(b"HTTP/1.1 204 No Content\r\n\r\n")) as served:
            assert await give(served) == (204, b"")

    @pytest.mark.parametrize(
        "flood",
        [b"X: " + b"y" * 1000 + b"\r\n", b"Z" * 1000, b"\r\nHTTP/1.1 100 Continue\r\n"],
    )
    async def test_a_head_without_end_is_given_up(self, flood: bytes) -> None:
        sent = 0

        async def answer(talk: Talk) -> None:
            nonlocal sent
            await talk.say(b"HTTP/1.1 100 Continue\r\nX: y\r\n")
            while True:
                await talk.say(flood)
                sent += len(flood)
                await asyncio.sleep(0)

        async with asyncio.timeout(10), raw(answer) as served:
            with pytest.raises(ConnectionLost, match="longer than 65536 bytes"):
                await give(served)
        assert sent < 10_000_000

    @pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\n" + b"A: b\r\n" * 200 + b"\r\n"])
    async def test_headers_without_number_are_refused(self, interim: bytes) -> None:
        async with asyncio.timeout(5), raw(saying(interim + b"HTTP/1.1 200 OK\r\n" + b"A:b\r\n" * 200)) as served:
            if not interim:
                served.answer = saying(b"HTTP/1.1 200 OK\r\n" + b"A:b\r\n" * 50_000)
            with pytest.raises(ConnectionLost, match="more than 256 headers"):
                await give(served)

    @pytest.mark.parametrize("flood", [b"X: " + b"y" * 1000 + b"\r\n", b"Y"])
    async def test_trailers_without_end_are_too(self, flood: bytes) -> None:
        async def answer(talk: Talk) -> None:
            await talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
            while True:
                await talk.say(flood * 1000)
                await asyncio.sleep(0)

        async with asyncio.timeout(10), raw(answer) as served:
            with pytest.raises(ConnectionLost, match="longer than 65536 bytes"):
                await give(served)

    @pytest.mark.parametrize(
        "said", [b"", b"HTTP/1.1 200 OK\r\nContent-", OK[:-1], OK.replace(b"Content-Length: 2", b"X: 2")]
    )
    async def test_a_server_that_falls_silent_is_not_waited_for(self, said: bytes) -> None:
        async with asyncio.timeout(5), raw(saying(said)) as served:
            with pytest.raises(CallTimedOut, match="silent for too long"):
                await give(served, patience=0.05)
            await served.talks[0].gone.wait()

    async def test_a_head_that_trickles_in_does_not_hold_up_a_request_for_ever(self) -> None:
        async def answer(talk: Talk) -> None:
            await talk.say(b"HTTP/1.1 200 OK\r\n")
            while True:
                await talk.say(b"X: y\r\n")
                await asyncio.wait({asyncio.ensure_future(talk.gone.wait())}, timeout=0.01)

        async with asyncio.timeout(5), raw(answer) as served:
            with pytest.raises(CallTimedOut, match="silent for too long"):
                await give(served, patience=0.2)

    async def test_a_body_that_nobody_reads_stops_the_server(self) -> None:
        piece = b"x" * 65536
        sent = 0

        async def answer(talk: Talk) -> None:
            nonlocal sent
            await talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1000 * len(piece)))
            for _ in range(1000):
                await talk.say(piece)
                sent += 1

        async with asyncio.timeout(20), raw(answer) as served, endpoint(served.url) as to:
            reply = await to.send("POST", {}, b"{}", patient=True)
            before = -1
            while sent != before:  # until the server makes no progress
                before = sent
                for _ in range(20):
                    await asyncio.sleep(0)
            assert sent < 500
            assert reply.size <= 4 * http_wire.HIGH  # type: ignore[attr-defined]
            assert len(await to.read(reply, 10**9)) == 1000 * len(piece)
            await reply.close()
            assert await ask(to, 10**9) == (200, b"x" * 1000 * len(piece))
            assert served.connections == 1


class TestEarlyAnswers:
    @pytest.mark.parametrize("stays", [True, False])
    async def test_an_answer_before_the_request_was_read_counts(self, stays: bool) -> None:
        """A large body is refused by its head alone; where the connection stays, the body is read to its end."""
        lengths: list[int] = []

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
                    await writer.drain()
                    if not stays:
                        return
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    lengths.append(len(await reader.readexactly(length)))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with asyncio.timeout(10), endpoint(url) as to:
            for _ in range(2):
                reply = await to.send("POST", {}, b"x" * 20_000_000)
                assert (reply.status, await to.read(reply, 10)) == (413, b"no")
                await reply.close()
        server.close()
        assert lengths[:1] == ([20_000_000] if stays else [])


class TestPacked:
    @pytest.mark.parametrize("size", [1, 100, 10**6])
    async def test_gzip_is_asked_for_and_unpacked(self, size: int) -> None:
        body = json.dumps({"x": "y" * 300_000, "z": list(range(5000))}).encode()
        packed = gzip.compress(body)
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: GZip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        parts = [packed[at : at + size] for at in range(0, len(packed), size)]
        async with raw(saying(head, *parts)) as served, endpoint(served.url) as to:
            assert await ask(to) == (200, body)
            assert await ask(to) == (200, body)
            assert "Accept-Encoding: gzip\r\n" in served.heads[0]
            assert served.connections == 1

    async def test_little_that_becomes_much_is_refused_before_it_does(self) -> None:
        bomb = zlib.compressobj(wbits=31)
        packed = b"".join(bomb.compress(bytes(10**6)) for _ in range(200)) + bomb.flush()
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        async with raw(saying(head, packed)) as served, endpoint(served.url) as to:
            reply = await to.send("POST", {}, b"{}")
            with pytest.raises(ParseError, match="more than 100000 bytes"):
                await to.read(reply, 100_000)
            assert len(await reply.next()) <= 65536
            await reply.close()

    @pytest.mark.parametrize("cut", [b"", b"not gzip at all", gzip.compress(b"x" * 100)[:-4]])
    async def test_what_cannot_be_unpacked_is_a_lost_connection(self, cut: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(cut)
        async with raw(saying(head + cut)) as served:
            if not cut:
                assert await give(served) == (200, b"")
                return
            with pytest.raises(ConnectionLost, match="cannot be unpacked"):
                await give(served)

    async def test_who_watches_sees_it_unpacked(self) -> None:
        packed = gzip.compress(b'{"a": 1}')
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        seen: list[Any] = []
        async with raw(saying(head + packed)) as served:
            watched = Endpoint(served.url, {"X-Own": "1"}, 5, 5, lambda *shown: seen.append(shown))
            await ask(watched)
            await watched.close()
        assert [(sent, data) for sent, data, _ in seen] == [(True, b"{}"), (False, b'{"a": 1}')]
        assert (seen[0][2].line, seen[0][2].headers) == (f"POST {served.url}", {"x-own": "1"})


class TestHeads:
    async def test_a_requests_own_headers_replace_those_of_all(self) -> None:
        own = {"authorization": "Bearer 1", "X-Percent": "100%s", "USER-AGENT": "mine", "accept": "x/y"}
        async with raw(saying(OK)) as served, endpoint(served.url + "?q=%41&r=b c", own) as to:
            await to.send("POST", {"Authorization": "Bearer 2", "Accept": "a/b", "X": "50% off\t!"}, b"{}")
            await to.send("GET", {})
        first, second = ([*head.split("\r\n")] for head in served.heads)
        assert first[0] == "POST /mcp?q=%41&r=b%20c HTTP/1.1"
        assert {"Authorization: Bearer 2", "X-Percent: 100%s", "USER-AGENT: mine", "Accept: a/b"} <= {*first}
        assert "X: 50% off\t!" in first
        assert "Content-Length: 2" in first
        assert not {"authorization: Bearer 1", "accept: x/y"} & {*first}
        assert second[0] == "GET /mcp?q=%41&r=b%20c HTTP/1.1"
        assert {"authorization: Bearer 1", "accept: x/y"} <= {*second}
        assert not [line for line in second if line.lower().startswith("content-length")]
        assert [line for line in first if line.lower().startswith("host:")] == [f"Host: {served.url.split('/')[2]}"]

    @pytest.mark.parametrize(
        "bad",
        [{"A": "x\r\nB: y"}, {"A": "x\0"}, {"A": "gr\xfcn"}, {"A\r\nB": "x"}, {"": "x"}, {"Content-Length": "9"},
         {"transfer-encoding": "chunked"}],
    )  # fmt: skip
    async def test_headers_that_cannot_be_sent_are_refused(self, bad: dict[str, str]) -> None:
        async with raw(saying(OK)) as served, endpoint(served.url) as to:
            with pytest.raises(ConfigError):
                await to.send("POST", bad, b"{}")
            with pytest.raises(ConfigError):
                Endpoint(served.url, bad, 5, 5)
            assert served.heads == []

    async def test_many_kinds_of_heads_are_not_all_kept(self) -> None:
        async with raw(saying(OK)) as served, endpoint(served.url) as to:
            for number in range(200):
                await (await to.send("POST", {f"X-{number}": "y"}, b"{}")).close()
            assert len(to._sender._heads._forms) <= 64  # type: ignore[attr-defined]
            assert served.heads[-1].count("X-") == 1

    async def test_a_name_and_password_in_the_url_are_sent(self) -> None:
        async with raw(saying(OK)) as served:
            async with endpoint(served.url.replace("//", "//us%40er:p:w@")) as to:
                await ask(to)
                assert "us" not in to.origin
        assert "Authorization: Basic dXNAZXI6cDp3\r\n" in served.heads[0]

    async def test_cookies_come_back(self) -> None:
        sets = (
            b"Set-Cookie: lb=one, two; Path=/; HttpOnly\r\nSet-Cookie: s=2; Path=/mcp\r\nSet-Cookie: no=1; Path=/x\r\n"
        )
        async with raw(saying(OK.replace(b"Content-Type", sets + b"Content-Type"))) as served:
            async with endpoint(served.url) as to:
                await ask(to)
                await ask(to)
            async with endpoint(served.url, {"Cookie": "mine=1"}) as to:
                await ask(to)
                await ask(to)
        cookies = [[line for line in head.split("\r\n") if line.startswith("Cookie")] for head in served.heads]
        assert cookies[0] == []
        assert {*cookies[1][0].removeprefix("Cookie: ").split("; ")} == {"lb=one, two", "s=2"}
        assert cookies[2:] == [["Cookie: mine=1"]] * 2


class TestTransport:
    def test_another_event_loop_does_as_well(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        async def use(tls: ssl.SSLContext | None) -> None:
            async with raw(saying(OK, b""), tls=tls) as served, endpoint(served.url) as to:
                assert [await ask(to) for _ in range(3)] == [(200, b"{}")] * 3
                assert served.connections == 1
                await served.talks[0].say(b"unasked")
                await asyncio.wait_for(served.talks[0].gone.wait(), 5)
                assert await ask(to, patient=True) == (200, b"{}")

        certified = _certified(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        uvloop = pytest.importorskip("uvloop")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(use(None))
            runner.run(use(certified))

    def test_open_clients_share_what_they_trust(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        one, two = http_direct._tls(), http_direct._tls()
        _certified(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert one is two
        assert one is not http_direct._tls()

    async def test_ipv6(self) -> None:
        try:
            async with raw(saying(OK), "::1") as served:
                assert await give(served) == (200, b"{}")
                assert f"Host: {served.url.split('/')[2]}\r\n" in served.heads[0]
        except OSError:
            pytest.skip("this machine has no IPv6")

    async def test_a_name_with_several_addresses_is_tried_in_turn(self) -> None:
        async with raw(saying(OK)) as served:
            served.url = served.url.replace("127.0.0.1", "localhost")
            assert await give(served) == (200, b"{}")

    async def test_tls_trusts_whom_the_environment_trusts(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        server = _certified(tmp_path)
        async with raw(saying(OK), tls=server) as served:
            with pytest.raises(ConnectionLost, match=r"cannot be reached.*certificate"):
                await give(served)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
            async with endpoint(served.url) as to:
                assert [await ask(to) for _ in range(3)] == [(200, b"{}")] * 3
                assert len([talk for talk in served.talks if talk.heads]) == 1
            with pytest.raises(ConnectionLost, match="Hostname mismatch|certificate"):
                served.url = served.url.replace("127.0.0.1", "localhost")
                await give(served)

    async def test_tls_to_a_server_without_it_is_an_error(self) -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with asyncio.timeout(5), endpoint(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as to:
            with pytest.raises(ConnectionLost, match="cannot be reached"):
                await ask(to)
        server.close()

    async def test_a_host_that_is_none_cannot_be_reached(self) -> None:
        async with endpoint("http://" + "a" * 64 + ".localhost/") as to:
            with pytest.raises(ConnectionLost, match="cannot be reached"):
                await ask(to)

    async def test_a_server_that_does_not_take_the_connection_is_not_waited_for(self) -> None:
        async def never(talk: Talk) -> None:
            raise AssertionError("TLS was not answered")

        async with asyncio.timeout(5), raw(never) as served:
            slow = Endpoint(served.url.replace("http:", "https:"), {}, 0.05, 5)
            with pytest.raises(CallTimedOut, match=r"could not be reached within 0\.05 s"):
                await ask(slow)
            await slow.close()

    async def test_a_proxy_of_the_environment_is_used_for_other_machines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Posted] = []

        async def handler(posted: Posted) -> None:
            asked.append(posted)
            await speaking(modern())(posted)

        async with http(handler) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/mcp"))
            async with Client("http://server.invalid/mcp", headers={"X-Own": "1"}) as client:
                await client.ping()
            assert [posted.path for posted in asked] == ["http://server.invalid/mcp"] * 2
            assert {posted.headers["x-own"] for posted in asked} == {"1"}
            async with http(speaking(modern())) as direct, Client(direct.url) as client:
                await client.ping()
            assert len(asked) == 2
            with pytest.raises(MCPError, match="HTTP 502"):
                proxy.handler = lambda posted: posted.send(b"", 502)
                async with Client("http://server.invalid/mcp"):
                    pass


def _certified(folder: Any) -> ssl.SSLContext:
    """A server's context with a fresh certificate for 127.0.0.1, written to `folder` for those who trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
