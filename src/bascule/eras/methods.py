"""The methods that both eras share, and how parameters are decoded.

A method that is not in an era's table does not exist there.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from bascule.engine.application import Application
from bascule.engine.era import Method
from bascule.engine.exchange import Exchange
from bascule.errors import InvalidParams
from bascule.wire.completion import CompleteParams
from bascule.wire.prompts import GetPromptParams
from bascule.wire.requests import PaginatedParams, RequestParams
from bascule.wire.resources import ReadResourceParams
from bascule.wire.results import Result
from bascule.wire.skills import DirectoryParams, SkillParams
from bascule.wire.tools import CallToolParams


def decoder(shape: type[RequestParams]) -> Callable[[Any], RequestParams]:
    """A decoder of parameters of one shape. It raises InvalidParams (HTTP 400) where they do not fit."""
    decode_json = msgspec.json.Decoder(shape).decode

    def decode(raw: Any) -> RequestParams:
        try:
            return decode_json(b"{}" if raw is UNSET else raw)
        except (msgspec.MsgspecError, RecursionError, ValueError) as wrong:
            reason = "they nest too deeply" if isinstance(wrong, RecursionError) else str(wrong)
            raise InvalidParams(f"Invalid params: {reason}", status=400) from None

    return decode


def ask_application(application: Application, exchange: Exchange) -> Awaitable[Result]:
    """Let the application answer."""
    return application.answer(exchange)


SHARED: Mapping[str, Method] = {
    "tools/list": Method(decoder(PaginatedParams), ask_application),
    "tools/call": Method(decoder(CallToolParams), ask_application),
    "resources/list": Method(decoder(PaginatedParams), ask_application),
    "resources/templates/list": Method(decoder(PaginatedParams), ask_application),
    "resources/read": Method(decoder(ReadResourceParams), ask_application),
    "prompts/list": Method(decoder(PaginatedParams), ask_application),
    "prompts/get": Method(decoder(GetPromptParams), ask_application),
    "skills/list": Method(decoder(PaginatedParams), ask_application),
    "skills/get": Method(decoder(SkillParams), ask_application),
    "resources/directory/read": Method(decoder(DirectoryParams), ask_application),
    "completion/complete": Method(decoder(CompleteParams), ask_application),
}
