"""What a line says of one call. Nothing that a caller sends can keep its line from being written."""

import math
import re
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from bascule.engine.ports import Decision
from bascule.stores.audit.chain import primed
from bascule.stores.audit.moment import moment
from bascule.stores.audit.redaction import REDACTED, Redaction

_LONGEST = 512
"""How much of a caller's name is kept."""

_TRACE = re.compile(r"(?!0{32})[0-9a-f]{32}")
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


class Call(Struct, omit_defaults=True, rename="camel"):
    """One call, as its line has it; `ms` is how long it took, in milliseconds."""

    time: str
    method: str
    feature: str
    type: str
    tenant: str = ""
    issuer: str = ""
    subject: str = ""
    client_id: str = ""
    anonymous: bool = False
    outcome: str = ""
    code: str | None = None
    guard: str | None = None
    ms: float = -1.0
    digest: str = ""
    arguments: Raw | None = None
    trace: str | None = None
    request: str = ""


class Lines:
    """Makes lines of decisions."""

    def __init__(self, arguments: Literal["digest", "redacted", "none"], key: bytes, redaction: Redaction) -> None:
        self._mode = arguments
        self._mac = primed(key)
        self._redaction = redaction

    def digest(self, data: bytes, form: str = "raw") -> str:
        """A digest that only the holder of the key can compare with arguments that it guesses."""
        return f"{form}:{self._mac(data).hex()}"

    def of(self, decision: Decision) -> bytes:
        """The members of a call's line, as a JSON object."""
        who = decision.principal
        call = Call(
            moment(decision.time),
            decision.method,
            decision.feature,
            decision.kind,
            who.tenant[:_LONGEST],
            who.issuer[:_LONGEST],
            who.subject[:_LONGEST],
            who.client_id[:_LONGEST],
            who.anonymous,
            decision.outcome,
            decision.code,
            decision.guard,
            round(decision.seconds * 1000, 3),
            trace=decision.trace if decision.trace and _TRACE.fullmatch(decision.trace) else None,
            request=str(decision.request_id),
        )
        self._argue(call, decision.arguments)
        try:
            return _encode(call)
        except (TypeError, ValueError, RecursionError):
            return _encode(_spelled(call))

    def _argue(self, call: Call, arguments: Any) -> None:
        if arguments is None or self._mode == "none":
            return
        if isinstance(arguments, str):
            call.digest = arguments
        elif self._mode == "digest":
            call.digest = self._canonical(arguments)
        else:
            call.arguments = Raw(self._redacted(arguments))

    def _canonical(self, arguments: Any) -> str:
        """The digest of the arguments' one spelling (RFC 8785), so that equal ones have equal digests."""
        try:
            plain = _decode(arguments) if isinstance(arguments, bytes) else arguments
            return self.digest(_encode_sorted(_plain(plain)), "hmac")
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
            return self.digest(arguments if isinstance(arguments, bytes) else repr(arguments).encode())

    def _redacted(self, arguments: Any) -> bytes:
        try:
            plain = _decode(arguments) if isinstance(arguments, bytes) else dict(arguments)
            return _encode(self._redaction.of(plain))
        except Exception:  # a redactor is anybody's, and what it fails on must not stand in the log as it is
            return _encode(REDACTED)


def _plain(value: Any) -> Any:
    """The value with each number written one way: 1.0 is 1."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _spelled(call: Call) -> Call:
    """The call with texts that every encoder takes: lone surrogates written out."""
    for name in call.__struct_fields__:
        value = getattr(call, name)
        if isinstance(value, str):
            setattr(call, name, value.encode("utf-8", "backslashreplace").decode())
    return call
