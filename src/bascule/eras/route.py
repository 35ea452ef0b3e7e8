"""How a byte stream (stdio, memory) is served in both eras at once: the `Route` that the pump asks."""

import os

from bascule.engine.application import Application
from bascule.engine.era import ServerEra
from bascule.engine.exchange import Conversation, Exchange
from bascule.engine.ports import MakeSeal
from bascule.eras.classify import Eras, check_batch
from bascule.eras.handshake import INITIALIZE
from bascule.wire.jsonrpc import Frame


class StreamRoute:
    """Routes the requests of one stream; an `initialize` on it opens the stream's only conversation."""

    def __init__(self, application: Application, make_seal: MakeSeal) -> None:
        self._eras = Eras(application, make_seal)

    def era_of(self, frame: Frame, conversation: Conversation | None) -> ServerEra:
        """The era of one request."""
        return self._eras.of_stream(frame, conversation)

    def conversation_of(self, exchange: Exchange) -> Conversation | None:
        """The conversation that this exchange opens, if it is a handshake."""
        return Conversation(exchange.peer, os.urandom(8).hex()) if exchange.method == INITIALIZE else None

    def opens_conversation(self, frame: Frame) -> bool:
        """Whether a frame is a handshake."""
        return frame.method == INITIALIZE

    def check_batch(self, conversation: Conversation | None) -> None:
        """Raise InvalidRequest unless batches are legal now."""
        check_batch(conversation)
