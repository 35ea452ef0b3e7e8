"""What leaves while a call still runs: progress, log messages and questions, their texts put through a change.

Knows the channel and the seam for questions; does not know what the change does. A sealed question is a guard's own and
stays as it is: who confirms a call must see its arguments as they are. So does a URL that a user is asked to visit,
which would lead nowhere else.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from bascule.engine.asking import Question
from bascule.engine.exchange import Channel, Exchange
from bascule.guards.result_texts import changed_raw, changed_value
from bascule.wire.jsonrpc import Request, encode
from bascule.wire.notices import LogMessageParams, ProgressParams

Change = Callable[[str], str]


def change_outgoing(exchange: Exchange, change: Change) -> None:
    """Have everything that the exchange sends or asks from now on go through the change."""
    outgoing = Outgoing(exchange, change)
    exchange.channel, exchange.inquire = outgoing, outgoing.inquire


class Outgoing:
    """The channel of an exchange, whose texts go through a change."""

    __slots__ = ("_change", "_channel", "_inquire")

    def __init__(self, exchange: Exchange, change: Change) -> None:
        self._channel: Channel = exchange.channel
        self._inquire = exchange.inquire
        self._change = change

    async def notify(self, notice: Request) -> None:
        """Send a notification."""
        params: Any = notice.params
        if isinstance(params, ProgressParams):
            message = params.message and self._change(params.message)
            params = replace(params, message=message, meta=changed_value(params.meta, self._change))
        elif isinstance(params, LogMessageParams):
            data, logger = Raw(changed_raw(encode(params.data), self._change)), params.logger
            logger = logger and self._change(logger)
            params = replace(params, data=data, logger=logger, meta=changed_value(params.meta, self._change))
        await self._channel.notify(Request(notice.method, params))

    async def ask(self, method: str, params: Any) -> Raw:
        """Send a request, whose texts `inquire` has changed, and wait for its result. Raises MCPError, NotAnswered."""
        return await self._channel.ask(method, params)

    async def release(self, retry: float) -> None:
        """End the connection, not the request."""
        await self._channel.release(retry)

    async def inquire(self, exchange: Exchange, questions: Mapping[str, Question]) -> Mapping[str, Raw]:
        """The answers to questions, by key."""
        return await self._inquire(exchange, {key: self._changed(one) for key, one in questions.items()})

    def _changed(self, question: Question) -> Question:
        """The question; the same one in every round, or its answer would not count."""
        if question.sealed or question.params is None:
            return question
        if question.capability != "elicitation.url":
            return replace(question, params=changed_raw(question.params, self._change))
        given = msgspec.json.decode(question.params, type=dict[str, Raw])
        changed = {key: one if key == "url" else changed_value(one, self._change) for key, one in given.items()}
        return replace(question, params=encode(changed))
