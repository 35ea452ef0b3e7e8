"""A link gives every answer to the request it belongs to, and to no other."""

import pytest
from msgspec import Raw

from bascule.engine.link import Link
from bascule.errors import ConnectionLost, MCPError, MethodNotFound
from bascule.wire.jsonrpc import decode


class Waiting:
    """Somebody who waits."""

    def __init__(self) -> None:
        self.result: bytes | None = None
        self.error: Exception | None = None

    def done(self) -> bool:
        return self.result is not None or self.error is not None

    def set_result(self, result: Raw) -> None:
        assert not self.done()
        self.result = bytes(result)

    def set_exception(self, exception: Exception) -> None:
        assert not self.done()
        self.error = exception


def opened(link: Link) -> tuple[int, Waiting]:
    waiting = Waiting()
    request_id = link.next_id()
    link.open(request_id, waiting)
    return request_id, waiting


def answer(request_id: int, body: str = '"result": {"a": 1}') -> bytes:
    return b'{"jsonrpc": "2.0", "id": %d, %s}' % (request_id, body.encode())


def test_answers_find_their_requests_in_any_order() -> None:
    link = Link()
    (first, one), (second, two) = opened(link), opened(link)
    assert link.settle(decode(answer(second, '"result": {"b": 2}')))
    assert link.settle(decode(answer(first)))
    assert (one.result, two.result, len(link)) == (b'{"a": 1}', b'{"b": 2}', 0)


def test_ids_are_never_used_again() -> None:
    link = Link()
    first, _ = opened(link)
    link.abandon(first)
    assert opened(link)[0] != first


def test_an_error_becomes_the_exception_of_its_code() -> None:
    link = Link()
    request_id, waiting = opened(link)
    assert link.settle(decode(answer(request_id, '"error": {"code": -32601, "message": "no", "data": [1]}')))
    assert isinstance(waiting.error, MethodNotFound)
    assert (waiting.error.message, waiting.error.data) == ("no", [1])


def test_an_unknown_code_is_kept() -> None:
    link = Link()
    request_id, waiting = opened(link)
    link.settle(decode(answer(request_id, '"error": {"code": 42, "message": "no"}')))
    assert type(waiting.error) is MCPError
    assert waiting.error.code == 42


@pytest.mark.parametrize("stray", [99, 1])
def test_an_answer_that_nobody_waits_for_changes_nothing(stray: int) -> None:
    link = Link()
    request_id, _ = opened(link)
    link.settle(decode(answer(request_id)))
    assert not link.settle(decode(answer(stray)))


def test_an_answer_after_giving_up_changes_nothing() -> None:
    link = Link()
    request_id, waiting = opened(link)
    assert link.abandon(request_id)
    assert not link.abandon(request_id)
    assert not link.settle(decode(answer(request_id)))
    assert not waiting.done()


def test_an_error_without_an_id_belongs_to_the_only_one_waiting() -> None:
    link = Link()
    _, waiting = opened(link)
    assert link.settle(decode(b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}}'))
    assert isinstance(waiting.error, MCPError)


def test_an_error_without_an_id_belongs_to_nobody_among_many() -> None:
    link = Link()
    (_, one), (_, two) = opened(link), opened(link)
    assert not link.settle(decode(b'{"jsonrpc": "2.0", "error": {"code": -32600, "message": "no"}}'))
    assert not one.done()
    assert not two.done()


def test_an_error_without_an_id_belongs_to_the_request_that_it_came_in_reply_to() -> None:
    link = Link()
    (_, one), (second, two) = opened(link), opened(link)
    assert link.settle(decode(b'{"jsonrpc": "2.0", "error": {"code": -32600, "message": "no"}}'), second)
    assert two.error is not None
    assert not one.done()


def test_a_lost_link_fails_all_that_wait_and_all_that_come() -> None:
    link = Link()
    (first, one), (_, two) = opened(link), opened(link)
    link.lose("gone")
    link.lose("again")
    assert all(isinstance(waiting.error, ConnectionLost) for waiting in (one, two))
    assert not link.abandon(first)
    with pytest.raises(ConnectionLost, match="gone"):
        link.open(link.next_id(), Waiting())
