"""Rounds of the stateless era: a request that needs answers ends with questions and a sealed state, and comes again.

The state carries what earlier rounds brought, and is good only for the principal, method, feature and arguments that it
was issued for, and for ten minutes. Each refusal is the same error for the client; the log says which it was.
Source: specification 2026-07-28, basic/patterns/mrtr, "Server Requirements"; RFC 8785.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2s

import msgspec
from msgspec import UNSET, Raw, Struct

from bascule.engine.application import Application
from bascule.engine.asking import MAX_ROUNDS, Asking, Dialogue, Question
from bascule.engine.canonical import call_of
from bascule.engine.exchange import Exchange, check_capabilities
from bascule.engine.ports import Clock, MakeSeal, Marks, Random, Unsealable
from bascule.errors import InternalError, InvalidParams, InvalidRequest, NotAnswered
from bascule.wire.inputs import InputParams, InputRequest, InputRequiredResult
from bascule.wire.results import Result

log = logging.getLogger("bascule")

STATE_TTL = 600.0
"""Seconds for which a state is good."""

MAX_STATE = 16 * 1024
"""How long a sealed state may be, in characters."""

_PURPOSE = "requestState"


Answer = Callable[[Application, Exchange], Awaitable[Result]]


class _State(Struct, array_like=True, frozen=True):
    """What is sealed into a request's state."""

    principal: bytes
    request: bytes
    expires: float
    rounds: int
    asked: dict[str, bytes]
    answers: dict[str, bytes]
    kept: dict[str, bytes]
    nonce: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


class Rounds:
    """Opens and issues the states of one application."""

    def __init__(
        self,
        make_seal: MakeSeal,
        clock: Clock = time.time,
        random: Random = os.urandom,
        marks: Marks | None = None,
    ) -> None:
        self._marks = marks
        self._make_seal = make_seal
        self._clock = clock
        self._random = random

    def resume(self, exchange: Exchange, params: InputParams) -> None:
        """Give a request what its client answered now and earlier. Raises InvalidParams for a state that is not its."""
        dialogue = exchange.dialogue = Dialogue()
        if params.request_state is not UNSET:
            state = self._opened(exchange, params.request_state)
            dialogue.rounds, dialogue.asked, dialogue.kept = state.rounds, state.asked, state.kept
            dialogue.mark = (f"state:{state.nonce.hex()}", state.expires)
            dialogue.answers = {key: Raw(answer) for key, answer in state.answers.items()}
        if params.input_responses is not UNSET:
            dialogue.answers |= params.input_responses

    async def inquire(self, exchange: Exchange, questions: Mapping[str, Question]) -> Mapping[str, Raw]:
        """The answers that have come; Asking where one is missing.

        Raises NotAnswered in a request that cannot end with questions: only calls, reads and prompts can.
        """
        asked = exchange
        while asked.outer is not None:  # the request that the client has sent
            asked = asked.outer
        if not isinstance(asked.params, InputParams):
            raise NotAnswered("The client cannot be asked while it lists or completes")
        dialogue = exchange.dialogue
        if dialogue is None:
            dialogue = exchange.dialogue = Dialogue()
        missing = dialogue.open_questions(questions)
        if missing:
            check_capabilities(exchange, missing)
            raise Asking(missing)
        return {key: dialogue.answers[key] for key in questions}

    def once(self, answer: Answer) -> Answer:
        """The same method, for each state at most once."""
        marks = self._marks
        if marks is None:
            return answer

        async def answer_once(application: Application, exchange: Exchange) -> Result:
            dialogue = exchange.dialogue
            if dialogue is not None and dialogue.mark is not None and not await marks.take(*dialogue.mark):
                raise _refused(exchange, "was used before")
            return await answer(application, exchange)

        return answer_once

    def pose(self, exchange: Exchange, asking: Asking) -> InputRequiredResult:
        """The result that asks. Raises InvalidRequest after too many rounds, InternalError for a state too large."""
        dialogue = exchange.dialogue or Dialogue()
        if dialogue.rounds >= MAX_ROUNDS:
            raise InvalidRequest(f"Invalid request: it was asked back {MAX_ROUNDS} times and still is not complete")
        state = _State(
            _principal(exchange),
            call_of(exchange).digest,
            self._clock() + STATE_TTL,
            dialogue.rounds + 1,
            {**dialogue.asked, **{key: question.digest for key, question in asking.questions.items()}},
            {key: bytes(answer) for key, answer in dialogue.answers.items() if key not in asking.questions},
            dialogue.kept,
            self._random(8),
        )
        sealed = self._make_seal().seal(_encode(state), _PURPOSE)
        if len(sealed) > MAX_STATE:
            raise InternalError("The answers so far are too large to be carried along; ask for less at once")
        return InputRequiredResult(
            result_type="input_required",
            input_requests={
                key: InputRequest(question.method, UNSET if question.params is None else Raw(question.params))
                for key, question in asking.questions.items()
            },
            request_state=sealed,
        )

    def _opened(self, exchange: Exchange, text: str) -> _State:
        try:
            if len(text) > MAX_STATE:
                raise Unsealable
            state = _decode(self._make_seal().open(text, _PURPOSE))
        except (Unsealable, msgspec.MsgspecError):
            raise _refused(exchange, "was not sealed here, or was changed") from None
        if state.principal != _principal(exchange):
            raise _refused(exchange, "belongs to another principal")
        if state.request != call_of(exchange).digest:
            raise _refused(exchange, "belongs to another request")
        if state.expires < self._clock():
            raise _refused(exchange, "has expired")
        return state


def _refused(exchange: Exchange, reason: str) -> InvalidParams:
    log.warning("refused the requestState of %s (request %r): it %s", exchange.method, exchange.request_id, reason)
    return InvalidParams("Invalid params: the requestState is not valid for this request; begin again without it")


def _principal(exchange: Exchange) -> bytes:
    return blake2s(msgspec.json.encode(exchange.principal.key), digest_size=16).digest()
