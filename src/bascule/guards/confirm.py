"""Confirmation: nothing that must be confirmed begins before a person has said yes to exactly that call.

Asked is the user at the client, or, where the policy says "queue" and the client cannot ask, an operator. Knows the
Exchange, Marks and Approvals; does not know how a question travels. A yes counts for one principal, feature and set of
arguments, once, and for a while: a question to the client is sealed, so that only the state that asked it brings its
answer, and each state is taken once. Outside everything that runs the feature; inside whatever refuses cheaply.
"""

import logging
from asyncio import ensure_future, shield
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.asking import Dialogue, Question
from bascule.engine.canonical import Call, call_of
from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.engine.policy import Policy
from bascule.engine.ports import Approvals, Marks, Wanted
from bascule.engine.settings import ApprovalSettings
from bascule.errors import (
    BasculeError,
    ConfigError,
    ConfirmationDeclined,
    ConfirmationRequired,
    InternalError,
    InvalidArguments,
    InvalidParams,
    MissingCapability,
    NotAnswered,
)
from bascule.guards.question import question_text, show
from bascule.wire.inputs import ELICIT, ElicitParams, ElicitResult
from bascule.wire.jsonrpc import encode
from bascule.wire.results import Result

log = logging.getLogger("bascule")

FIELD = "confirm"
"""The one field of the form: required, without a default, and only true is a yes.

A form without fields would do for the protocol, but some clients show one that cannot be submitted, and some accept it
without asking anybody.
"""

_FORM = {
    "type": "object",
    "properties": {
        FIELD: {"type": "boolean", "title": "Allow it", "description": "Yes: let this happen once, as shown."}
    },
    "required": [FIELD],
}
_YES = Raw(b'{"action":"accept","content":{"confirm":true}}')
"""An operator's approval as an answer to the question that the user would have got: later rounds carry it, sealed."""

_decode_answer = msgspec.json.Decoder(ElicitResult).decode

Check = Callable[[Exchange], None]


def confirm(
    marks: Marks,
    approvals: Approvals | None = None,
    settings: ApprovalSettings | None = None,
    *,
    server: str = "",
    check: Check | None = None,
) -> Guard:
    """The guard for every feature whose policy asks for confirmation; "host" leaves it to the host, as a hint.

    `marks` remembers which states were used, and must be shared by all processes that share sealing keys; `approvals`
    is the queue, without which a feature with "queue" cannot be declared (ConfigError); `server` tells the servers
    apart that share a queue. `check` raises for arguments that the feature would refuse, before anybody is asked.
    The handler raises ConfirmationDeclined, ConfirmationRequired, NotAnswered, MissingCapability, InvalidArguments for
    arguments too long to be shown where the settings refuse those, and InvalidParams for a state used before.
    """
    limits = settings or ApprovalSettings()

    def guard(next: Handler, feature: Feature) -> Handler:
        mode = feature.policy.confirm
        if mode in ("off", "host"):
            return next
        if mode == "queue" and approvals is None:
            raise ConfigError(
                f"The {feature.kind} {feature.name!r} is confirmed by a queue: name one in [approvals] file"
            )
        queue = _Queue(approvals, server, feature) if approvals is not None and mode == "queue" else None
        asking = _Asking(marks, limits, feature)

        async def confirmed(exchange: Exchange) -> Result:
            if check is not None:
                check(exchange)
            try:
                await asking.approved(exchange, queue)
            except BasculeError as refused:
                refused.guard = "confirm"
                raise
            return await next(exchange)

        return confirmed

    return guard


def published(policy: Policy) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a tool's definition says of its confirmation: additions to its `_meta`, and to its annotations."""
    if policy.confirm == "off":
        return {}, {}
    return {"confirmRequired": True, "dev.bascule/confirm": policy.confirm}, {"destructiveHint": True}


class _Asking:
    """Asks the user at the client whether one feature may run."""

    def __init__(self, marks: Marks, limits: ApprovalSettings, feature: Feature) -> None:
        self._marks = marks
        self._limits = limits
        self._kind = feature.kind
        self._what = f"the {feature.kind} {feature.name}"

    async def approved(self, exchange: Exchange, queue: "_Queue | None") -> None:
        """Return once somebody has said yes to this very call: the user, or, who cannot be asked, the queue."""
        await self.claim(exchange)
        call = self.call(exchange)
        key, question = self.question(call)
        dialogue = exchange.dialogue
        if dialogue is None:
            dialogue = exchange.dialogue = Dialogue()
        if not (dialogue.answered(key, question) or exchange.peer.can("elicitation")):
            if queue is None:
                raise self.missing()
            await queue.spend(exchange, call)
            dialogue.asked[key], dialogue.answers[key] = question.digest, _YES
        await self.ask(exchange, key, question)

    async def claim(self, exchange: Exchange) -> None:
        """Take the state that came with a request, once for the whole of it. Raises InvalidParams where it was used."""
        dialogue = exchange.dialogue
        if dialogue is None or dialogue.mark is None:
            return
        if dialogue.claim is None:
            name, until = dialogue.mark
            dialogue.claim = ensure_future(_taken(self._marks, f"confirm:{name}", until))
        if not await shield(dialogue.claim):
            log.warning("refused the requestState of %s: it was used before", self._what)
            raise InvalidParams("Invalid params: the requestState was used before; begin again without it")

    def call(self, exchange: Exchange) -> Call:
        """What is asked for. Raises InvalidArguments where it is no JSON, or more than can be looked at in no time."""
        given = getattr(exchange.params, "arguments", UNSET)
        if isinstance(given, Raw) and memoryview(given).nbytes > self._limits.max_arguments_bytes:
            raise InvalidArguments(
                f"The arguments are too long for a person to confirm {self._what}; make them shorter"
            )
        try:
            return call_of(exchange)
        except InvalidParams:
            raise InvalidArguments("Invalid arguments: they are not JSON that can be read") from None

    def question(self, call: Call) -> tuple[str, Question]:
        """The question for one call, and its key. Raises InvalidArguments where it could not show everything."""
        shown = show(call, self._kind, self._limits.max_shown)
        if not shown.whole and self._limits.too_long == "refuse":
            raise InvalidArguments(
                f"The arguments are too long to be shown to the person who must confirm {self._what}; make them shorter"
            )
        text = question_text(call, self._kind, shown)
        params = encode(ElicitParams(text, mode="form", requested_schema=_FORM))
        return f"confirm-{call.digest.hex()}", Question(ELICIT, params, "elicitation", sealed=True)

    def missing(self) -> MissingCapability:
        """What a client is told that cannot ask its user."""
        return MissingCapability({"elicitation": {}}, f": the user must confirm {self._what}, and cannot be asked")

    async def ask(self, exchange: Exchange, key: str, question: Question) -> None:
        """Return once the user has said yes."""
        given = (await exchange.inquire(exchange, {key: question}))[key]
        try:
            answer = _decode_answer(given)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise NotAnswered(f"The client gave no valid answer when asked to confirm {self._what}") from None
        if answer.action == "accept":
            said = (answer.content or {}).get(FIELD)
            if said is True:
                return
            if said is not False:
                raise NotAnswered(
                    f"The client accepted without asking whether {self._what} may run; nobody confirmed it"
                )
        refused = "dismissed the question" if answer.action == "cancel" else "declined"
        action = "cancel" if answer.action == "cancel" else "decline"
        raise ConfirmationDeclined(
            f"The user was asked to confirm {self._what} and {refused}; do not call it again unless they ask for it",
            details={"action": action},
        )


class _Queue:
    """Asks an operator, whose answer is waited for outside the call."""

    def __init__(self, approvals: Approvals, server: str, feature: Feature) -> None:
        self._approvals = approvals
        self._server = server
        self._kind = feature.kind
        self._what = f"The {feature.kind} {feature.name}"

    async def spend(self, exchange: Exchange, call: Call) -> None:
        """Return where the call is approved, which that spends; raise what its caller is told otherwise."""
        try:
            approval = await self._approvals.present(self._wanted(exchange, call))
        except OSError as error:
            log.error("the approvals cannot be read or written: %s", error)
            raise InternalError("Approvals cannot be looked up now; try again later") from None
        if approval is None:
            raise ConfirmationRequired(
                f"{self._what} needs an approval, and too many calls wait for one already; "
                "call again when some of them are decided or have expired"
            )
        if approval.state == "spent":
            return
        if approval.state == "denied":
            raise ConfirmationDeclined(
                f"{self._what} was not approved with these arguments; do not call it again unless the user asks for it",
                details={"approvalId": approval.id},
            )
        until = datetime.fromtimestamp(approval.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise ConfirmationRequired(
            f"{self._what} must be approved by a person first. The approval is asked for as {approval.id}; "
            f"once it is given, call again with exactly these arguments. Unless it is given, it expires at {until}",
            details={"approvalId": approval.id, "expiresAt": until},
        )

    def _wanted(self, exchange: Exchange, call: Call) -> Wanted:
        principal = exchange.principal
        session = exchange.conversation.key if principal.anonymous and exchange.conversation is not None else ""
        return Wanted(
            owner=(*principal.key, session),
            server=self._server,
            kind=self._kind,
            method=call.method,
            name=call.name,
            arguments=call.text,
        )


async def _taken(marks: Marks, mark: str, until: float) -> bool:
    try:
        return await marks.take(mark, until)
    except OSError as error:
        log.error("a used requestState cannot be remembered, so it is refused: %s", error)
        return False
