"""API keys through a real server, in both eras and over HTTP+SSE: who is let in, and every way to knock wrongly."""

import asyncio
import socket
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx2
import pytest

from bascule import Client, Context, MCPError, Server
from bascule.auth.keys import ApiKeys
from bascule.engine.exchange import Principal
from bascule.engine.settings import AuthSettings
from bascule.errors import CredentialsUnavailable, Forbidden
from tests.auth.keyring import START, Keyring
from tests.messages import ACCEPT, headers, initialize, legacy, request
from tests.serving import serving

GIVEN = "an-environment-key-of-more-than-32-characters"
JSON = {"content-type": "application/json", "accept": ACCEPT}


@pytest.fixture
def ring(tmp_path):
    return Keyring(tmp_path / "keys.db")


@pytest.fixture
def app():
    app = Server("t", version="1")
    app.entered, app.go = threading.Event(), threading.Event()

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def seen(ctx: Context) -> list[str]:
        return sorted(ctx.headers)

    @app.tool
    async def held() -> str:
        app.entered.set()
        await asyncio.to_thread(app.go.wait, 20)
        return "done"

    return app


@pytest.fixture
def http():
    with httpx2.Client(timeout=20) as client:
        yield client


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def call(http, server, extra, name="add", url=None):
    message = request("tools/call", {"name": name, "arguments": {"a": 1, "b": 2} if name == "add" else {}})
    return http.post(url or server.url, json=message, headers=[*headers(message).items(), *_pairs(extra)])


def _pairs(extra):
    return extra.items() if isinstance(extra, dict) else extra


def refused(answer):
    """Status, and the word for programs, of a refusal; which must be a JSON-RPC error."""
    body = answer.json()
    assert (body["jsonrpc"], body["id"]) == ("2.0", None)
    assert body["error"]["message"][0].isupper()
    return answer.status_code, (body["error"].get("data") or {}).get("code")


def test_a_key_is_taken_in_either_header_in_the_stateless_era(app, ring, http):
    _, key = ring.make()
    with serving(app, door=ring.door(GIVEN)) as server:
        for extra in (bearer(key), {"authorization": f"bearer   {key}"}, {"x-api-key": key}, bearer(GIVEN)):
            answer = call(http, server, extra)
            assert answer.json()["result"]["structuredContent"] == {"result": 3}
        same = {**bearer(key), "x-api-key": key}
        assert call(http, server, same).status_code == 200


def test_no_key_is_401_with_a_challenge_and_an_unknown_one_403(app, ring, http):
    ring.make()
    _, elsewhere = Keyring(ring.path.with_name("other.db")).make()
    with serving(app, door=ring.door()) as server:
        bare = call(http, server, {})
        assert refused(bare) == (401, "unauthenticated")
        assert bare.headers["www-authenticate"] == "Bearer"
        unknown = call(http, server, bearer(elsewhere))
        assert refused(unknown) == (403, "unknown_key")
        assert "www-authenticate" not in unknown.headers
        assert refused(call(http, server, bearer(elsewhere[:-1]))) == (403, "mistyped_key")
        assert refused(call(http, server, bearer("anything else"))) == (403, "unknown_key")
        assert elsewhere not in unknown.text


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({"authorization": "Basic dXNlcjpwYXNz"}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"authorization": ""}, 401),
        ({"authorization": "{key}"}, 401),
        ({"authorization": "Bearer\t{key}"}, 401),
        ({"authorization": "Bearer{key}"}, 401),
        ({"authorization": "Basic {key}, Bearer {key}"}, 401),
        ({"x-api-key": ""}, 401),
        ({"authorization": "Bearer {key}, Bearer {key}"}, 403),
        ({"authorization": "Bearer {key} {key}"}, 403),
        ({"authorization": "Bearer {key},"}, 403),
        ({"authorization": 'Bearer "{key}"'}, 403),
        ({"authorization": "Bearer token={key}"}, 403),
        ({"x-api-key": "Bearer {key}"}, 403),
        ({"x-api-key": "{key},{key}"}, 403),
        ({"authorization": "Bearer {key}", "x-api-key": "other"}, 400),
        ({"authorization": "Bearer other", "x-api-key": "{key}"}, 400),
        ({"authorization": "Bearer {key}", "x-api-key": ""}, 400),
        ({"authorization": "Basic dXNlcjpwYXNz", "x-api-key": "{key}"}, 401),
        ([("authorization", "Bearer {key}"), ("authorization", "Bearer {key}")], 400),
        ([("authorization", "Bearer other"), ("Authorization", "Bearer {key}")], 400),
        ([("x-api-key", "{key}"), ("X-Api-Key", "{key}")], 400),
        ([("x-api-key", "{key}"), ("x-api-key", "other")], 400),
        ({"x_api_key": "{key}"}, 401),
        ({"cookie": "api_key={key}"}, 401),
        ({"proxy-authorization": "Bearer {key}"}, 401),
    ],
)
def test_a_right_key_in_a_doubtful_head_opens_nothing(app, ring, http, extra, status):
    _, key = ring.make()
    filled = [(name, value.replace("{key}", key)) for name, value in _pairs(extra)]
    with serving(app, door=ring.door()) as server:
        answer = call(http, server, filled)
        assert refused(answer)[0] == status
        assert (answer.headers.get("www-authenticate") == "Bearer") is (status == 401)
        assert key not in answer.text
        assert call(http, server, bearer(key)).status_code == 200


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"Bearer ", 401),
        (b"Bearer \t", 401),
        (b"Bearer schl\xc3\xbcssel", 403),
        (b"Bearer \xff", 403),
        (b"Bearer " + b"k" * 60_000, 403),
        (b"Bearer bsk_" + b"0" * 60_000, 403),
    ],
)
def test_bytes_that_are_no_key_open_nothing(app, ring, value, status):
    ring.make()
    with serving(app, door=ring.door()) as server, closing(socket.create_connection(server.address, 10)) as link:
        link.sendall(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: " + value + b"\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 %d " % status)


def test_a_key_in_the_query_or_the_body_is_not_seen(app, ring, http):
    _, key = ring.make()
    with serving(app, door=ring.door()) as server:
        for name in ("api_key", "access_token", "key", "x-api-key", "authorization"):
            assert call(http, server, {}, url=f"{server.url}?{name}={key}").status_code == 401
        message = request("tools/list", {"access_token": key})
        assert http.post(server.url, json=message, headers=headers(message)).status_code == 401


def test_a_refusal_does_not_wait_for_the_body(app, ring):
    ring.make()
    with serving(app, door=ring.door()) as server, closing(socket.create_connection(server.address, 10)) as link:
        link.sendall(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000000\r\n\r\n{")
        assert link.recv(100).startswith(b"HTTP/1.1 401 ")


def test_health_and_preflight_are_open_and_unknown_origins_closed(app, ring, http):
    _, key = ring.make()
    with serving(app, door=ring.door()) as server:
        base = server.url.removesuffix("/mcp")
        for path in ("/health", "/healthz", "/readyz"):
            assert http.get(base + path).status_code == 200
        asked = {"origin": "http://localhost:5173", "access-control-request-headers": "authorization, x-api-key"}
        preflight = http.options(server.url, headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-headers"] == "authorization, x-api-key"
        bare = call(http, server, {"origin": "http://localhost:5173"})
        assert bare.status_code == 401
        assert bare.headers["access-control-allow-origin"] == "http://localhost:5173"
        assert "WWW-Authenticate" in bare.headers["access-control-expose-headers"]
        assert call(http, server, {**bearer(key), "origin": "https://evil.example"}).status_code == 403


@pytest.fixture
def callers(app, monkeypatch):
    """The principals of the requests that reach the application."""
    found, answer = [], app.answer

    async def noting(exchange):
        found.append(exchange.principal)
        return await answer(exchange)

    monkeypatch.setattr(app, "answer", noting)
    return found


def test_a_handler_sees_who_calls_but_never_the_key(app, ring, http, callers):
    record, key = ring.make("ci", scopes=("tools:read", "prompts:read"))
    with serving(app, door=ring.door(f"{GIVEN}=a+b")) as server:
        for extra in (bearer(key), {"x-api-key": key}):
            names = call(http, server, extra, "seen").json()["result"]["structuredContent"]["result"]
            assert "host" in names
            assert not {"authorization", "x-api-key"} & set(names)
        call(http, server, bearer(GIVEN))
    assert callers[0].key == callers[1].key == ("", "api-key", record.id)
    assert (callers[0].client_id, callers[0].anonymous) == ("ci", False)
    assert callers[0].scopes == {"tools:read", "prompts:read"}
    assert callers[2].scopes == {"a", "b"}
    assert key not in repr(callers)
    assert GIVEN not in repr(callers)


def opened(http, server, extra):
    """A session of the handshake era, as the headers of its next request."""
    answer = http.post(server.url, json=initialize(), headers={**JSON, **extra})
    assert answer.status_code == 200, answer.text
    return {**JSON, **extra, "mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}


def test_the_handshake_era_asks_for_the_key_with_every_request(app, ring, http, callers):
    record, key = ring.make()
    add = legacy("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}})
    with serving(app, door=ring.door()) as server:
        assert refused(http.post(server.url, json=initialize(), headers=JSON)) == (401, "unauthenticated")
        session = opened(http, server, bearer(key))
        assert http.post(server.url, json=add, headers=session).json()["result"]["structuredContent"] == {"result": 3}
        bare = {name: value for name, value in session.items() if name != "authorization"}
        streaming = {**bare, "accept": "text/event-stream"}
        assert http.post(server.url, json=add, headers=bare).status_code == 401
        assert http.post(server.url, json=[add], headers=bare).status_code == 401
        assert http.get(server.url, headers=streaming).status_code == 401
        assert http.delete(server.url, headers=bare).status_code == 401
        assert http.post(server.url, json=add, headers={**session, **bearer(key[:-1])}).status_code == 403
        with http.stream("GET", server.url, headers={**streaming, **bearer(key)}) as stream:
            assert stream.status_code == 200
        assert http.delete(server.url, headers=session).status_code == 200
    assert [caller.key[2] for caller in callers] == [record.id] * len(callers)


def test_another_keys_session_is_unknown(app, ring, http):
    (_, mine), (_, other) = ring.make("mine"), ring.make("other")
    add = legacy("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}})
    with serving(app, door=ring.door(GIVEN)) as server:
        session = opened(http, server, bearer(mine))
        for thief in (bearer(other), bearer(GIVEN)):
            stolen = {**session, **thief}
            streaming = {**stolen, "accept": "text/event-stream"}
            answers = [
                http.post(server.url, json=add, headers=stolen),
                http.post(server.url, json=[add], headers=stolen),
                http.get(server.url, headers=streaming),
                http.delete(server.url, headers=stolen),
            ]
            assert [answer.status_code for answer in answers] == [404] * 4
        assert http.post(server.url, json=add, headers=session).status_code == 200


def test_batches_carry_the_principal(app, ring, http, callers):
    record, key = ring.make()
    batch = [legacy("tools/call", {"name": "add", "arguments": {"a": n, "b": 1}}, id=n) for n in (1, 2)]
    with serving(app, door=ring.door()) as server:
        answer = http.post(server.url, json=initialize("2025-03-26"), headers={**JSON, **bearer(key)})
        session = {**JSON, **bearer(key), "mcp-session-id": answer.headers["mcp-session-id"]}
        assert len(http.post(server.url, json=batch, headers=session).json()) == 2
    assert {caller.subject for caller in callers} == {record.id}


def test_http_with_sse_asks_for_the_key_too_and_keeps_streams_apart(app, ring, http, callers):
    (record, mine), (_, other) = ring.make("mine"), ring.make("other")
    with serving(app, door=ring.door(), legacy_sse=True) as server:
        base = server.url.removesuffix("/mcp")
        taking = {"accept": "text/event-stream"}
        assert http.get(f"{base}/sse", headers=taking).status_code == 401
        with http.stream("GET", f"{base}/sse", headers={**taking, **bearer(mine)}) as stream:
            lines = stream.iter_lines()
            endpoint = base + next(line for line in lines if line.startswith("data: ")).removeprefix("data: ")
            assert http.post(endpoint, json=initialize("2024-11-05"), headers=JSON).status_code == 401
            stolen = http.post(endpoint, json=initialize("2024-11-05"), headers={**JSON, **bearer(other)})
            assert stolen.status_code == 404
            for message in (
                initialize("2024-11-05"),
                legacy("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}, id=7),
            ):
                assert http.post(endpoint, json=message, headers={**JSON, **bearer(mine)}).status_code == 202
            answer = next(line for line in lines if '"id":7' in line)
            assert '"3"' in answer
    assert {caller.subject for caller in callers} == {record.id}


def test_http_with_sse_lends_no_scopes_to_a_key_that_has_fewer(app, http):
    wide, narrow = Principal("i", "ann", scopes=frozenset("*")), Principal("i", "ann", scopes=frozenset("r"))

    class Door:
        async def authenticate(self, headers, address):
            return wide if headers.get("x-api-key") == "wide" else narrow

        async def close(self):
            """Nothing is open."""

    with serving(app, door=Door(), legacy_sse=True) as server:
        base = server.url.removesuffix("/mcp")
        taking = {"accept": "text/event-stream", "x-api-key": "wide"}
        with http.stream("GET", f"{base}/sse", headers=taking) as stream:
            lines = stream.iter_lines()
            endpoint = base + next(line for line in lines if line.startswith("data: ")).removeprefix("data: ")
            hello = initialize("2024-11-05")
            assert http.post(endpoint, json=hello, headers={**JSON, "x-api-key": "narrow"}).status_code == 404
            assert http.post(endpoint, json=hello, headers={**JSON, "x-api-key": "wide"}).status_code == 202


def test_the_scopes_of_a_key_are_what_guards_go_by(app, ring, http):
    @app.tool(scopes=["tools:write"])
    async def drop() -> str:
        return "dropped"

    (_, reader), (_, writer) = ring.make("reader", scopes=("tools:read",)), ring.make("writer", scopes=("tools:write",))
    listing = request("tools/list")
    with serving(app, door=ring.door(GIVEN)) as server:
        seen = {}
        for key in (reader, writer, GIVEN):
            answer = http.post(server.url, json=listing, headers={**headers(listing), **bearer(key)})
            seen[key] = "drop" in [tool["name"] for tool in answer.json()["result"]["tools"]]
        assert list(seen.values()) == [False, True, True]
        answer = call(http, server, bearer(reader), "drop")
        assert (answer.status_code, answer.json()["error"]["data"]["code"]) == (403, "missing_scope")
        for key in (writer, GIVEN):
            assert call(http, server, bearer(key), "drop").json()["result"]["content"][0]["text"] == "dropped"


def test_an_expired_key_says_so_to_its_holder_only(app, ring, http):
    record, key = ring.make(expires=START + 100)
    guessed = key[:15] + "0" * 49
    with serving(app, door=ring.door()) as server:
        assert call(http, server, bearer(key)).status_code == 200
        ring.clock.advance(99.5)
        assert call(http, server, bearer(key)).status_code == 200
        ring.clock.advance(0.5)
        answer = call(http, server, bearer(key))
        assert refused(answer) == (403, "expired_key")
        assert "expired" in answer.text
        assert "expired" not in call(http, server, bearer(guessed)).text
        assert record.id not in answer.text


def test_a_revoked_key_is_refused_within_five_seconds_in_every_process(app, ring, http):
    record, key = ring.make()
    with serving(app, door=ring.door()) as server, serving(app, door=ring.door()) as replica:
        session = opened(http, server, bearer(key))
        assert call(http, replica, bearer(key)).status_code == 200
        ring.revoke(record)
        ring.clock.advance(5)
        for one in (server, replica):
            assert refused(call(http, one, bearer(key))) == (403, "revoked_key")
        assert http.post(server.url, json=legacy("ping"), headers=session).status_code == 403


def test_a_call_that_runs_when_its_key_is_revoked_ends_and_a_stream_lasts_until_it_is_left(app, ring, http):
    record, key = ring.make()
    with serving(app, door=ring.door(), keep_alive_interval=0.05) as server:
        session = {**opened(http, server, bearer(key)), "accept": "text/event-stream"}
        with http.stream("GET", server.url, headers=session) as stream:
            chunks = stream.iter_raw()
            answers = []
            running = threading.Thread(target=lambda: answers.append(call(http, server, bearer(key), "held")))
            running.start()
            assert app.entered.wait(10)
            ring.revoke(record)
            ring.clock.advance(5)
            assert call(http, server, bearer(key)).status_code == 403
            app.go.set()
            running.join(10)
            assert answers[0].json()["result"]["structuredContent"] == {"result": "done"}
            assert next(chunks)
        assert http.get(server.url, headers=session).status_code == 403


def test_old_and_new_key_are_one_caller_until_the_overlap_ends(app, ring, http):
    record, old = ring.make(scopes=("tools:read",))
    with serving(app, door=ring.door()) as server:
        session = opened(http, server, bearer(old))
        successor, new = ring.rotate(record, 3600)
        assert call(http, server, bearer(old)).status_code == 200
        assert http.post(server.url, json=legacy("ping"), headers={**session, **bearer(new)}).status_code == 200
        ring.clock.advance(3599)
        assert call(http, server, bearer(old)).status_code == 200
        ring.clock.advance(1)
        assert refused(call(http, server, bearer(old))) == (403, "expired_key")
        assert call(http, server, bearer(new)).status_code == 200
        assert http.post(server.url, json=legacy("ping"), headers={**session, **bearer(new)}).status_code == 200
    assert successor.subject == record.id


def test_an_address_that_fails_too_often_waits_but_good_keys_are_heard(app, ring, http):
    (_, known), (_, new) = ring.make("known"), ring.make("new")
    door = ring.door(GIVEN, "a-short-key", max_failures=3, failure_window=60)
    with serving(app, door=door) as server:
        assert call(http, server, bearer(known)).status_code == 200
        assert [call(http, server, {}).status_code for _ in range(5)] == [401] * 5
        assert [call(http, server, bearer("wrong")).status_code for _ in range(5)] == [403, 403, 403, 429, 429]
        ring.clock.advance(20)
        answer = call(http, server, bearer("wrong"))
        assert refused(answer) == (429, "too_many_failures")
        assert (answer.headers["retry-after"], answer.json()["error"]["data"]["retryAfter"]) == ("40", 40)
        assert call(http, server, bearer(known)).status_code == 200
        assert call(http, server, bearer(GIVEN)).status_code == 200
        for guessable in (new, "a-short-key"):
            assert call(http, server, bearer(guessable)).status_code == 429
        ring.clock.advance(40)
        for key in (new, "a-short-key"):
            assert call(http, server, bearer(key)).status_code == 200


@pytest.mark.parametrize(("trusted", "apart"), [(("127.0.0.1",), True), ((), False)])
def test_addresses_behind_a_trusted_proxy_are_told_apart_and_others_cannot_pretend(app, ring, http, trusted, apart):
    ring.make()
    with serving(app, door=ring.door(max_failures=1), trusted_proxies=trusted) as server:
        one = {**bearer("wrong"), "x-forwarded-for": "203.0.113.1"}
        forged = {**bearer("wrong"), "x-forwarded-for": "198.51.100.9, 203.0.113.1"}
        other = {**bearer("wrong"), "x-forwarded-for": "203.0.113.2"}
        assert call(http, server, one).status_code == 403
        assert call(http, server, forged).status_code == 429
        assert call(http, server, other).status_code == (403 if apart else 429)


def broken(path, how):
    if how == "missing":
        path.unlink()
    elif how == "no secret":
        path.with_name("keys.db.secret").unlink()
    elif how == "other secret":
        path.with_name("keys.db.secret").write_text("ab" * 32)
    else:
        path.write_bytes(b"rubbish" * 1000)


@pytest.mark.parametrize("how", ["missing", "corrupt", "no secret", "other secret"])
def test_a_database_that_cannot_be_read_lets_nobody_in_and_the_log_says_why_once(app, ring, http, how, caplog):
    _, key = ring.make()
    with serving(app, door=ring.door(GIVEN)) as server:
        assert call(http, server, bearer(key)).status_code == 200
        broken(ring.path, how)
        ring.clock.advance(5)
        for _ in range(3):
            answer = call(http, server, bearer(key))
            assert refused(answer) == (503, "credentials_unavailable")
            assert answer.headers["retry-after"] == "2"
            assert "keys.db" not in answer.text
        assert call(http, server, bearer(GIVEN)).status_code == 200
    told = [each for each in caplog.records if "cannot be checked" in each.getMessage()]
    assert len(told) == 1
    assert "keys.db" in told[0].getMessage()
    assert key not in caplog.text


def test_a_locked_database_lets_nobody_in_until_it_is_free(app, ring, http, monkeypatch):
    monkeypatch.setattr("bascule.stores.sqlite_keys._WAIT", 0.05)
    _, key = ring.make()
    with serving(app, door=ring.door()) as server:
        with closing(sqlite3.connect(ring.path, isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")
            assert refused(call(http, server, bearer(key))) == (503, "credentials_unavailable")
        assert call(http, server, bearer(key)).status_code == 200


def test_the_last_use_is_written_down_when_the_server_stops_at_the_latest(app, ring, http):
    record, key = ring.make()
    unused, _ = ring.make("unused")
    with serving(app, door=ring.door()) as server:
        assert call(http, server, bearer(key)).status_code == 200
        ring.clock.advance(7)
        assert call(http, server, bearer(key)).status_code == 200
    assert ring.last_used(record) == START + 7
    assert ring.last_used(unused) is None


def test_a_last_use_that_cannot_be_written_refuses_nobody(app, ring, http, caplog):
    class ReadOnly:
        def __init__(self, store):
            self.find = store.find

        async def used(self, moments):
            raise OSError("the file is read-only")

    _, key = ring.make()
    with serving(app, door=ring.door(store=ReadOnly(ring.store))) as server:
        assert call(http, server, bearer(key)).status_code == 200
    assert caplog.text.count("the file is read-only") == 1


def test_a_store_that_fails_as_nobody_foresaw_lets_nobody_in(app, ring, http):
    class Broken:
        async def find(self, key_id, key):
            raise RuntimeError(f"no luck with {key}")

    _, key = ring.make()
    with serving(app, door=ring.door(store=Broken())) as server:
        answer = call(http, server, bearer(key))
        assert answer.status_code == 500
        assert key not in answer.text


def test_uses_are_written_in_batches_while_the_server_runs(ring, monkeypatch):
    monkeypatch.setattr("bascule.auth.keys.RECHECK", 0.01)
    pairs = [ring.make(f"n{number}") for number in range(3)]

    class Writing:
        def __init__(self):
            self.find = ring.store.find

        async def used(self, moments):
            self.written.put_nowait(dict(moments))

    door = ring.door(store=Writing())

    async def once():
        door._store.written = asyncio.Queue()
        for _, key in pairs:
            await door.authenticate(bearer(key), "")
        batch = {}
        while set(batch) != {record.id for record, _ in pairs}:
            batch |= await asyncio.wait_for(door._store.written.get(), 10)

    async def cut_off():
        door._store.written = asyncio.Queue()
        await door.authenticate(bearer(pairs[0][1]), "")

    asyncio.run(once())
    ring.clock.advance(1)
    asyncio.run(cut_off())
    monkeypatch.setattr("bascule.auth.keys.RECHECK", -1.0)  # the timer of the loop that was cut off is overdue
    ring.clock.advance(1)
    asyncio.run(once())


def test_a_store_that_hangs_does_not_keep_a_server_from_stopping(ring, monkeypatch):
    _, key = ring.make()

    class Hanging:
        find = ring.store.find
        asked = 0

        async def used(self, moments):
            self.asked += 1
            await asyncio.Event().wait()

    async def main():
        store = Hanging()
        door = ring.door(store=store)
        await door.authenticate(bearer(key), "")
        monkeypatch.setattr("bascule.auth.keys.PATIENCE", 0.05)
        await door.close()
        assert store.asked == 1

    asyncio.run(main())


class Slow:
    """A store that answers when told to; it counts what it is asked."""

    def __init__(self):
        self.asked = 0
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.record = None

    async def find(self, key_id, key):
        self.asked += 1
        self.reached.set()
        await self.go.wait()
        return self.record

    async def used(self, moments):
        self.moments = dict(moments)


def test_many_calls_with_one_key_look_it_up_once_and_one_that_leaves_takes_nothing_with_it(ring):
    record, key = ring.make()

    async def main():
        store = Slow()
        store.record = record
        door = ring.door(store=store)
        calls = [asyncio.ensure_future(door.authenticate(bearer(key), "1.1.1.1")) for _ in range(50)]
        await store.reached.wait()
        calls[0].cancel()
        store.go.set()
        principals = await asyncio.gather(*calls[1:])
        assert {id(principal) for principal in principals} == {id(principals[0])}
        assert store.asked == 1
        ring.clock.advance(5)
        assert await door.authenticate(bearer(key), "1.1.1.1") is principals[0]
        assert store.asked == 2
        await door.close()
        assert store.moments == {record.id: START + 5}

    asyncio.run(main())


def test_a_store_that_does_not_answer_lets_nobody_in_and_keeps_no_more_than_so_many_waiting(ring, monkeypatch):
    monkeypatch.setattr("bascule.auth.keys.PATIENCE", 0.05)
    monkeypatch.setattr("bascule.auth.keys.MAX_CHECKS", 3)
    keys = [ring.make(f"n{number}")[1] for number in range(5)]

    async def main():
        store = Slow()
        door = ring.door(store=store, max_failures=1)
        for key in keys:
            with pytest.raises(CredentialsUnavailable):
                await door.authenticate(bearer(key), "1.1.1.1")
        assert store.asked == 3
        store.go.set()

    asyncio.run(main())


def test_a_key_is_looked_up_although_other_threads_are_all_busy(ring):
    record, key = ring.make()
    free = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, free.wait, 20)
        assert (await ring.door().authenticate(bearer(key), "")).subject == record.id
        free.set()
        await busy

    asyncio.run(main())


def test_remembered_keys_are_bounded(ring, monkeypatch):
    monkeypatch.setattr("bascule.auth.keys.MAX_KNOWN", 2)
    pairs = [ring.make(f"n{number}") for number in range(4)]
    door = ring.door(GIVEN)

    async def main():
        for _, key in pairs:
            await door.authenticate(bearer(key), "")
        assert (await door.authenticate(bearer(GIVEN), "")).subject.startswith("env-")
        assert len(door._known) == 3
        await door.close()

    asyncio.run(main())


def test_a_clock_that_is_set_back_makes_no_key_last_longer(ring):
    record, key = ring.make()
    now = [START]
    door = ApiKeys({}, ring.store, AuthSettings(), lambda: now[0])

    async def main():
        await door.authenticate(bearer(key), "")
        now[0] -= 3600
        await ring.store.revoke([record.id], now[0])
        with pytest.raises(Forbidden, match="revoked"):
            await door.authenticate(bearer(key), "")
        await door.close()

    asyncio.run(main())


def test_no_secret_stands_in_what_is_shown_of_the_door(ring):
    _, key = ring.make()
    door = ring.door(GIVEN)
    asyncio.run(door.authenticate(bearer(key), ""))
    shown = f"{door!r} {door.__dict__!r} {AuthSettings(api_keys=(GIVEN,))!r}"
    assert GIVEN not in shown
    assert key not in shown


@pytest.mark.parametrize("era", ["modern", "legacy", None])
def test_the_client_sends_the_key_it_is_given_and_tells_a_refusal_in_one_sentence(app, ring, era):
    _, key = ring.make()

    async def called(**options):
        async with Client(server.url, era=era, **options) as client:
            return (await client.call_tool("add", {"a": 1, "b": 2})).structured_content

    with serving(app, door=ring.door()) as server:
        assert asyncio.run(called(headers={"Authorization": f"Bearer {key}"})) == {"result": 3}
        assert asyncio.run(called(headers={"X-API-Key": key})) == {"result": 3}
        for headers_, words in [(None, "asks for an API key"), (bearer(key[:-1]), "mistyped or cut short")]:
            with pytest.raises(MCPError, match=words) as caught:
                asyncio.run(called(headers=headers_))
            assert "\n" not in str(caught.value)
            assert key[:-1] not in str(caught.value)
