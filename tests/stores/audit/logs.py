"""Audit logs for tests: written in a moment, and read back."""

import json
from pathlib import Path

from bascule.engine.exchange import Principal
from bascule.engine.ports import Decision
from bascule.engine.settings import AuditSettings
from bascule.stores.audit.key import keys_from
from bascule.stores.audit.log import FileAudit
from bascule.stores.audit.verify import Report, verify

KEY = "a key of enough characters"
ALICE = Principal("https://issuer", "alice", "acme", "app", anonymous=False)
NOW = 1_700_000_000.25


def settings(folder: Path, **more) -> AuditSettings:
    return AuditSettings(file=str(folder / "audit.jsonl"), **{"key": KEY, "interval": 0.0, "fsync": "never", **more})


def decision(number: int = 0, arguments=b'{"a":1}', **more) -> Decision:
    said = {
        "time": NOW,
        "seconds": 0.0015,
        "principal": ALICE,
        "method": "tools/call",
        "kind": "tool",
        "feature": "add",
        "arguments": arguments,
        "outcome": "ok",
        "code": None,
        "guard": None,
        "trace": None,
        "request_id": number,
    }
    return Decision(**{**said, **more})


def written(chosen: AuditSettings, *decisions: Decision, **more) -> None:
    """A log with these decisions, by a process that began and ended."""
    log = FileAudit(chosen, **more)
    log.open()
    for one in decisions:
        log.put(one)
    log.close()


def checked(chosen: AuditSettings, **more) -> Report:
    return verify(chosen.file, keys_from(chosen, make=False), **more)


def lines(chosen: AuditSettings, *, present: bool = True) -> list[dict]:
    """All whole lines of the log, those of earlier files first; the last file may not be `present` at the moment."""
    current = Path(chosen.file)
    paths = sorted(path for path in current.parent.iterdir() if path.name.startswith(f"{current.name}.0"))
    data = b"".join(path.read_bytes() for path in paths)
    try:
        data += current.read_bytes()
    except FileNotFoundError:
        assert not present
    return [found for line in data.splitlines() if (found := read(line)) is not None]


def read(line: bytes) -> dict | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def calls(chosen: AuditSettings, **more) -> list[dict]:
    return [line for line in lines(chosen, **more) if line["kind"] == "call"]
