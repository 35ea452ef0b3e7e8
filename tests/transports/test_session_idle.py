"""Sessions that end because nobody used them; and those that something still uses."""

import pytest

from bascule.engine.exchange import ANONYMOUS, Peer
from bascule.engine.settings import HttpSettings
from bascule.eras.sealing import Sealer
from bascule.transports import session_ids
from bascule.transports.session_ids import SessionEnded, SessionIds
from bascule.wire.requests import ClientCapabilities

PEER = Peer("2025-11-25", None, ClientCapabilities())


class Ids(SessionIds):
    """Session ids under a clock that the test moves."""

    def __init__(self, **settings):
        self.now = 1_700_000_000.0
        self.working = set()
        busy = self.working.__contains__
        super().__init__(HttpSettings(**settings), Sealer(()), clock=lambda: self.now, busy=busy)

    def new(self):
        session = self.mint(PEER, ANONYMOUS)
        self.use(session)
        return session

    def use(self, session):
        return self.open(session, ANONYMOUS)


def test_an_idle_session_ends_for_good_and_a_used_one_goes_on():
    ids = Ids(session_idle_timeout=100)
    idle, used = ids.new(), ids.new()
    for _ in range(3):
        ids.now += 60
        ids.use(used)
    for _ in range(2):
        with pytest.raises(SessionEnded):
            ids.use(idle)
    assert ids.use(used)


def test_without_the_setting_only_age_ends_a_session_and_nothing_is_kept():
    ids = Ids(session_ttl=1000)
    session = ids.new()
    ids.now += 999
    assert ids.use(session)
    assert not ids._used
    ids.now += 2
    with pytest.raises(SessionEnded):
        ids.use(session)


def test_what_is_under_way_keeps_a_session():
    ids = Ids(session_idle_timeout=100)
    session = ids.new()
    conversation = ids.use(session)
    ids.working.add(conversation.key)
    ids.now += 500
    assert ids.use(session)
    ids.now += 500
    ids.working.clear()
    ids.touch(conversation)
    ids.now += 99
    assert ids.use(session), "idle is counted from the end of what was under way"


def test_when_too_many_are_tracked_the_oldest_end(monkeypatch):
    monkeypatch.setattr(session_ids, "_MARKS", 10)
    ids = Ids(session_idle_timeout=100)
    sessions = []
    for _ in range(12):
        sessions.append(ids.new())
        ids.now += 1
    assert len(ids._used) == 10
    for session in sessions[:2]:
        with pytest.raises(SessionEnded):
            ids.use(session)
    assert ids.use(sessions[2])


def test_a_deleted_session_is_tracked_no_more():
    ids = Ids(session_idle_timeout=100)
    ids.end(ids.new())
    assert not ids._used
