"""The command line as a user runs it: a child process that is always waited for."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVING = re.compile(r"on (http://\S+)")

SHOP = '''
import os, sys
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

@app.resource("note://first")
def first() -> str:
    return "a note"

@app.resource("blob://one", mime_type="image/png")
def blob() -> bytes:
    return b"x" * 2048

@app.prompt
def review(code: str, tone: str = "kind") -> str:
    return f"Review, {tone}: {code}"

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


def url_of(child: subprocess.Popen[str]) -> str:
    """The address that a server says it serves on."""
    found = SERVING.search(line_with(child, SERVING))
    assert found is not None
    return found[1]
