"""The simulated world: two server processes with the same keys, clients of both eras, and what befalls them.

Each step is chosen by a generator of a seed; the faults that the model finds are gathered in `faults`.
"""

import asyncio
import random
import re

from bascule.engine.exchange import Principal
from tests.machines.http_exchanges import (
    MARK,
    Firm,
    Greeting,
    Listening,
    Post,
    Resume,
    Subscription,
    round_of,
)
from tests.machines.http_hosts import SESSION_TTL, Host
from tests.machines.http_model import DRAINING, INVALID_PARAMS, INVALID_REQUEST, Client
from tests.machines.simulated import Disk, DiskMarks
from tests.messages import META, PREFIX, headers, initialize, legacy, line, request

NAME = re.compile(r"n\d+\.")
VERSIONS = ("2025-11-25", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2026-07-28", "2026-07-28")
ACCEPTS = ("application/json, text/event-stream",) * 4 + ("application/json", "text/event-stream")
UNFIT = 5
"""What is no answer to a question for a text."""

PRINCIPALS = (Principal(), Principal(issuer="i", subject="other", anonymous=False))


class World:
    """Everything there is in one run."""

    session_ttl = SESSION_TTL

    def __init__(self, loop, seed):
        self.loop = loop
        self.random = random.Random(seed)
        self.bytes = random.Random(f"bytes {seed}").randbytes
        self.calm = False
        self.faults, self.trace, self.connections = [], [], []
        self.names, self.gates, self.questions, self.asked_ids = {}, {}, {}, {}
        self.calls, self.must_end, self.lingering = [], [], []
        self.sluggish = self.random.choice((0, 0.1, 0.3))
        self.number = 0
        failing, slow = self.random.choice(((0, 0), (0, 0), (0, 0.5), (0.1, 0.3)))
        self.breakable = failing > 0
        self.disk = Disk(self.random, failing, slow)
        self.marks = DiskMarks(self.disk, loop.time) if self.random.random() < 0.5 else None
        self.hosts = [Host(self, 0), Host(self, 1)]
        self.clients = [self.client(number) for number in range(4)]

    def client(self, number):
        version = self.random.choice(VERSIONS)
        accept = self.random.choice(ACCEPTS)
        return Client(number, PRINCIPALS[number % 2], version, accept, self.random.random() < 0.9)

    def count(self):
        self.number += 1
        return self.number

    def note(self, text):
        self.trace.append(f"{self.loop.time():.3f} {text}")

    def fault(self, text):
        self.note(f"FAULT {text}")
        self.faults.append(text)

    def chance(self, probability):
        return self.random.random() < probability

    def inspect(self, connection, body):
        """What reaches a client names no call of another, and tells nothing of the inside."""
        text = body.decode()
        for name in NAME.findall(text):
            if self.names[name] is not connection.client:
                connection.fault(f"delivers what belongs to somebody else: {text}")
        if MARK in text or "Traceback" in text:
            connection.fault(f"tells of the inside: {text}")

    def enter(self, call):
        """A call's tool begins."""
        if call.begun or not call.legal:
            self.fault(f"{call.name} ran {'twice' if call.begun else 'although it was not legal'}")
        for other in self.calls:
            if other.session is not None and other is not call and self.same(other, call) and other.running:
                self.fault(f"{call.name} runs twice at the same time") if not other.cancelled else None
        if call.round is not None:
            call.round.begun += 1
            if self.marks is not None and call.round.begun > 1:
                self.fault(f"a state of {call.name} was used twice")
        call.begun = True

    @staticmethod
    def same(one, other):
        return (one.session, one.host, one.id) == (other.session, other.host, other.id)

    def hear(self, connection, call, message, event_id):
        """A message of a call's answer has reached its client."""
        if event_id is not None and event_id in call.ids:
            connection.fault(f"repeats the event {event_id} of {call.name}")
        method = None if message is None else message.get("method")
        said = None
        if method == "elicitation/create":
            self.hear_question(connection, call, message)
        elif method == "notifications/cancelled":
            self.questions.pop((call.host, call.session.id, message["params"]["requestId"]), None)
        elif method is not None:
            said = message["params"].get("data", message["params"].get("message"))
            if "progressToken" in message["params"] and message["params"]["progressToken"] != call.name:
                connection.fault(f"reports {message}")
        elif message is not None:
            call.answer_id = event_id
            self.hear_answer(connection, call, message)
        call.entries.append((event_id, said))
        wrong = call.check_told()
        if wrong is not None:
            connection.fault(f"{call.name}: {wrong}")

    def hear_question(self, connection, call, message):
        key = (call.host, call.session.id, message["id"])
        if self.asked_ids.setdefault(key[1:], call) is not call:
            connection.fault(f"asks with the id {message['id']}, which the session has seen before")
        if not message["params"]["message"].startswith(f"{call.name}?"):
            connection.fault(f"asks {call.name} what is not for it: {message}")
        if message["id"] not in call.questions and not call.host.drained:
            call.questions.add(message["id"])
            self.questions[key] = call

    def hear_answer(self, connection, call, message):
        now = self.loop.time()
        if call.answers or call.cancelled:
            connection.fault(f"answers {call.name}, which was {'answered' if call.answers else 'cancelled'} before")
        call.answers.append(message)
        if not call.begun and not connection.resumes:
            call.done_at = connection.answered_at
        if connection.host.drained and not call.begun:
            call.refusals.add(DRAINING)
        if call.session is not None:
            if connection.refused(INVALID_REQUEST, 404) or connection.must_refuse():
                call.refusals.add((INVALID_REQUEST, 404))
            if connection.must_refuse() and not connection.resumes and not call.killed and not call.begun:
                call.legal = False
        if call.round is not None and (call.round.expires < now or (self.marks is not None and call.round.tries > 1)):
            call.refusals.add((INVALID_PARAMS, 200))
        wrong = call.check(message, connection.status, connection.streams, now)
        if wrong is not None:
            connection.fault(f"answers {call.name} ({call.plan}) with {connection.status} {message}, but {wrong}")
        elif message.get("result", {}).get("resultType") == "input_required":
            call.client.rounds.append(round_of(call, message))

    def hear_update(self, connection, session, message):
        uri = message["params"].get("uri")
        if uri not in session.ever.get(connection.host, ()):
            connection.fault(f"hears {message}, and subscribed to nothing like it")
        session.unheard.get(connection.host, set()).discard(uri)

    def lost(self, connection):
        """A connection ends before its time: what was under way on it may be lost."""
        for call in connection.calls.values():
            if not call.answers:
                call.cut = True
        if isinstance(connection, Listening | Resume):
            connection.session.unheard.pop(connection.host, None)

    def send(self, kind, client, host, message, *, session=None, **options):
        """Post one message of a client's."""
        if client.modern:
            given = headers(message)
        else:
            given = {"content-type": "application/json", "mcp-protocol-version": client.version}
        if session is not None:
            given["mcp-session-id"] = session.id
            options["session"] = session
        given |= {"accept": client.accept, "host": "localhost"}
        body = line(message)
        connection = kind(self, client, host, "POST", given, body, **options)
        self.connections.append(connection)
        self.note(f"{connection.number} {kind.__name__} {client.number} to {host.number}: {message}")
        return connection

    def get(self, kind, session, host, *, last=None, client=None, **options):
        client = client or session.client
        given = {"accept": "text/event-stream", "host": "localhost", "mcp-session-id": session.id}
        if last is not None:
            given["last-event-id"] = last
        connection = kind(self, client, host, "GET", given, session=session, **options)
        self.connections.append(connection)
        self.note(f"{connection.number} {kind.__name__} of {session.client.number} at {host.number} after {last}")
        return connection

    def message_of(self, call, responses=None, state=None, name=None):
        """The request of a call."""
        params = {"name": call.tool, "arguments": {"name": name or call.name, "plan": call.plan}}
        if state is not None:
            params |= {"requestState": state, "inputResponses": responses}
        able = {"elicitation": {}} if call.client.able else {}
        if call.client.modern:
            own = {PREFIX + "clientCapabilities": able, PREFIX + "logLevel": "info", "progressToken": call.name}
            return request("tools/call", params, id=call.id, meta={**META, **own})
        return legacy("tools/call", {**params, "_meta": {"progressToken": call.name}}, id=call.id)

    def post(self, call, message, **options):
        """Send a call's request."""
        call.message = message
        self.calls.append(call)
        call.client.calls.append(call)
        call.connection = self.send(Post, call.client, call.host, message, session=call.session, **options)
        call.connection.calls[call.id] = call
        return call

    def new_name(self, client):
        name = f"n{self.count()}."
        self.names[name] = client
        return name

    def greet(self, client, host):
        message = initialize(client.version, id=client.next_id())
        message["params"]["capabilities"] = {"elicitation": {}} if client.able else {}
        self.send(Greeting, client, host, message)

    def update(self, host, uri):
        """A resource changes at one host: note who must hear of it."""
        for one in (one for one in self.connections if one.host is host and one.open):
            if isinstance(one, Subscription) and one.acknowledged and uri in one.uris:
                one.unheard.add(uri)
            elif isinstance(one, Listening) and one.status == 200 and self.must_hear(one.session, host, uri):
                one.session.unheard.setdefault(host, set()).add(uri)
        host.app.notify_resource_updated(uri)
        self.note(f"{uri} changes at {host.number}")

    def must_hear(self, session, host, uri):
        """Whether a session must hear of a change. Where a stream was just cut, the server may speak into that one."""
        streams = [one for one in self.connections if isinstance(one, Listening | Resume) and one.session is session]
        leaving = any(one.left and not one.over and one.host is host for one in streams)
        return not leaving and session.wants(host, uri, self.loop.time())

    def answer(self, key, value, host=None, session=None):
        """Answer a question: with a text, None for a refusal by the user, or a dict that is the whole response."""
        call = self.questions[key]
        own = host is None and session is None
        content = {"action": "decline"} if value is None else {"action": "accept", "content": {"value": value}}
        rest = value if isinstance(value, dict) else {"result": content}

        def told():
            if own and self.questions.pop(key, None) is not None:
                call.refused |= "error" in rest
                if "result" in rest and rest["result"].get("content", {}).get("value") == UNFIT:
                    call.unfit += 1
                elif "result" in rest:
                    call.told.append(value or "-")

        session = session or call.session
        message = {"jsonrpc": "2.0", "id": key[2], **rest}
        self.send(Firm, session.client, host or call.host, message, session=session, effect=told)

    def cancel(self, call, host, session):
        def effect():
            for one in self.calls:
                if (one.session, one.host, one.id) == (session, host, call.id) and one.running:
                    self.end_call(one)

        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call.id}}
        self.send(Firm, session.client, host, message, session=session, effect=effect)

    def end_call(self, call):
        """A call is cancelled at this moment, in time."""
        call.cancelled = True
        self.note(f"{call.name} is cancelled in time")
        for one in self.connections:
            if one.open and (
                one is call.connection or (isinstance(one, Resume) and one.call is call and one.delivered)
            ):
                self.must_end.append((one, call.name))

    def delete(self, session, host):
        def effect():
            session.ended.add(host)
            session.unheard.pop(host, None)
            for call in self.calls:
                if call.session is session and call.host is host and call.running:
                    self.end_call(call)
            for one in self.connections:
                if isinstance(one, Listening) and one.session is session and one.host is host and one.open:
                    self.must_end.append((one, "the session"))

        given = {"host": "localhost", "mcp-session-id": session.id}
        self.connections.append(
            Firm(self, session.client, host, "DELETE", given, session=session, effect=effect, accepted=200)
        )

    async def restart(self, host):
        """End a server process, as a deployment does, and start its successor."""
        self.note(f"restart of {host.number}")
        for call in self.calls:
            if call.host is host and not call.answers:
                call.drained = True
                call.killed |= not call.done
        for key in [key for key in self.questions if key[0] is host]:
            del self.questions[key]
        streams = [one for one in self.connections if one.host is host and one.open and one.started and not one.stalled]
        host.drained = True
        host.server.drain()
        await asyncio.sleep(self.random.choice((0.01, 0.5, 8)))
        for one in streams:
            if one.open and isinstance(one, Listening | Subscription):
                one.fault("goes on although the server stops")
        running = [one for one in self.connections if one.host is host and not one.over]
        for one in running:
            self.lost(one)
            one.kill()
            one.leave()
        await asyncio.wait([one.task for one in running] or [self.loop.create_task(asyncio.sleep(0))])
        await host.server.stop(1.0)
        self.check_empty(host)

    def check_empty(self, host):
        kept = host.left_over()
        if kept:
            self.fault(f"host {host.number} still keeps {kept}")
