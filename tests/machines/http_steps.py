"""The steps of the simulation: each does one thing to a World, chosen at random."""

import asyncio

from tests.machines.http_exchanges import Firm, Knock, Listening, Post, Resume, Subscription
from tests.machines.http_hosts import URIS, Host
from tests.machines.http_knocks import KNOCKS
from tests.machines.http_model import INTERNAL, INVALID_PARAMS, INVALID_REQUEST, QUESTION_TTL, Call
from tests.machines.http_world import UNFIT
from tests.messages import legacy, request

PLANS = ("", "", "g", "rg", "lrl", "a", "ra", "aga", "eg", "leglr", "lea", "aa", "x", "gx", "sg", "lsga", "rgrgr", "bl")


MANNERS = ("right", "right", "right", "no", "tampered", "other", "thief", "empty")


def begin(world):
    """A client calls a tool; one of the handshake era opens a session first where it has none."""
    client = world.random.choice(world.clients)
    host = world.random.choice(world.hosts)
    if not client.modern and (not client.sessions or world.chance(0.05)):
        world.greet(client, host)
        return
    session = None if client.modern else world.random.choice(client.sessions)
    tool, plan = ("block", "") if world.chance(0.15) else ("do", world.random.choice(PLANS))
    if client.version == "2025-03-26" and world.chance(0.2):
        batch(world, client, host, session)
        return
    call = Call(client, world.new_name(client), plan, host, session, tool)
    thief = None
    if session is not None and world.chance(0.05):
        call.legal = False
        thief = other_principal(world, client)
    world.post(call, world.message_of(call), principal=thief)


def other_principal(world, client):
    return next(one.principal for one in world.clients if one.principal != client.principal)


def batch(world, client, host, session):
    """Several calls in one request, in the one revision that has that."""
    calls = [Call(client, world.new_name(client), plan, host, session) for plan in world.random.choices(PLANS, k=2)]
    messages = [world.message_of(call) for call in calls]
    connection = world.send(Post, client, host, messages, session=session)
    for call in calls:
        call.batched = True
        call.connection = connection
        connection.calls[call.id] = call
        world.calls.append(call)


def again(world):
    """The very same request is sent again, before or after its answer."""
    sent = [call for call in world.calls if call.round is None and call.legal and not call.batched]
    sent = [call for call in sent if current(world, call)]
    if sent:
        first = world.random.choice(sent[-6:])
        call = Call(first.client, first.name, first.plan, first.host, first.session, first.tool)
        call.id = first.id
        if first.session is not None:
            call.refusals.add((INVALID_REQUEST, 200))
            first.refusals.add((INVALID_REQUEST, 200))
        world.post(call, first.message)


def open_gate(world):
    if world.gates:
        world.random.choice(list(world.gates.values())).set()


def reply(world):
    """A question is answered: rightly, by a refusal, twice, wrongly, at the wrong place or by the wrong client."""
    if not world.questions:
        return
    key = world.random.choice(list(world.questions))
    call = world.questions[key]
    right = f"<{call.name}>"
    manner = world.random.choice(("right", "right", "no", "twice", "unfit", "refuse", "elsewhere", "foreign"))
    if manner == "elsewhere":
        others = [host for host in world.hosts if host is not call.host]
        world.answer(key, "astray", host=world.random.choice(others))
    elif manner == "foreign":
        sessions = [one for client in world.clients for one in client.sessions if one is not call.session]
        if sessions:
            world.answer(key, "stolen", session=world.random.choice(sessions))
    elif manner == "unfit":
        world.answer(key, {"result": {"action": "accept", "content": {"value": UNFIT}}})
    elif manner == "refuse":
        world.answer(key, {"error": {"code": -1, "message": "no"}})
    else:
        for value in {"twice": (right, "late")}.get(manner, (None if manner == "no" else right,)):
            world.answer(key, value)


def cancel(world):
    """A call is cancelled by its own client, at its own host or another, or by somebody else, which has no effect."""
    running = [call for call in world.calls if call.running and call.session is not None]
    if running:
        come_back_to = [call for call in running if call.resumed is not None and call.resumed.open]
        call = world.random.choice(come_back_to or running)
        host = call.host if world.chance(0.8) else world.random.choice(world.hosts)
        sessions = [one for client in world.clients for one in client.sessions]
        session = call.session if world.chance(0.7) else world.random.choice(sessions)
        world.cancel(call, host, session)


def cut(world):
    """A client closes one of its connections."""
    found = [one for one in world.connections if one.open and not one.firm]
    if found:
        one = world.random.choice(found)
        world.note(f"{one.number} is cut")
        world.lost(one)
        one.leave()


def stall(world):
    """A client reads no more for a while, or reads on."""
    found = [one for one in world.connections if one.open and not one.firm]
    if found:
        one = world.random.choice(found)
        one.flow() if one.stalled else one.stall()


def flow(world):
    for one in world.connections:
        if one.stalled and world.chance(0.7):
            one.flow()


def retry(world):
    """A stateless client comes back with the sealed state: rightly, or in one of the ways that must not work."""
    rounds = [one for client in world.clients for one in client.rounds]
    if not rounds:
        return
    given = world.random.choice(rounds[-4:])
    come_back(world, given, world.random.choice(MANNERS))


def come_back(world, given, manner):
    """Repeat the request of a round, with its state."""
    client = given.call.client
    first = given.call
    call = Call(client, first.name, first.plan, world.random.choice(world.hosts), None, first.tool)
    call.id = client.next_id()
    value = "-" if manner == "no" else f"<{call.name}>"
    state, name, principal = given.state, None, None
    content = {"action": "decline"} if manner == "no" else {"action": "accept", "content": {"value": value}}
    call.told = list(given.told)
    responses = {} if manner == "empty" else {given.key: content}
    if manner != "empty":
        call.told.append(value)
    call.round = given
    given.tries += 1
    if manner == "tampered":
        place = world.random.randrange(len(state))
        state = state[:place] + ("A" if state[place] != "A" else "B") + state[place + 1 :]
    elif manner == "other":
        name = world.new_name(client)
    elif manner == "thief":
        principal = other_principal(world, client)
    if manner in ("tampered", "other", "thief"):
        call.legal = False
        call.refusals.add((INVALID_PARAMS, 200))
    elif given.expires < world.loop.time():
        call.legal = False
    if world.marks is not None and world.breakable:
        call.refusals.add((INTERNAL, 200))
    world.post(call, world.message_of(call, responses, state, name), principal=principal)


def stream(world):
    """A session opens a GET stream; or one is opened with its id by another principal, which must not work."""
    sessions = [session for client in world.clients for session in client.sessions]
    if sessions:
        subscribed = [session for session in sessions if any(session.subscribed.values())]
        session = world.random.choice(subscribed or sessions)
        host = world.random.choice([host for host in session.subscribed if host in world.hosts] or world.hosts)
        if world.chance(0.15):
            thief = next(one for one in world.clients if one.principal != session.client.principal)
            world.get(Listening, session, host, client=thief)
        elif sum(one.open for one in world.connections if getattr(one, "session", None) is session) < 6:
            world.get(Listening, session, host, client=session.client)


def resume(world):
    """A client fetches the rest of an answer, after the last event it has or an earlier one; or somebody else tries."""
    calls = [call for call in world.calls if resumable(world, call)]
    if not calls:
        return
    call = world.random.choice(calls)
    manner = world.random.choice(("right", "right", "right", "earlier", "foreign", "invented", "elsewhere"))
    if manner in ("right", "earlier"):
        go_on(world, call, world.random.choice(call.ids) if manner == "earlier" else call.ids[-1])
        return
    session, host, last = call.session, call.host, call.ids[-1]
    if manner == "foreign":
        sessions = [one for client in world.clients for one in client.sessions if one is not session]
        if not sessions:
            return
        session = world.random.choice(sessions)
    elif manner == "invented":
        last = world.random.choice((last + "9", last[:-1] + "x", ".1", last.rpartition(".")[0] + ".-1"))
    else:
        host = next(one for one in world.hosts if one is not call.host)
    world.get(Resume, session, host, last=last, call=None)


def go_on(world, call, last):
    """Fetch what came after an event."""
    place = next(number for number, (event_id, _) in enumerate(call.entries) if event_id == last)
    del call.entries[place + 1 :]
    if call.answer_id not in call.ids:
        call.answers.clear()
    call.owed = True
    call.resumed = world.get(Resume, call.session, call.host, last=last, call=call)
    call.resumed.calls[call.id] = call


def current(world, call):
    return call.host in world.hosts


def resumable(world, call):
    """Whether the rest of an answer can be fetched, and is not being fetched."""
    busy = call.connection.open or (call.resumed is not None and call.resumed.open)
    now = world.loop.time()
    kept = not call.spoiled and (call.done_at is None or now - call.done_at < 290)
    alive = call.session is not None and call.session.alive(call.host, now) and current(world, call)
    return alive and kept and call.ids and not busy and not call.cancelled and not call.batched


def delete(world):
    sessions = [session for client in world.clients for session in client.sessions]
    if sessions and world.chance(0.3):
        world.delete(world.random.choice(sessions), world.random.choice(world.hosts))


def subscribe(world):
    """A session subscribes, or no longer; a stateless client listens."""
    client = world.random.choice(world.clients)
    host = world.random.choice(world.hosts)
    uri = world.random.choice(URIS)
    if client.modern:
        if client.takes_stream:
            uris = sorted({uri, world.random.choice(URIS)})
            request_id = client.next_id()
            wanted = {"notifications": {"resourceSubscriptions": uris}}
            message = request("subscriptions/listen", wanted, id=request_id)
            world.send(Subscription, client, host, message, uris=uris, request_id=request_id)
    elif client.sessions:
        session = world.random.choice(client.sessions)
        ever, now = session.ever.setdefault(host, set()), session.subscribed.setdefault(host, set())
        method, effect = "resources/subscribe", now.add
        if world.chance(0.3):
            method, effect = "resources/unsubscribe", now.discard
            session.unheard.get(host, set()).discard(uri)
        else:
            ever.add(uri)
        message = legacy(method, {"uri": uri}, id=client.next_id())
        world.send(Firm, client, host, message, session=session, accepted=200, effect=lambda: effect(uri))


def change(world):
    """A resource changes; most of the time one that somebody has subscribed to."""
    sessions = [session for client in world.clients for session in client.sessions]
    wanted = [(host, uri) for session in sessions for host, uris in session.subscribed.items() for uri in sorted(uris)]
    wanted = [(host, uri) for host, uri in wanted if host in world.hosts]
    if wanted and world.chance(0.7):
        world.update(*world.random.choice(wanted))
    else:
        world.update(world.random.choice(world.hosts), world.random.choice(URIS))


def knock(world):
    """Somebody sends what is not legal."""
    method, given, body, wanted = world.random.choice(KNOCKS)
    client = world.random.choice(world.clients)
    host = world.random.choice(world.hosts)
    world.connections.append(Knock(world, client, host, method, given, body, wanted=wanted))


async def wait(world):
    """Time passes: up to more than a session, a state or a question lives."""
    await asyncio.sleep(world.random.choice((0.5, 0.5, 3, 20, 20, 350, QUESTION_TTL + 1, 1500)))


async def restart(world):
    if world.chance(0.3):
        host = world.random.choice(world.hosts)
        await world.restart(host)
        world.hosts[world.hosts.index(host)] = successor = Host(world, host.number)
        await successor.server.start()


COMMON = (begin, begin, begin, open_gate, open_gate, reply, reply, flow)
OTHERS = (retry, resume, cut, stall, cancel, again, stream, subscribe, change, knock, delete, wait, restart)


def chosen(world):
    """The steps of one run: some of the rarer ones often, so that they meet, and the others not at all."""
    some = world.random.sample(OTHERS, world.random.randint(3, len(OTHERS)))
    return (*COMMON, *(step for step in some for _ in range(world.random.randint(1, 3))))
