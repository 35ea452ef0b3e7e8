"""The examples of the page on the command line print what the page says."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import at_a_terminal, environment, words

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
SERVERS = {
    "review.py": """
from typing import Literal
from bascule import Server
app = Server("review")

@app.prompt
async def review(code: str, tone: Literal["kind", "kinder", "strict"] = "kind") -> str:
    return code
""",
    "vault.py": """
from bascule import Server
app = Server("vault")

@app.tool
async def open(password: str) -> str:
    return "It is open"
""",
    "tickets.py": """
from typing import Literal
from msgspec import Struct
from bascule import Context, Server
app = Server("tickets")

class Ticket(Struct):
    title: str
    meal: Literal["none", "vegan"] = "none"

@app.tool
async def book(ctx: Context) -> str:
    return str((await ctx.elicit("Please check the ticket", Ticket)).content)
""",
}


def blocks(page):
    """The commands of the console blocks, each with the lines that it prints."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ bascule ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed.rstrip("\n")


EXAMPLES = dict(blocks(PAGE.read_text()))
RUNNABLE = [
    pytest.param(command, printed, id=command)
    for command, printed in EXAMPLES.items()
    if printed and re.match(r"\w+ (sql|review\.py|vault\.py) ", command)
]


@pytest.fixture
def folder(tmp_path):
    for name, text in SERVERS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def pattern(printed):
    """Text as a pattern: an ellipsis is anything, and numbers are any number."""
    return re.sub(r"\d+", r"\\d+", re.escape(printed)).replace("…", ".*").replace("\\ ", " ")


@pytest.mark.parametrize(("command", "printed"), RUNNABLE)
def test_an_example_prints_what_the_page_says(command, printed, folder):
    done = subprocess.run(
        words(*shlex.split(command)),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    shown = done.stdout.splitlines()
    for line in printed.splitlines():
        assert any(re.fullmatch(pattern(line), one.rstrip()) for one in shown), (line, shown)


def test_enough_examples_are_run():
    assert {command.split()[0] for command in EXAMPLES} >= {"list", "call", "read", "prompt", "complete", "subscribe"}
    assert len(RUNNABLE) >= 4


def test_the_form_of_the_page_is_the_form_that_is_shown(folder):
    printed = EXAMPLES["call tickets.py book"]
    typed = re.findall(r"^> (.*)$", printed, re.MULTILINE)
    answers = [("\r\n> ", f"{text}\n") for text in typed] + [("decline] ", "\n")]
    ended = at_a_terminal("call", "tickets.py", "book", typed=answers, cwd=folder, TERM="xterm")
    assert ended.code == 0
    assert printed in ended.shown.replace("\r\n", "\n")
