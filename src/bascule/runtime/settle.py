"""One exchange, from its handler to the bytes of its answer; every error becomes its wire form here and nowhere else.

Knows the seams of an era and the handler; does not know which era it is, or what carries the bytes.
"""

import asyncio
import logging
import os
from typing import NamedTuple

from bascule.engine.application import Application
from bascule.engine.era import ServerEra
from bascule.engine.exchange import Exchange
from bascule.errors import InternalError, MCPError
from bascule.wire.jsonrpc import ErrorResponse, RequestId, Response, encode

log = logging.getLogger("bascule")


class Settled(NamedTuple):
    """An answer, ready to be written: one JSON document and the HTTP status that goes with it."""

    body: bytes
    status: int = 200


async def settle(application: Application, era: ServerEra, exchange: Exchange) -> Settled:
    """Run the handler and encode its result, or its error. Only a cancellation from outside escapes."""
    try:
        result = await era.methods[exchange.method].answer(application, exchange)
        return Settled(encode(Response(exchange.request_id, era.stamp(exchange, result))))
    except MCPError as error:
        return refusal(era, error, exchange.request_id)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if exchange.cancelled or task is None or task.cancelling():
            raise
        return _failed(era, exchange, error)
    except Exception as error:
        return _failed(era, exchange, error)


def _failed(era: ServerEra, exchange: Exchange, error: BaseException) -> Settled:
    reference = os.urandom(4).hex()
    log.error("%s failed (reference %s)", exchange.method, reference, exc_info=error)
    return refusal(era, InternalError(f"Internal error (reference {reference})"), exchange.request_id)


def refusal(era: ServerEra, error: MCPError, request_id: RequestId) -> Settled:
    """The answer that carries an error."""
    body, status = era.refuse(error)
    return Settled(encode(ErrorResponse(body, request_id)), status)
