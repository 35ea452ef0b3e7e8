"""Two processes that share a file and their sealing keys: a yes is spent in one of them, and an approval too."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bascule.stores.sqlite_approvals import SqliteApprovals
from bascule.transports.spawn import safe_environment
from tests.guards.desk import ABLE, YES, posed, text
from tests.messages import META, line, request

ROUNDS = 15


class Child:
    """A server that speaks over its standard streams."""

    def __init__(self, mode, file, log):
        environment = {
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "BASCULE_HTTP__SEALING_KEYS": "a secret of theirs",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.guards.confirmed", mode, str(file), str(log)],
            env=safe_environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def send(self, message):
        self._process.stdin.write(line(message) + b"\n")
        self._process.stdin.flush()

    def answer(self):
        return json.loads(self._process.stdout.readline())

    def end(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@contextmanager
def two(mode, tmp_path) -> Iterator[list[Child]]:
    log = tmp_path / "log"
    log.touch()
    children = [Child(mode, tmp_path / "file", log) for _ in range(2)]
    try:
        yield children
    finally:
        for child in children:
            child.end()


def call(city, meta, **more):
    return request("tools/call", {"name": "drop", "arguments": {"city": city}, **more}, meta=meta)


def at_once(children, message):
    """What both say to the same message, sent to both before either is heard."""
    for child in children:
        child.send(message)
    return [child.answer() for child in children]


def runs(tmp_path):
    return (tmp_path / "log").read_text().split()


def test_a_confirmation_is_spent_in_one_of_two_processes(tmp_path):
    with two("server", tmp_path) as children:
        for number in range(ROUNDS):
            city = f"city{number}"
            (key, state), _ = map(posed, at_once(children, call(city, ABLE)))
            given = {"inputResponses": {key: YES}, "requestState": state}
            both = at_once(children, call(city, ABLE, **given))
            (done,) = [text(answer) for answer in both if "result" in answer]
            (refused,) = [answer["error"]["code"] for answer in both if "error" in answer]
            assert (done, refused) == (f"dropped {city}", -32602)
            assert all("error" in answer for answer in at_once(children, call(city, ABLE, **given)))
    assert runs(tmp_path) == [f"city{number}" for number in range(ROUNDS)]


@pytest.mark.parametrize("tries", [1, 3])
async def test_an_approval_is_spent_in_one_of_two_processes(tmp_path, tries):
    store = SqliteApprovals(str(tmp_path / "file"))
    with two("queue", tmp_path) as children:
        for number in range(ROUNDS // tries):
            city = f"city{number}"
            told = [answer["result"]["_meta"]["dev.bascule/error"] for answer in at_once(children, call(city, META))]
            assert told[0]["approvalId"] == told[1]["approvalId"], "both wait for the same"
            await store.decide(told[0]["approvalId"], approve=True, by="ann")
            found = []
            for _ in range(tries):
                found += at_once(children, call(city, META))
            assert [text(answer) for answer in found if not answer["result"].get("isError")] == [f"dropped {city}"]
    await store.close()
    assert runs(tmp_path) == [f"city{number}" for number in range(ROUNDS // tries)]
