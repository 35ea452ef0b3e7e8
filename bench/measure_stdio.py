"""What is measured over stdio: calls one after the other and pipelined, and the cold start to the first answer."""

import re
from time import perf_counter

from bench import messages, probe, stdio_load
from bench.child import Failed, running
from bench.figures import Book
from bench.plan import Plan
from bench.proc import seconds_between
from bench.targets import Target

WINDOWS = {"sequential": 1, "pipelined": 64}
"""How many requests are on their way at once."""

_IMPORTED = re.compile(r"^import time: +\d+ \|", re.MULTILINE)


def measure(target: Target, plan: Plan, book: Book) -> None:
    """One round of calls."""
    era = target.eras[0]
    with running(_command(target), target.variables, piped=True) as child:
        speaker = probe.StdioSpeaker(child, era)
        speaker.open()
        probe.check(speaker)
        child.settle()
        for name, window in WINDOWS.items():
            stdio_load.run(child, messages.add(), era, window, plan.warm)
            before = child.cpu()
            load = stdio_load.run(child, messages.add(), era, window, plan.seconds)
            cpu = seconds_between(before, child.cpu())
            book.note(target.name, f"stdio.{name}.cpu_us", cpu / load.replies * 1e6)
            book.note(target.name, f"stdio.{name}.per_s", load.replies / load.seconds)
            book.note(target.name, f"stdio.{name}.p50_ms", load.percentile(50) * 1e3)
            book.note(target.name, f"stdio.{name}.p99_ms", load.percentile(99) * 1e3)
        probe.check(speaker)


def cold_start(target: Target, book: Book) -> None:
    """Time and CPU from the start of the process to the first answered call, after a handshake."""
    started = perf_counter()
    with running(_command(target), target.variables, piped=True) as child:
        _first_call(probe.StdioSpeaker(child, "handshake"))
        seconds = perf_counter() - started
        child.settle()
        cpu = sum(child.cpu().threads.values()) / 1e9
    book.note(target.name, "cold.ms", seconds * 1e3)
    book.note(target.name, "cold.cpu_ms", cpu * 1e3)


def modules(target: Target, book: Book) -> None:
    """How many modules a Python server has imported when it has answered its first call. Nothing for other servers."""
    if target.environment == "node":
        return
    with running(_command(target), {**target.variables, "PYTHONPROFILEIMPORTTIME": "1"}, piped=True) as child:
        _first_call(probe.StdioSpeaker(child, "handshake"))
        count = len(_IMPORTED.findall(child.errors()))
    book.note(target.name, "cold.modules", count)


def _first_call(speaker: probe.StdioSpeaker) -> None:
    speaker.open()
    answer = speaker.ask("tools/call", {"name": "add", "arguments": {"a": 40, "b": 2}})
    if answer["result"]["content"][0]["text"] != "42":
        raise Failed(f"the first answer is wrong: {answer}")


def _command(target: Target) -> list[str]:
    command = target.command("stdio")
    assert command is not None
    return command
