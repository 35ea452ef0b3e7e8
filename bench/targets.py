"""The targets, read from targets.toml and checked."""

import shlex
import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.environments import ENVIRONMENTS, ROOT, program

FILE = Path(__file__).parent / "targets.toml"
ERAS = ("stateless", "handshake")
PARTS = ("calls", "large", "many", "progress", "memory", "stdio", "cold")


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """One server under test."""

    name: str
    title: str
    environment: str
    package: str
    eras: tuple[str, ...]
    http: str | None = None
    stdio: str | None = None
    env: dict[str, str] = {}
    parts: tuple[str, ...] = PARTS
    streams: bool = True
    key: str = ""
    """The API key that its callers show; none where it is empty."""
    wrapped: bool = False
    """Whether it puts texts into envelopes for untrusted ones."""

    @property
    def variables(self) -> dict[str, str]:
        """Its environment: `env`, and for what is our own, that the code beside the benchmark runs and no other."""
        return {"PYTHONPATH": str(ROOT / "src"), **self.env} if self.environment == "own" else self.env

    def command(self, transport: str, port: int = 0) -> list[str] | None:
        """The whole command; None where the target does not speak the transport or its environment is missing."""
        line = self.http if transport == "http" else self.stdio
        start = program(self.environment)
        return None if line is None or start is None else [*start, *shlex.split(line.format(port=port))]

    def has(self, part: str) -> bool:
        """Whether this part is measured of it."""
        needed = self.stdio if part in ("stdio", "cold") else self.http
        return part in self.parts and needed is not None and (part != "progress" or self.streams)


def load(path: Path = FILE) -> list[Target]:
    """The targets of a file, in its order. Raises ValueError where a line cannot be right."""
    found = msgspec.convert(tomllib.loads(path.read_text())["target"], list[Target])
    for target in found:
        _check(target)
    if len({target.name for target in found}) != len(found):
        raise ValueError("two targets have one name")
    return found


def _check(target: Target) -> None:
    wrong = {*target.eras} - {*ERAS} or {*target.parts} - {*PARTS} or {target.environment} - {*ENVIRONMENTS}
    if wrong or not target.eras or (target.http or target.stdio) is None:
        raise ValueError(f"the target {target.name!r} is not right: {wrong or 'it has no era or no command'}")
    if target.http is not None and "{port}" not in target.http:
        raise ValueError(f"the target {target.name!r} does not say where its {{port}} goes")
