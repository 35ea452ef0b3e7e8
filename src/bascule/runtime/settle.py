"""One exchange, from its handler to the bytes of its answer; every error becomes its wire form here and nowhere else.

Knows the seams of an era and the handler; does not know which era it is, or what carries the bytes.
"""

import asyncio
import logging

from msgspec import Struct

from bascule.engine.application import Application
from bascule.engine.asking import Asking, asking_in
from bascule.engine.era import ServerEra
from bascule.engine.exchange import CLOSED, Exchange
from bascule.errors import MCPError, unforeseen
from bascule.wire.jsonrpc import ErrorObject, ErrorResponse, RequestId, Response, encode

log = logging.getLogger("bascule")


class Settled(Struct, frozen=True):
    """An answer, ready to be written: one JSON document, the HTTP status that goes with it, and where it is an error
    the one that it came from, whose challenge and wait some transports can say in their own way."""

    body: bytes
    status: int = 200
    refused: MCPError | None = None


async def settle(application: Application, era: ServerEra, exchange: Exchange) -> Settled:
    """Run the handler and encode its result, or its error. Only a cancellation from outside escapes."""
    try:
        result = await era.methods[exchange.method].answer(application, exchange)
        return Settled(encode(Response(exchange.request_id, era.stamp(exchange, result))))
    except MCPError as error:
        return refusal(era, error, exchange.request_id)
    except Asking as asking:
        return _posed(era, exchange, asking)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if exchange.cancelled or task is None or task.cancelling():
            raise
        return failed(era, exchange, error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        several = asking_in(error)
        return failed(era, exchange, error) if several is None else _posed(era, exchange, several)
    finally:
        exchange.channel = CLOSED


def _posed(era: ServerEra, exchange: Exchange, asking: Asking) -> Settled:
    """The answer that asks the client back."""
    try:
        result = era.stamp(exchange, era.pose(exchange, asking))
    except MCPError as error:
        return refusal(era, error, exchange.request_id)
    return Settled(encode(Response(exchange.request_id, result)))


def failed(era: ServerEra, exchange: Exchange, error: BaseException) -> Settled:
    """The answer for what nobody foresaw."""
    return refusal(era, unforeseen(exchange.method, error), exchange.request_id)


def refusal(era: ServerEra, error: MCPError, request_id: RequestId) -> Settled:
    """The answer that carries an error; without its `data` where that is no JSON."""
    body, status = era.refuse(error)
    try:
        return Settled(encode(ErrorResponse(body, request_id)), status, error)
    except (TypeError, ValueError, RecursionError):
        log.exception("the data of an error cannot be sent")
        return Settled(encode(ErrorResponse(ErrorObject(body.code, body.message), request_id)), status, error)
