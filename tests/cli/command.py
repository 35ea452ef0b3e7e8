"""The command line as a user runs it: a child process that is always waited for."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SERVING = re.compile(r"on (http://\S+)")

SHOP = '''
import os, sys
from typing import Literal
from msgspec import Struct
from bascule import Context, ImageContent, ResourceContents, Server, ToolError

print("printed at import")
os.write(1, b"written at import\\n")
os.system("echo from a child at import")
app = Server("shop", version="2.0", instructions="Add things.")

@app.tool
def add(a: int, b: int = 2) -> int:
    """Add two numbers. Nothing more."""
    print("printed in a tool")
    return a + b

@app.tool
def greet(name: str, tags: list[str] = [], loud: bool | None = None) -> str:
    return f"{name} {tags} {loud}"

@app.tool
def fail() -> str:
    raise ToolError("It cannot be done.")

@app.tool
def picture() -> ImageContent:
    return ImageContent("aGVsbG8=", "image/png")

@app.tool
def environment(name: str) -> str:
    return os.environ.get(name, "unset")

@app.tool
async def hang(ctx: Context) -> str:
    import asyncio
    await ctx.report_progress(1, 4, "half\\x1b[31m way")
    print("hanging", file=sys.stderr, flush=True)
    await asyncio.sleep(600)
    return ""

class Ticket(Struct):
    title: str
    seats: int = 1
    meal: Literal["none", "vegan"] = "none"
    urgent: bool = False

@app.tool
async def book(ctx: Context) -> str:
    answer = await ctx.elicit("Please fill in\\x1b[2J the ticket", Ticket, key="ticket")
    return f"{answer.action} {answer.content}"

@app.tool
async def sign_in(ctx: Context) -> str:
    return (await ctx.elicit("Please sign in", url="https://example.com/in?x=1")).action

@app.tool
async def think(ctx: Context) -> str:
    return (await ctx.sample("Capital of France?", max_tokens=10)).text

@app.tool
async def where(ctx: Context) -> str:
    return " ".join(f"{root.name} {root.uri}" for root in await ctx.roots())

@app.tool
async def able(ctx: Context) -> str:
    return " ".join(str(ctx.client.can(what)) for what in ("elicitation", "sampling", "roots"))

@app.tool
async def login(password: str) -> str:
    return "welcome"

@app.tool
async def work(ctx: Context) -> str:
    await ctx.debug("looking")
    await ctx.info("started\\x1b[2J")
    await ctx.report_progress(1, 2, "half")
    await ctx.report_progress(2, 2, "done")
    return "worked"

@app.tool
async def touch(uri: str) -> str:
    app.notify_resource_updated(uri)
    app.notify_list_changed("tools")
    return "touched"

@app.resource("note://first")
def first() -> str:
    return "a note"

@app.resource("note://{name}")
def note(name: str) -> str:
    return name

@app.completion(argument="name", resource="note://{name}")
def names(value: str) -> list[str]:
    return [name for name in ("first", "second") if name.startswith(value)]

@app.resource("blob://one", mime_type="image/png")
def blob() -> bytes:
    return b"x" * 2048

@app.prompt
def review(code: str, tone: str = "kind") -> str:
    return f"Review, {tone}: {code}"

@app.completion(argument="tone", prompt="review")
def tones(value: str, given: dict) -> list[str]:
    tones = ["kind", "kinder", "strict", *given]
    return [tone for tone in tones if tone.startswith(value)]

app.run()
'''


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would change a server's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BASCULE_", "COLUMNS"))}
    for name in ("PORT", "DATABASE_URL", "NO_COLOR", "FORCE_COLOR"):
        kept.pop(name, None)
    return {**kept, **extra}


def words(*own: str) -> list[str]:
    return [sys.executable, "-m", "bascule", *own]


def run(*own: str, cwd: Path | None = None, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        words(*own), cwd=cwd, input=stdin, capture_output=True, text=True, timeout=60, env=environment(**extra)
    )


@contextmanager
def started(*own: str, cwd: Path | None = None, **extra: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until the block ends; its standard error can be read."""
    child = subprocess.Popen(
        words(*own),
        cwd=cwd,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        child.communicate()


def line_with(child: subprocess.Popen[str], wanted: str | re.Pattern[str]) -> str:
    """The next line of standard error that has this in it."""
    assert child.stderr is not None
    seen = []
    for line in child.stderr:
        if re.search(wanted, line):
            return line
        seen.append(line)
    raise AssertionError(f"the command ended without {wanted!r}: {seen}")


def lines_with(child: subprocess.Popen[str], *wanted: str) -> None:
    """Read standard error until there was a line for each of these patterns, in any order."""
    assert child.stderr is not None
    missing, seen = set(wanted), []
    while missing:
        line = child.stderr.readline()
        assert line, f"the command ended without {missing}: {seen}"
        seen.append(line)
        missing -= {pattern for pattern in missing if re.search(pattern, line)}


def url_of(child: subprocess.Popen[str]) -> str:
    """The address that a server says it serves on."""
    found = SERVING.search(line_with(child, SERVING))
    assert found is not None
    return found[1]


class Session(NamedTuple):
    """How a command at a terminal ended, and all that was seen there."""

    code: int
    shown: str


def at_a_terminal(
    *own: str, typed: Sequence[tuple[str, str]] = (), interrupt_at: str | None = None, cwd: Path | None = None, **extra
) -> Session:
    """Run a command at a terminal of 100 columns: each text is typed once the one before it in the pair is shown."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        words(*own), cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env=environment(COLUMNS="100", **extra)
    )
    os.close(slave)
    waiting = list(typed)
    shown, seen = "", 0
    try:
        while part := os.read(master, 65536):
            shown += part.decode(errors="replace")
            while waiting and (place := shown.find(waiting[0][0], seen)) >= 0:
                seen = place + len(waiting[0][0])
                os.write(master, waiting.pop(0)[1].encode())
            if interrupt_at is not None and interrupt_at in shown:
                interrupt_at = None
                child.send_signal(signal.SIGINT)
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(master)
        code = child.wait(20)
    assert not waiting, f"never seen: {waiting[0][0]!r} in {shown!r}"
    return Session(code, shown)
