"""What clients of an HTTP server do, remember, and must see: the model that the server is held against.

A call is known by its request. Its tool marks in it when it begins and when it has done, so the model knows, at the
very step at which a cancellation or an end of a session takes effect, whether an answer may still come.
"""

STATE_TTL = 600
QUESTION_TTL = 600
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = -32600, -32601, -32602, -32603
DRAINING = (503, 503)
"""Code and status of what comes to a server that stops."""

MISMATCH, INCAPABLE, UNSUPPORTED = -32020, -32021, -32022
ERROR_KEY = "dev.bascule/error"


class Session:
    """A session of the handshake era: one id, good at every server, and what each server process knows of it."""

    def __init__(self, client, id, issued, ttl):
        self.client, self.id, self.issued, self.ttl = client, id, issued, ttl
        self.ended = set()
        self.subscribed = {}
        self.ever = {}
        self.unheard = {}
        self.streams = []

    def alive(self, host, now):
        return host not in self.ended and now - self.ttl <= int(self.issued)

    def wants(self, host, uri, now):
        """Whether it must hear of a change."""
        return uri in self.subscribed.get(host, ()) and self.alive(host, now)


class Client:
    """One program: its era, what it takes and can do, its sessions and its calls."""

    def __init__(self, number, principal, version, accept, able):
        self.number, self.principal, self.version = number, principal, version
        self.modern = version.startswith("2026")
        self.accept, self.able = accept, able
        self.takes_stream = "event-stream" in accept
        self.sessions = []
        self.calls = []
        self.rounds = []
        self.last_id = 0

    def next_id(self):
        self.last_id += 1
        return self.last_id if self.number % 2 else f"r{self.last_id}"


class Round:
    """A question of the stateless era: the sealed state, and what was answered before it."""

    def __init__(self, call, state, key, told, expires):
        self.call, self.state, self.key, self.told, self.expires = call, state, key, told, expires
        self.begun = 0
        self.tries = 0


class Call:
    """One request for the tool `do` or `block`, with all that happens to it.

    `plan` has a letter for each step of the tool: g waits at a gate, r reports progress, l logs, a asks, e lets the
    client go, b leaves a task behind; at its end x raises, and s at its beginning swallows cancellation.
    """

    def __init__(self, client, name, plan, host, session=None, tool="do"):
        self.client, self.name, self.plan, self.host, self.session, self.tool = client, name, plan, host, session, tool
        self.id = client.next_id()
        self.round = None
        self.told = []
        self.begun = self.done = self.entered = False
        self.cancelled = self.killed = self.cut = self.spoiled = self.drained = self.refused = False
        self.asked_at = None
        self.unfit = 0
        self.questions = set()
        self.emitted = []
        self.entries = []
        self.answers = []
        self.answer_id = None
        self.refusals = set()
        self.legal = True
        """Whether it may begin at all; None where that depends on what comes first."""
        self.connection = None
        self.batched = False
        self.resumed = None
        self.owed = False
        """Whether all that came after the last event was still kept when it was last asked for."""
        self.done_at = None

    @property
    def running(self):
        return self.begun and not self.done

    @property
    def settled(self):
        """Whether nothing more has to come."""
        return bool(self.answers) or self.cancelled or self.killed

    @property
    def heard(self):
        return [text for _, text in self.entries if text is not None]

    @property
    def ids(self):
        return [event_id for event_id, _ in self.entries if event_id is not None]

    def result(self):
        return self.name + "".join(self.told)

    def check(self, message, status, streamed, now):
        """Why this answer is wrong; None where it is right."""
        if "error" in message:
            return self._check_error(message["error"], status, streamed)
        result = message["result"]
        if not self.begun:
            return "it never began"
        if not streamed and status != 200:
            return f"a result with status {status}"
        if result.get("resultType") == "input_required":
            return None if self._may_ask() and self.client.modern else "nothing was to be asked"
        if self.client.modern and result.get("resultType") != "complete":
            return "it has no type"
        if result.get("isError"):
            return self._check_failure(result["_meta"][ERROR_KEY]["code"], now)
        if self.plan.endswith("x") or self._may_ask() or self._incapable():
            return "the tool cannot have succeeded"
        wanted = self.result()
        return None if result["structuredContent"] == {"result": wanted} else f"the result should be {wanted}"

    def _may_ask(self):
        return self.plan.count("a") > len(self.told)

    def _incapable(self):
        return "a" in self.plan and not self.client.able

    def _check_error(self, error, status, streamed):
        if self._incapable() and self.begun:
            self.refusals.add((INCAPABLE, 400 if self.client.modern else 200))
        wanted = {code for code, needed in self.refusals if streamed or needed == status}
        return None if error["code"] in wanted else f"the refusal should be one of {sorted(self.refusals)}"

    def _check_failure(self, code, now):
        if code == "internal":
            ends = self.plan.endswith("x") and not self._may_ask()
            return None if ends else "the tool did not fail"
        late = self.asked_at is not None and now - self.asked_at >= QUESTION_TTL
        alone = not self.client.modern and not self.client.takes_stream
        if code == "not_answered" and "a" in self.plan:
            return None if late or alone or self.drained or self.refused or self.unfit >= 3 else "the question was open"
        return "there is no such failure"

    def check_told(self):
        """Why what came before the answer is wrong."""
        heard = self.heard
        if heard != self.emitted[: len(heard)]:
            return f"heard {heard}, but said was {self.emitted}"
        if self.answers and self.client.takes_stream and heard != self.emitted and not self.lossy:
            return f"answered, but of {self.emitted} only {heard} was heard"
        return None

    @property
    def lossy(self):
        return self.spoiled and (self.cut or "e" in self.plan)
