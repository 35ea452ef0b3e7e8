"""Guards: what happens around a call. Each is folded into a feature's handler once, at start.

ORDER is the one list that says what runs outside what, the outermost first.
"""

from bascule.engine.exchange import Feature, Guard, Handler

ORDER: tuple[Guard, ...] = ()


def fold(handler: Handler, feature: Feature) -> Handler:
    """The handler with every guard around it that applies to this feature."""
    for guard in reversed(ORDER):
        handler = guard(handler, feature)
    return handler
