"""The entry point: help, version, exit codes and the one line that goes with them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bascule import __version__
from bascule.cli import exits, main
from bascule.cli.commands import COMMANDS, GROUPS
from bascule.errors import CallTimedOut, ConfigError, ConnectionLost, MCPError
from tests.cli.command import environment, run

HEAVY = {"asyncio", "httpx2", "uvicorn", "msgspec", "bascule.serve", "bascule.server", "bascule.client"}


def test_the_script_tells_the_version():
    script = Path(sys.executable).parent / "bascule"
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, __version__, "")


def test_help_names_every_command_and_exit_code():
    done = run("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name.partition(' ')[0]} " in done.stdout
    assert exits.TABLE in done.stdout
    assert run().stdout == done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_that_fits_a_terminal(name):
    done = run(*name.split(), "--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
    assert done.stdout.isascii()


def test_the_documentation_knows_every_command_option_and_exit_code():
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    pages = "\n".join(run(*name.split(), "--help").stdout for name in COMMANDS)
    options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", pages, re.MULTILINE))
    codes = [line.split()[0] for line in exits.TABLE.splitlines()]
    wanted = [f"`bascule {name}" for name in COMMANDS] + [f"`{option}" for option in sorted(options)]
    assert len(options) > 15
    assert [text for text in [*wanted, *(f"| {code} |" for code in codes)] if text not in page] == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_first_of_two_words_alone_names_the_second(group):
    done = run(group)
    assert done.returncode == 0
    for name in COMMANDS:
        assert not name.startswith(f"{group} ") or f"  {name.partition(' ')[2]} " in done.stdout


@pytest.mark.parametrize("line", [["--help"], ["serve", "x", "--help"], ["keys", "create", "--help"]])
def test_help_loads_neither_server_nor_client(line):
    code = f"import sys, bascule.cli.main as m; m.main({line!r}); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 0
    assert HEAVY.intersection(eval(done.stderr)) == set()


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (CallTimedOut("Too late"), 4, "Too late"),
        (ConnectionLost("Gone"), 3, "Gone"),
        (ConfigError("Wrong"), 2, "Wrong"),
        (MCPError("No", code=-32601), 5, "No (error -32601)"),
        (MCPError("No", code=401), 5, "No (HTTP 401)"),
        (ExceptionGroup("one", [ConnectionLost("Gone")]), 3, "Gone"),
        (KeyError("x"), 70, "Unforeseen KeyError: 'x' (--debug shows where)"),
    ],
)
def test_every_error_has_its_code(error, code, sentence):
    assert exits.outcome(error) == (code, sentence)


def test_an_error_is_one_line_whatever_it_says(capsys):
    assert exits.tell(3, "a\nb\x1b[31m  c") == 3
    assert capsys.readouterr().err == "Error: a b [31m c\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("lst", 'Did you mean "list"?'),
        ("list sql --jsn", "Did you mean --json?"),
        ("list", "Which server?"),
        ("list --", "there is none"),
        ("call sql", "The tool's NAME is missing"),
        ("read sql a b", "'b' is one word too many"),
        ("serve sql -- x", "serve takes no server's command"),
        ("list sqll", "There is no server 'sqll'; did you mean 'sql'?"),
        ("list a/b", "'a/b' is no server"),
        ("list sql --timeout 0", "--timeout takes"),
        ("list sql --header X", "--header takes NAME=VALUE"),
        ("list sql --env A=1", "--env is for a command"),
        ("list http://127.0.0.1:9/ --db x", "--db is for the ready-made server sql"),
        ("serve sql -p 1", "add --transport http"),
        ("serve sql -t http --reload", "--reload is for servers of your own"),
        ("serve http://127.0.0.1:9/", "is served already"),
        ("call sql query_databse", "There is no tool 'query_databse'; did you mean 'query_database'?"),
        ("call sql query_database sq=1", "query_database has no argument 'sq'; did you mean 'sql'?"),
        ("complete sql --argument a b", "Give --prompt NAME or --resource TEMPLATE"),
        ("complete sql --prompt a --resource b --argument a b", "and not both"),
        ("complete sql --prompt nl_to_sql", "Give --argument NAME VALUE"),
        ("keys lst", 'Did you mean "list"?'),
        ("keys list --db no/file", "There is no key database no/file"),
        ("keys create", "--name"),
        ("keys create --name a/b", "'a/b' is no name for a key"),
        ("keys create --name a --scopes tööls", "'tööls' is no scope"),
        ("keys create --name a --expires 0d", "--expires must be more than nothing"),
        ("keys create --name a --expires soon", "--expires takes a time"),
        ("keys create --name a --db no/file", "The key database no/file cannot be made: No such file"),
        ("keys rotate a --overlap 1y", "--overlap takes a time"),
        ("ping sql twice", "'twice' is one word too many"),
        ("subscribe sql --count 0", "--count takes a number above 0"),
        ("call sql list_tables --root no/folder", "--root takes a folder, and no/folder is none"),
        ("call sql list_tables --answer no/file", "The file no/file cannot be read"),
        ("prompt sql nl_to_sq", "There is no prompt 'nl_to_sq'; did you mean 'nl_to_sql'?"),
    ],
)
def test_wrong_use_is_told_in_one_line_with_code_2(line, complaint, monkeypatch, capfd):
    for name in ("PORT", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("bascule.cli.connection.logs.for_client", lambda debug: None)
    monkeypatch.setattr("bascule.cli.screen.Screen.claim", classmethod(lambda kind: kind(sys.stdout)))
    code = main.main(line.split())
    out, err = capfd.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert complaint in err


def test_debug_shows_the_traceback(folder):
    done = run("list", "raises.py", "--debug", cwd=folder)
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in done.stderr


def test_output_that_nobody_reads_is_no_fault():
    with subprocess.Popen(
        [sys.executable, "-m", "bascule", "list", "sql", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as child:
        child.stdout.close()
        assert (child.wait(30), child.stderr.read()) == (141, "")


def test_json_is_all_there_is_on_standard_output(folder):
    done = run("list", "shop.py", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert list(found) == ["tools", "resources", "resourceTemplates", "prompts"]
    assert done.stdout.count("\n") == 1
