"""The log: takes decisions on the path of a call, and writes them off it, in a thread.

A decision costs its caller an append. The thread gathers for a moment, makes lines in small portions, so that nobody
waits for the interpreter behind it, and writes them together with one head. Lost at a crash of the process: what came
in the last `interval`, and what a disk that is full or slow has kept waiting; at a power failure, with fsync "batch",
no more than that.
"""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import Final

import msgspec

from bascule.engine.ports import Clock, Decision
from bascule.engine.settings import AuditSettings
from bascule.errors import AuditUnavailable
from bascule.stores.audit.key import keys_from
from bascule.stores.audit.ledger import Ledger
from bascule.stores.audit.lines import Lines
from bascule.stores.audit.moment import moment
from bascule.stores.audit.redaction import Redaction, Redactor

log = logging.getLogger("bascule")

PORTION: Final = 32
"""How many lines are made before others may run."""

BREATH: Final = 0.001
"""Seconds that others then have."""

MOST_WAITING: Final = 1024 * 1024
"""How many bytes of lines may wait for the disk; further decisions wait as they are."""

RETRY: Final = 0.25
"""Seconds after which a disk is tried again that has failed."""

CLOSING: Final = 5.0
"""Seconds that the end of a process may take for what is not written yet."""


class FileAudit:
    """An audit log in files. Touches none before it is opened, which is to be done in the process that uses it, after
    any fork; until then it takes no calls. `redactor` sees every text of the arguments that are kept."""

    def __init__(self, settings: AuditSettings, *, redactor: Redactor | None = None, clock: Clock = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._redaction = Redaction(settings.redact, redactor)
        self._lines: Lines | None = None
        self._strict = settings.fail == "closed"
        self._most = settings.queue
        self._most_waiting = min(MOST_WAITING, settings.rotate_bytes)
        self._reset()
        if hasattr(os, "register_at_fork"):
            own = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _forked(own()))

    def _reset(self) -> None:
        self._using = threading.Lock()
        self._counting = threading.Lock()
        self._uses = 0
        self._queue: deque[Decision] = deque()
        self._ledger: Ledger | None = None
        self._thread: threading.Thread | None = None
        self._failing = True
        self._idle = False
        self._stopping = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._dropped = self._refused = 0
        self._missing_since = 0.0

    @property
    def healthy(self) -> bool:
        """Whether what is put now will be kept: it is open, the last write succeeded, and the queue has room."""
        thread = self._thread
        return not self._failing and thread is not None and thread.is_alive() and len(self._queue) < self._most

    @property
    def file(self) -> str:
        """The file that this process writes; empty where the log is not open."""
        return str(self._ledger.place.current) if self._ledger is not None else ""

    def admit(self) -> None:
        """Raise AuditUnavailable where the log must be kept and cannot be."""
        if self._strict and (self._failing or len(self._queue) >= self._most):
            self._miss(refused=1)
            raise AuditUnavailable

    def put(self, decision: Decision) -> None:
        """Keep a decision; where there is no room for it, count it, unless its call was admitted on the promise."""
        if len(self._queue) >= self._most and not self._strict:
            self._miss(dropped=1)
            return
        self._queue.append(decision)
        if self._idle:
            self._wake.set()

    def digest(self, data: bytes) -> str:
        """What stands for long arguments; nothing as long as it is not open."""
        return "" if self._lines is None else self._lines.digest(data)

    def open(self) -> None:
        """Open the files and begin to write. Once for each `close`.

        Raises ConfigError for files that cannot be opened, and for a key that cannot be used or is another one.
        """
        with self._using:
            self._uses += 1
            if self._uses > 1:
                return
            try:
                keys = keys_from(self._settings, make=True)
                ledger = Ledger(self._settings, keys, self._clock)
            except BaseException:
                self._uses = 0
                raise
            self._ledger = ledger
            self._lines = Lines(self._settings.arguments, keys.arguments, self._redaction)
            self._failing = self._stopping = False
            self._once(ledger, self._lines)
            self._hurry.clear()
            self._thread = threading.Thread(target=self._work, name="bascule-audit", daemon=True)
            self._thread.start()
            atexit.register(self._finish)

    def close(self) -> None:
        """Write what is left, with the last use. Waits no longer than a few seconds for a disk."""
        with self._using:
            self._uses -= 1
            if self._uses == 0:
                self._finish()

    def _finish(self) -> None:
        atexit.unregister(self._finish)
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping = True
        self._hurry.set()
        self._wake.set()
        thread.join(CLOSING)
        self._failing = True
        if thread.is_alive():
            log.error("the audit log was not written to its end: the disk did not answer")

    def _abandon(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.abandon()

    def _miss(self, dropped: int = 0, refused: int = 0) -> None:
        with self._counting:
            if not self._dropped and not self._refused:
                self._missing_since = self._clock()
            self._dropped += dropped
            self._refused += refused

    def _work(self) -> None:
        """The thread: gather, write, rest, until the end."""
        ledger, lines = self._ledger, self._lines
        assert ledger is not None
        assert lines is not None
        while True:
            stopping = self._stopping
            written = self._once(ledger, lines)
            if stopping and (not written or not self._queue):
                break
            self._rest(written)
        self._conclude(ledger)

    def _once(self, ledger: Ledger, lines: Lines) -> bool:
        """Make lines of what waits and write them; False where that failed. Raises nothing."""
        try:
            self._gather(ledger, lines)
            ledger.write()
        except Exception as error:  # the thread lives on, whatever happens: without it nothing is ever written again
            if not self._failing:
                log.error("the audit log cannot be written: %s", error, exc_info=not isinstance(error, OSError))
            self._failing = True
            return False
        if self._failing:
            log.warning("the audit log is written again")
            self._failing = False
            self._wake.set()  # what is missing is told now, and not with the next call
        return True

    def _gather(self, ledger: Ledger, lines: Lines) -> None:
        queue, of = self._queue, lines.of
        self._tell_missing(ledger)
        while queue and ledger.waiting < self._most_waiting:
            for _ in range(min(PORTION, len(queue))):
                decision = queue.popleft()
                try:
                    members = of(decision)
                except Exception:  # one that has no line must not keep the others from theirs
                    log.exception("a decision about %s cannot be written", decision.feature)
                    self._miss(dropped=1)
                    continue
                ledger.add("call", members)
            if len(queue) < self._most // 2:
                self._hurry.wait(BREATH)

    def _tell_missing(self, ledger: Ledger) -> None:
        """Add a line that says how many decisions have none, once there is room for it."""
        if self._failing or not (self._dropped or self._refused):
            return
        with self._counting:
            dropped, refused, since = self._dropped, self._refused, self._missing_since
            self._dropped = self._refused = 0
        now = moment(self._clock())
        members = {"time": now, "since": moment(since), "dropped": dropped, "refused": refused}
        ledger.add("gap", msgspec.json.encode(members))

    def _rest(self, written: bool) -> None:
        if not written:
            self._hurry.wait(RETRY)
            return
        self._idle = True
        if not self._queue and not self._stopping:
            self._wake.wait()
        self._idle = False
        self._wake.clear()
        self._hurry.wait(self._settings.interval)

    def _conclude(self, ledger: Ledger) -> None:
        try:
            self._tell_missing(ledger)
            ledger.close()
        except OSError as error:
            lost = len(self._queue)
            log.error("the audit log ends early, and %d decisions were not written: %s", lost, error)
            return
        head = ledger.head
        log.info("the audit log %s ends at line %d with %s", ledger.place.current, head.count, head.mac)


def _forked(own: FileAudit | None) -> None:
    """In a child of the process: its parent has the files and the thread."""
    if own is not None:
        own._abandon()
        own._reset()
