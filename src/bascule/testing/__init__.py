"""The test kit: what tests of servers and clients stand on. Its doubles are small, deterministic and never sleep.

Names load when first used, so the pytest plugin costs nothing in a project that does not use it.
"""

from typing import TYPE_CHECKING, Any

from bascule.late import late

if TYPE_CHECKING:
    from bascule.testing.changes import Change as Change
    from bascule.testing.changes import compare as compare
    from bascule.testing.clock import ManualClock as ManualClock
    from bascule.testing.faults import Faults as Faults
    from bascule.testing.faults import Seen as Seen
    from bascule.testing.http import Serving as Serving
    from bascule.testing.http import serve_http as serve_http
    from bascule.testing.proxy import FaultyHttp as FaultyHttp
    from bascule.testing.proxy import faulty_http as faulty_http
    from bascule.testing.stdio import serve_stdio as serve_stdio
    from bascule.testing.streams import FaultyStream as FaultyStream
    from bascule.testing.streams import with_faults as with_faults
    from bascule.testing.surface import Snapshot as Snapshot
    from bascule.testing.surface import read_snapshot as read_snapshot
    from bascule.testing.surface import snapshot as snapshot

_HOMES = {
    "Change": "bascule.testing.changes",
    "Faults": "bascule.testing.faults",
    "FaultyHttp": "bascule.testing.proxy",
    "FaultyStream": "bascule.testing.streams",
    "ManualClock": "bascule.testing.clock",
    "Seen": "bascule.testing.faults",
    "Serving": "bascule.testing.http",
    "Snapshot": "bascule.testing.surface",
    "compare": "bascule.testing.changes",
    "faulty_http": "bascule.testing.proxy",
    "read_snapshot": "bascule.testing.surface",
    "serve_http": "bascule.testing.http",
    "serve_stdio": "bascule.testing.stdio",
    "snapshot": "bascule.testing.surface",
    "with_faults": "bascule.testing.streams",
}

__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bascule.testing' has no attribute {name!r}")
    value = globals()[name] = late(f"{home}:{name}")
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
