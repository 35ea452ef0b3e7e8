"""A head waits for its body, and only a head: nothing is held for long, nothing is lost at the end."""

from bascule.transports.corked import CorkedTransport


class Recorded:
    """A transport that keeps what is written to it."""

    def __init__(self):
        self.writes = []
        self.closed = False

    def write(self, data):
        self.writes.append(data)

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def get_extra_info(self, name):
        return name


def corked():
    inner = Recorded()
    return inner, CorkedTransport(inner)


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_head_leaves_with_the_first_of_its_body_and_the_rest_at_once():
    inner, transport = corked()
    transport.write(HEAD)
    assert inner.writes == []
    transport.write(b"body")
    transport.write(b"more")
    assert inner.writes == [HEAD + b"body", b"more"]


def test_a_head_without_a_body_leaves_when_its_answer_is_complete():
    inner, transport = corked()
    transport.write(HEAD)
    transport.flush()
    transport.flush()
    assert inner.writes == [HEAD]


def test_an_interim_answer_is_not_held_for_a_client_waits_for_it():
    inner, transport = corked()
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert len(inner.writes) == 1


def test_closing_writes_what_is_left_and_nothing_is_written_afterwards():
    inner, transport = corked()
    transport.write(HEAD)
    transport.close()
    assert inner.writes == [HEAD]
    transport.write(HEAD)
    transport.flush()
    assert inner.writes == [HEAD]
    assert transport.is_closing()


def test_everything_else_is_the_transports_own():
    _, transport = corked()
    assert transport.get_extra_info("peername") == "peername"
