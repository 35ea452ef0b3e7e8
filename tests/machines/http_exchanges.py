"""What the clients of the simulation send, each kind with what must come back for it."""

import json

from tests.machines.http_model import DRAINING, INTERNAL, INVALID_REQUEST, STATE_TTL, Round, Session
from tests.machines.network import Connection

MARK = "secret"
"""Stands in every exception of the simulation, and must not reach a client."""


class OfSession(Connection):
    """A request with a session id, which must be good at both ends of the request or else may be refused with 404."""

    session = None

    def __init__(self, world, client, host, method, headers, body=b"", *, session=None, principal=None):
        self.session = session
        self.was_alive = session is None or session.alive(host, world.loop.time())
        super().__init__(world, client, host, method, headers, body, principal)
        self.stranger = session is not None and self.principal != session.client.principal

    def refused(self, code, status):
        """Whether the refusal is right."""
        if (code, status) == DRAINING:
            return self.host.drained
        dead = self.stranger or not (self.was_alive and self.session.alive(self.host, self.world.loop.time()))
        return dead and (code, status) == (INVALID_REQUEST, 404)

    def must_refuse(self):
        alive = self.session.alive(self.host, self.world.loop.time())
        return self.stranger or not (self.was_alive or alive)


class Post(OfSession):
    """Requests for tools: one, or the parts of a batch."""

    resumes = False

    def heard(self, message, event_id):
        if len(self.calls) > 1 and message is not None and "error" in message and message.get("id") is None:
            for call in self.calls.values():
                self.world.hear(self, call, message, event_id)  # the whole batch is refused
            return
        call = self.call_of(message)
        if call is None:
            self.fault(f"says what belongs to no call of it: {message}")
        else:
            self.world.hear(self, call, message, event_id)

    def handed(self, message):
        answers = message is not None and "method" not in message and message.get("id") is not None
        call = self.call_of(message) if answers else None
        if call is not None and call.cancelled:
            self.fault(f"answers {call.name}, which was cancelled in time")

    def call_of(self, message):
        if len(self.calls) == 1:
            return next(iter(self.calls.values()))
        if message is None or "method" not in message:
            return self.calls.get(message and message["id"])
        question, text = message["params"].get("requestId"), json.dumps(message)
        for call in self.calls.values():
            if question in call.questions or f'"{call.name}' in text:
                return call
        return call if question is not None else None  # of a question that was taken back before it was sent

    def finished(self):
        for call in self.calls.values():
            let_go = "e" in call.plan and call.ids
            if not (call.answers or call.cancelled or call.killed or let_go):
                self.fault(f"ends without an answer to {call.name}")


class Resume(OfSession):
    """A GET with Last-Event-ID for the rest of a call's answer; or, where that is not kept, a stream like others."""

    resumes = True

    def __init__(self, *arguments, call, **options):
        self.call = call
        self.delivered = False
        """Whether it has brought something of the call."""
        super().__init__(*arguments, **options)

    def heard(self, message, event_id):
        if message is not None and "error" in message and "result" not in message and self.status != 200:
            code = message["error"]["code"]
            broken = self.world.breakable and (code, self.status) == (INTERNAL, 500)
            if not broken and not self.refused(code, self.status):
                self.fault(f"is refused with {self.status} and {message}")
        elif event_id is None and message is not None:
            self.world.hear_update(self, self.session, message)
        elif self.call is None:
            self.fault(f"delivers {message} of a stream that is not its session's")
        else:
            self.delivered = True
            self.world.hear(self, self.call, message, event_id)


class Listening(OfSession):
    """A GET stream."""

    def heard(self, message, event_id):
        if "error" in message:
            if not self.refused(message["error"]["code"], self.status):
                self.fault(f"is refused with {self.status} and {message}")
        else:
            if self.must_refuse():
                self.fault("is served in a session that is none")
            self.world.hear_update(self, self.session, message)


class Subscription(Connection):
    """subscriptions/listen of a stateless client, for some resources."""

    def __init__(self, *arguments, uris, request_id):
        self.uris, self.request_id = uris, request_id
        self.acknowledged = False
        self.unheard = set()
        super().__init__(*arguments)

    def heard(self, message, event_id):
        key = "io.modelcontextprotocol/subscriptionId"
        if message.get("method") == "notifications/subscriptions/acknowledged":
            self.acknowledged = message["params"]["notifications"]["resourceSubscriptions"] == self.uris
        elif message.get("method") == "notifications/resources/updated":
            if not self.acknowledged or message["params"]["uri"] not in self.uris:
                self.fault(f"hears {message}, and listens to {self.uris}")
            self.unheard.discard(message["params"]["uri"])
        elif "error" in message and (message["error"]["code"], self.status) == DRAINING and self.host.drained:
            return
        elif "result" not in message or message["id"] != self.request_id or not self.host.drained:
            self.fault(f"gets {message}")
        named = message.get("params", message.get("result"))["_meta"]
        if named[key] != self.request_id:
            self.fault(f"hears of another subscription: {message}")


class Greeting(Connection):
    """initialize, which opens a session."""

    def heard(self, message, event_id):
        if "error" in message and (message["error"]["code"], self.status) == DRAINING and self.host.drained:
            return
        if self.status != 200 or message["result"]["protocolVersion"] != self.client.version:
            self.fault(f"is answered with {self.status} and {message}")

    def finished(self):
        if self.status != 200:
            return
        session = Session(self.client, self.headers["mcp-session-id"], self.answered_at, self.world.session_ttl)
        self.client.sessions.append(session)


class Firm(OfSession):
    """A message that the network delivers at once, so that its effect is known; `effect` is called when it is seen."""

    firm = True

    def __init__(self, *arguments, effect, accepted=202, **options):
        self.effect, self.accepted = effect, accepted
        super().__init__(*arguments, **options)

    def heard(self, message, event_id):
        if message is not None and "error" in message and not self.refused(message["error"]["code"], self.status):
            self.fault(f"is refused with {self.status} and {message}")

    def finished(self):
        if self.status == self.accepted:
            if self.must_refuse():
                self.fault("is accepted in a session that is none")
            self.effect()
        elif self.status != 404 and not (self.status == DRAINING[1] and self.host.drained):
            self.fault(f"is answered with {self.status}")


class Knock(Connection):
    """A request that is illegal, or harmless, and what it must be answered with."""

    def __init__(self, *arguments, wanted):
        self.wanted = wanted
        self.code = None
        super().__init__(*arguments)

    def heard(self, message, event_id):
        self.code = message.get("error", {}).get("code")

    def finished(self):
        if (self.code, self.status) == DRAINING and self.host.drained:
            return
        if (self.status, self.code) != self.wanted:
            self.fault(f"is answered with {self.status} and {self.code}, not {self.wanted}")


def round_of(call, message):
    """The question that a stateless call ended with. Raises ValueError for one that is not the call's."""
    ((key, question),) = message["result"]["inputRequests"].items()
    place = len(call.told) + 1
    if key != f"q{place}" or question["params"]["message"] != f"{call.name}?{place}":
        raise ValueError(f"{call.name} is asked {question}")
    return Round(call, message["result"]["requestState"], key, call.told, call.done_at + STATE_TTL)
