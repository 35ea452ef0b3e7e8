"""Which protocol version a request itself says that it speaks, read before anything else is known of it."""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from bascule.wire.jsonrpc import Frame
from bascule.wire.requests import VERSION_KEY

_KEY = VERSION_KEY.encode()


class _MetaVersion(Struct):
    version: str | UnsetType = field(default=UNSET, name=VERSION_KEY)


class _ParamsVersion(Struct):
    meta: _MetaVersion | UnsetType = field(default=UNSET, name="_meta")


_probe = msgspec.json.Decoder(_ParamsVersion).decode


def said_version(frame: Frame) -> str | None:
    """The protocol version in the request's own `_meta`, if it has one; malformed parameters count as none.

    Parameters that cannot hold the key are not decoded; a backslash may spell any part of it.
    """
    if not isinstance(frame.params, Raw):
        return None
    params = bytes(frame.params)
    if _KEY not in params and b"\\" not in params:
        return None
    try:
        meta = _probe(params).meta
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return None if meta is UNSET or meta.version is UNSET else meta.version
