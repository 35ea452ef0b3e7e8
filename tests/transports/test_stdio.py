"""stdio through real processes: nothing that prints corrupts the stream, no child steals it, every end is clean."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.messages import META, initialize, legacy, request

HEAD = """
import asyncio, ctypes, os, subprocess, sys, threading
from bascule import Context, Server
app = Server("t", version="1")
"""


@contextmanager
def process(script, tmp_path, **options):
    """A server made from a script, spoken to line by line; killed at the end if it still runs."""
    file = tmp_path / "server.py"
    file.write_text(HEAD + script)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    options = {
        "env": environment,
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        **options,
    }
    with subprocess.Popen([sys.executable, str(file)], **options) as child:
        try:
            yield child
        finally:
            child.kill()


def ask(child, message):
    child.stdin.write(json.dumps(message).encode() + b"\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


def call(name, arguments=None, id=1):
    return request("tools/call", {"name": name, "arguments": arguments or {}}, id=id)


def leave(child):
    """Close the input; the rest of the output, the errors and the exit code."""
    out, err = child.communicate(timeout=10)
    return out, err.decode(), child.returncode


ECHO = """
@app.tool
async def echo(text: str) -> str:
    return text
"""


def test_both_eras_are_answered_and_closing_the_input_ends_the_process(tmp_path):
    with process(ECHO + "app.run()", tmp_path) as child:
        assert ask(child, call("echo", {"text": "a\nb"}))["result"]["content"][0]["text"] == "a\nb"
        assert ask(child, initialize())["result"]["protocolVersion"] == "2025-11-25"
        old = legacy("tools/call", {"name": "echo", "arguments": {"text": "x"}})
        assert "resultType" not in ask(child, old)["result"]
        assert leave(child) == (b"", "", 0)


def test_whatever_prints_goes_to_standard_error(tmp_path):
    script = """
libc = ctypes.CDLL(None)
print("python before, buffered")
libc.puts(b"C before, buffered")

@app.tool
async def noisy() -> str:
    print("python during", flush=True)
    sys.stdout.write("written during\\n")
    sys.__stdout__.flush()
    os.write(1, b"descriptor during\\n")
    libc.puts(b"C during")
    libc.fflush(None)
    subprocess.run(["echo", "child during"])
    return "quiet"

app.run()
print("python after")
libc.puts(b"C after")
"""
    with process(script, tmp_path) as child:
        assert ask(child, call("noisy"))["result"]["content"][0]["text"] == "quiet"
        out, err, code = leave(child)
    assert (out, code) == (b"", 0)
    for word in ("python before", "C before", "python during", "written during", "descriptor during", "C during"):
        assert word in err
    for word in ("child during", "python after", "C after"):
        assert word in err


def test_a_child_process_cannot_steal_a_message(tmp_path):
    script = """
@app.tool
def thief() -> str:
    return repr(subprocess.run(["cat"], capture_output=True, timeout=5).stdout) + repr(sys.stdin.read())
app.run()
"""
    with process(script, tmp_path) as child:
        messages = [json.dumps(call("thief", id=n)).encode() + b"\n" for n in (1, 2)]
        child.stdin.write(b"".join(messages))
        child.stdin.flush()
        answers = [json.loads(child.stdout.readline()) for _ in messages]
        assert {answer["id"] for answer in answers} == {1, 2}
        assert all(answer["result"]["content"][0]["text"] == "b''''" for answer in answers)


def test_child_processes_do_not_keep_the_stream_open(tmp_path):
    script = """
@app.tool
def spawn() -> int:
    return subprocess.Popen(["sleep", "60"], close_fds=False, stderr=subprocess.DEVNULL).pid
app.run()
"""
    with process(script, tmp_path) as child:
        pid = ask(child, call("spawn"))["result"]["structuredContent"]["result"]
        try:
            child.stdin.close()
            assert child.stdout.read() == b""
            assert child.wait(10) == 0
        finally:
            os.kill(pid, signal.SIGKILL)


HANGING = """
@app.tool
def hang() -> str:
    sys.stderr.write("hanging\\n"); sys.stderr.flush()
    threading.Event().wait()
@app.tool(polls=True)
async def wait() -> str:
    try:
        sys.stderr.write("hanging\\n"); sys.stderr.flush()
        await asyncio.Event().wait()
    finally:
        sys.stderr.write("cleaned\\n")
app.run()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("tool", ["hang", "wait"])
def test_a_signal_ends_it_cleanly_also_while_a_handler_hangs(tmp_path, number, tool):
    with process(HANGING, tmp_path) as child:
        child.stdin.write(json.dumps(call(tool)).encode() + b"\n")
        child.stdin.flush()
        assert child.stderr.readline() == b"hanging\n"
        child.send_signal(number)
        assert child.wait(5) == 0
        assert child.stderr.read() == (b"cleaned\n" if tool == "wait" else b"")


def test_closing_the_input_ends_it_also_while_a_thread_hangs(tmp_path):
    with process(HANGING, tmp_path) as child:
        child.stdin.write(json.dumps(call("hang")).encode() + b"\n")
        child.stdin.flush()
        assert child.stderr.readline() == b"hanging\n"
        child.stdin.close()
        assert child.wait(5) == 0


def test_requests_that_came_before_the_end_of_input_are_answered(tmp_path):
    with process(ECHO + "app.run()", tmp_path) as child:
        lines = [json.dumps(call("echo", {"text": str(n)}, id=n)).encode() for n in range(500)]
        out, _ = child.communicate(b"\n".join(lines) + b"\n", timeout=20)
        assert sorted(json.loads(line)["id"] for line in out.splitlines()) == list(range(500))


@pytest.mark.parametrize("source", ["file", "null"])
def test_input_and_output_may_be_files(tmp_path, source):
    given = tmp_path / "in"
    given.write_bytes(json.dumps(call("echo", {"text": "from a file"})).encode() + b"\n")
    out = tmp_path / "out"
    with given.open("rb") if source == "file" else open(os.devnull, "rb") as stdin, out.open("wb") as stdout:  # noqa: PTH123
        with process(ECHO + "app.run()", tmp_path, stdin=stdin, stdout=stdout) as child:
            assert child.wait(10) == 0
    assert (b"from a file" in out.read_bytes()) == (source == "file")


def test_an_over_long_line_is_refused_and_the_next_one_served(tmp_path):
    script = ECHO + "os.environ['BASCULE_STDIO__MAX_LINE_BYTES'] = '1000'\napp.run()"
    with process(script, tmp_path) as child:
        refused = ask(child, call("echo", {"text": "x" * 5000}))
        assert refused["error"]["code"] == -32700
        assert "1000 bytes" in refused["error"]["message"]
        assert ask(child, call("echo", {"text": "short"}))["result"]


def test_bad_bytes_are_answered_and_never_end_the_process(tmp_path):
    bad = [b"\xff\xfe", b"{", b"[]", b"7", b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', b"[" * 5000, b"\x00"]
    with process(ECHO + "app.run()", tmp_path) as child:
        for line in bad:
            child.stdin.write(line + b"\n")
            child.stdin.flush()
            assert json.loads(child.stdout.readline())["error"]["code"] in (-32700, -32600)
        assert ask(child, call("echo", {"text": "still here"}))["result"]
        _, err, code = leave(child)
        assert (err, code) == ("", 0)


def test_a_client_that_closes_its_reading_end_ends_the_server(tmp_path):
    with process(ECHO + "app.run()", tmp_path) as child:
        ask(child, call("echo", {"text": "x"}))
        child.stdout.close()
        child.stdin.write(json.dumps(call("echo", {"text": "y"})).encode() + b"\n")
        child.stdin.flush()
        assert child.wait(10) == 0


def test_a_client_that_does_not_read_stops_the_reading_not_the_memory(tmp_path):
    script = """
import resource
@app.tool
async def big() -> str:
    return "x" * 100_000
@app.tool
async def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
app.run()
"""
    count = 2000  # 200 MB of answers, were they all held
    with process(script, tmp_path) as child:
        before = ask(child, call("peak"))["result"]["structuredContent"]["result"]
        os.set_blocking(child.stdin.fileno(), False)
        pending = b"".join(json.dumps(call("big", id=n)).encode() + b"\n" for n in range(count))
        answered = 0
        while pending or answered < count:
            if pending:
                try:
                    pending = pending[os.write(child.stdin.fileno(), pending) :]
                    continue
                except BlockingIOError:
                    pass  # the server has stopped reading: read some of what it wrote
            child.stdout.readline()
            answered += 1
        os.set_blocking(child.stdin.fileno(), True)
        after = ask(child, call("peak", id="after"))["result"]["structuredContent"]["result"]
    assert after - before < 150_000, "kilobytes held while the client did not read"


def test_a_cancelled_call_is_not_answered(tmp_path):
    with process(HANGING.replace("app.run()", ECHO + "app.run()"), tmp_path) as child:
        child.stdin.write(json.dumps(call("wait", id="w")).encode() + b"\n")
        child.stdin.flush()
        assert child.stderr.readline() == b"hanging\n"
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w", "_meta": META}}
        child.stdin.write(json.dumps(cancel).encode() + b"\n")
        assert ask(child, call("echo", {"text": "next"}, id="n"))["id"] == "n"
        assert child.stderr.readline() == b"cleaned\n"


def test_a_thread_of_the_authors_own_that_hangs_does_not_keep_it_alive(tmp_path):
    script = """
@app.tool
async def hang() -> str:
    sys.stderr.write("hanging\\n"); sys.stderr.flush()
    await asyncio.to_thread(threading.Event().wait)
app.run()
"""
    with process(script, tmp_path) as child:
        child.stdin.write(json.dumps(call("hang")).encode() + b"\n")
        child.stdin.flush()
        assert child.stderr.readline() == b"hanging\n"
        child.stdin.close()
        assert child.wait(5) == 0


def test_asyncio_threads_work_and_fail_as_always(tmp_path):
    script = """
@app.tool
async def work(n: int) -> list:
    done = await asyncio.gather(*(asyncio.to_thread(lambda: n * 2) for _ in range(100)))
    try:
        await asyncio.to_thread(int, "x")
    except ValueError:
        done.append("failed")
    return done
app.run()
"""
    with process(script, tmp_path) as child:
        text = ask(child, call("work", {"n": 2}))["result"]["content"][0]["text"]
        assert json.loads(text) == [4] * 100 + ["failed"]


SLOW_START = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(server):
    sys.stderr.write("starting\\n"); sys.stderr.flush()
    await asyncio.sleep(START)
    yield
    sys.stderr.write("ending\\n"); sys.stderr.flush()
    await asyncio.sleep(END)

app = Server("t", lifespan=lifespan)

@app.tool
async def echo(text: str) -> str:
    return text

app.run()
"""


@pytest.mark.parametrize("how", ["close", signal.SIGTERM, signal.SIGINT])
def test_a_start_that_hangs_does_not_keep_it_alive(tmp_path, how):
    with process(SLOW_START.replace("START", "1000").replace("END", "0"), tmp_path) as child:
        assert child.stderr.readline() == b"starting\n"
        if how == "close":
            child.stdin.close()
        else:
            child.send_signal(how)
        assert child.wait(5) == 0


def test_requests_wait_for_a_start_that_takes_a_while_also_at_the_end_of_the_input(tmp_path):
    with process(SLOW_START.replace("START", "0.3").replace("END", "0"), tmp_path) as child:
        out, _ = child.communicate(json.dumps(call("echo", {"text": "x"})).encode() + b"\n", timeout=10)
        assert json.loads(out)["result"]["content"][0]["text"] == "x"


def test_an_end_that_hangs_is_cut_off(tmp_path):
    script = (
        SLOW_START.replace("START", "0").replace("END", "1000").replace("app.run()", "stdio.CLOSING = 0.2\napp.run()")
    )
    with process("from bascule.transports import stdio\n" + script, tmp_path) as child:
        assert ask(child, call("echo", {"text": "x"}))["result"]
        child.stdin.close()
        assert child.stderr.readline() == b"starting\n"
        assert child.wait(5) == 0


def test_calls_that_hang_hide_neither_a_cancellation_nor_the_end_of_the_input(tmp_path):
    with process(HANGING.replace("app.run()", ECHO + "app.run()"), tmp_path) as child:
        lines = [call("wait", id=number) for number in range(150)]
        lines += [
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": n}} for n in range(120)
        ]
        child.stdin.write(b"".join(json.dumps(one).encode() + b"\n" for one in lines))
        assert ask(child, call("echo", {"text": "heard"}, id="e"))["id"] == "e"
        child.stdin.close()
        assert child.wait(5) == 0


def test_answers_that_nobody_reads_do_not_hide_the_end_of_the_input(tmp_path):
    script = """
@app.tool
async def big() -> str:
    return "x" * 1_000_000
app.run()
"""
    with process(script, tmp_path) as child:
        child.stdin.write(b"".join(json.dumps(call("big", id=n)).encode() + b"\n" for n in range(20)))
        child.stdin.close()
        assert child.wait(8) == 0


def test_a_parent_that_gave_no_input_gets_a_clean_end(tmp_path):
    file = tmp_path / "server.py"
    file.write_text(HEAD + ECHO + "app.run()")
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} {file} <&-"], capture_output=True, timeout=10, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_client_that_listens_is_told_and_its_leaving_ends_the_server_at_once(tmp_path):
    script = """
@app.resource("note://a")
async def note() -> str:
    return "a"

@app.tool
async def change() -> int:
    app.notify_resource_updated("note://a")
    return 1

app.run()
"""
    with process(script, tmp_path) as child:
        wanted = {"notifications": {"resourceSubscriptions": ["note://a"]}}
        acknowledged = ask(child, request("subscriptions/listen", wanted, id="s"))
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        first, second = ask(child, call("change")), json.loads(child.stdout.readline())
        told = first if "method" in first else second
        assert told["params"]["uri"] == "note://a"
        assert told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "s"
        started = time.monotonic()
        out, _, code = leave(child)
        assert time.monotonic() - started < 3
        last, taken_back = map(json.loads, out.splitlines())
        assert last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "s"
        assert (taken_back["method"], taken_back["params"]["requestId"]) == ("notifications/cancelled", "s")
        assert code == 0
