"""Callers: by what a caller is told from every other, also where it has shown no credentials.

Knows the principal and the conversation; an address only where it is handed a function that does.
"""

from collections.abc import Callable, Hashable

from bascule.engine.exchange import Exchange

Address = Callable[[Exchange], str | None]
"""Where a request comes from, as far as that is known and can be believed."""


def nowhere(exchange: Exchange) -> str | None:
    """The address of whoever cannot be seen."""
    return None


def caller(exchange: Exchange, address: Address) -> Hashable | None:
    """The caller: its principal; without credentials its address, or else its session; None where nothing is known."""
    principal = exchange.principal
    if not principal.anonymous:
        return principal.key
    return address(exchange) or (None if exchange.conversation is None else exchange.conversation.key)
