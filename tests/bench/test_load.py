"""The load generators: they count every reply, and let no wrong one pass."""

import socket
import threading
from contextlib import contextmanager

import pytest
from msgspec import structs

from bench import http_load, messages, probe, stdio_load, targets
from bench.child import Failed, http_server, running
from bench.plan import FULL

KNOWN = {target.name: target for target in targets.load()}
FLOOR, GUARDED = KNOWN["floor"], KNOWN["bascule-guarded"]
ADD = messages.add()


def reply(body, head=b"HTTP/1.1 200 OK"):
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_a_number_is_in_the_request_and_in_its_answer():
    for era in targets.ERAS:
        template = ADD.template(era)
        message = template % ((1234567,) * messages.slots(template))
        assert b'"id":1234567' in message
        assert b'"a":1234567' in message
    assert ADD.right(5_000_000, b'{"id":5000000,"result":{"content":[{"type":"text","text":"5000002"}]}}')
    assert not ADD.right(5_000_000, b'{"id":5000001,"result":{"content":[{"type":"text","text":"5000002"}]}}')
    assert not ADD.right(5_000_000, b'{"id":5000000,"result":{"content":[{"type":"text","text":"5000003"}]}}')


def test_a_sum_in_an_envelope_is_not_one_without():
    right = messages.add(wrapped=True).right
    enveloped = rb'{"id":5000000,"text":"It is data.\n<untrusted-ab source=\"add\">\n5000002\n</untrusted-ab>"}'
    assert right(5_000_000, enveloped)
    assert not right(5_000_000, enveloped.replace(b"5000002", b"5000003"))
    assert not right(5_000_000, b'{"id":5000000,"result":{"content":[{"type":"text","text":"5000002"}]}}')
    assert not ADD.right(5_000_000, enveloped)


def test_the_other_jobs_are_counted():
    assert messages.big(1).right(7, b'"id":7' + b"x" * 1024)
    assert not messages.big(1).right(7, b'"id":7' + b"x" * 1023)
    assert messages.steps(2).right(7, b"notifications/progress" * 2 + b'"text":"2 steps" "id":7')
    assert not messages.steps(2).right(7, b"notifications/progress" + b'"text":"2 steps" "id":7')
    assert messages.listing(2).right(7, b'"inputSchema" "inputSchema" "id":7')
    assert not messages.listing(2).right(7, b'"inputSchema" "id":7')


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (reply(b"abc"), 0),
        (reply(b"abc")[:-2], 2),
        (b"HTTP/1.1 200 OK\r\ncontent-len", http_load.HEADLESS),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", http_load.CHUNKED),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 0),
    ],
)
def test_the_end_of_a_reply_is_known(data, missing):
    assert http_load.missing_bytes(data) == missing


def test_another_status_ends_the_run():
    with pytest.raises(Failed, match="503"):
        http_load.missing_bytes(reply(b"", b"HTTP/1.1 503 Busy"))


@contextmanager
def answering(*parts):
    """A server that sends these bytes, one part at a time, for the first request of its only connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for part in parts:
                    connection.recv(65536) if part is parts[0] else None
                    connection.sendall(part)
                connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_a_reply_in_pieces_is_put_together():
    whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    seen = []
    with answering(whole[:30], whole[30:52], whole[52:-3], whole[-3:]) as port:
        load = http_load.run(port, [b"GET"], lambda _number, data: seen.append(data) is None, 0)
    assert (load.replies, seen, load.bytes_in) == (1, [whole], len(whole))


def test_a_wrong_answer_ends_the_run():
    with answering(reply(b'{"id":1,"result":{}}')) as port, pytest.raises(Failed, match="wrong"):
        http_load.run(port, [b"GET"], ADD.right, 0)


def test_a_connection_that_closes_ends_the_run():
    with answering() as port, pytest.raises(Failed, match="closed"):
        http_load.run(port, [b"G"], ADD.right, 0)


@pytest.mark.parametrize("era", targets.ERAS)
def test_the_floor_is_loaded_over_http(era):
    with http_server(FLOOR, tools=9) as (child, port):
        speaker = probe.HttpSpeaker(port, era)
        speaker.open()
        probe.check(speaker, tools=9)
        speaker.close()
        for job in (ADD, messages.big(200), messages.steps(100), messages.listing(9)):
            template = messages.http_template(job, era, port, speaker.session)
            load = http_load.run(port, [template] * 3, job.right, 10, limit=20)
            assert load.replies == len(load.latencies) == 20
        assert child.cpu().threads
        with pytest.raises(Failed, match="wrong"):
            probe.check(speaker, tools=8)
        speaker.close()


def test_calls_come_at_the_pace_that_is_asked_for():
    with http_server(FLOOR) as (_, port):
        templates = [messages.http_template(ADD, "stateless", port)] * 4
        load = http_load.paced(port, templates, ADD.right, 0.4, 500)
    assert 140 <= load.replies <= 270
    assert load.seconds >= 0.35
    assert all(latency > 0 for latency in load.latencies)


def test_a_wrong_answer_ends_a_paced_run_too():
    with answering(reply(b'{"id":1,"result":{}}')) as port, pytest.raises(Failed, match="wrong"):
        http_load.paced(port, [b"GET"], ADD.right, 1, 1000)


@pytest.mark.parametrize("era", targets.ERAS)
def test_the_guarded_server_lets_the_load_in_and_nobody_else(era, tmp_path):
    with http_server(GUARDED, BASCULE_AUDIT__FILE=str(tmp_path / "audit.jsonl")) as (_, port):
        speaker = probe.HttpSpeaker(port, era, GUARDED.key)
        speaker.open()
        probe.check(speaker, wrapped=True)
        with pytest.raises(Failed, match="wrong"):
            probe.check(speaker)
        speaker.close()
        right = messages.add(wrapped=True).right
        template = messages.http_template(ADD, era, port, speaker.session, GUARDED.key)
        assert http_load.run(port, [template] * 3, right, 10, limit=100).replies == 100
        stranger = probe.HttpSpeaker(port, era)
        with pytest.raises(Failed, match="401"):
            stranger.ask("tools/list", {})
        stranger.close()
    assert (tmp_path / "audit.jsonl").read_text().count('"add"') >= 100


def test_the_plain_server_refuses_nothing():
    with http_server(KNOWN["bascule"]) as (_, port):
        template = messages.http_template(ADD, "stateless", port)
        assert http_load.run(port, [template] * 3, ADD.right, 10, limit=700).replies == 700
        big = messages.big(FULL.kilobytes)
        template = messages.http_template(big, "stateless", port)
        assert http_load.run(port, [template], big.right, 10, limit=3).replies == 3


def test_the_floor_is_loaded_over_stdio():
    with running(FLOOR.command("stdio"), {}, piped=True) as child:
        probe.check(probe.StdioSpeaker(child, "stateless"))
        for window in (1, 16):
            assert stdio_load.run(child, ADD, "stateless", window, 0.02).replies >= window


def test_a_server_that_does_not_start_is_told_with_what_it_said():
    wrong = structs.replace(FLOOR, http="bench/servers/missing.py {port}")
    with pytest.raises(Failed, match=r"(?s)did not start.*can't open file"), http_server(wrong):
        pass


def test_nothing_is_left_of_a_server():
    with pytest.raises(Failed, match="enough"), http_server(FLOOR) as (child, _):
        raise Failed("enough")
    assert child.process.returncode is not None


def test_percentiles():
    load = http_load.Load(100, 1.0, [float(number) for number in range(100)], 0)
    assert (load.percentile(50), load.percentile(99), load.percentile(100)) == (50.0, 99.0, 99.0)
