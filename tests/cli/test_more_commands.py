"""complete, subscribe, ping, and the wire that --trace shows."""

import json
import re
import signal
import sys

import pytest

from tests.cli.command import line_with, run, started, url_of

SHOP_COMMAND = ["--", sys.executable, "-m", "bascule", "serve", "shop.py"]


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_ping_tells_era_version_and_times(folder, era):
    done = run("ping", "shop.py", "--era", era, cwd=folder)
    version = "2026-07-28" if era == "modern" else "2025-11-25"
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"shop 2\.0 answered in \d+\.\d ms", first)
    assert re.fullmatch(rf"protocol {version} \({era}\), connected in \d+\.\d ms", second)


def test_ping_of_a_command_in_json():
    done = run("ping", "--json", "--", sys.executable, "-m", "bascule", "serve", "sql")
    found = json.loads(done.stdout)
    assert list(found) == ["era", "protocolVersion", "serverInfo", "connectMs", "pingMs"]
    assert (found["era"], found["serverInfo"]["name"] != "", found["pingMs"] > 0) == ("modern", True, True)


def test_complete_prints_one_suggestion_a_line(folder):
    done = run("complete", "shop.py", "--prompt", "review", "--argument", "tone", "kin", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "kind\nkinder\n")


def test_complete_says_what_the_other_arguments_are(folder):
    done = run("complete", "shop.py", "code=x", "--prompt", "review", "--argument", "tone", "", "--json", cwd=folder)
    assert json.loads(done.stdout)["completion"]["values"] == ["kind", "kinder", "strict", "code"]


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        (["--prompt", "reviw"], "There is no prompt 'reviw'; did you mean 'review'?"),
        (["--resource", "note://{nam}"], "There is no resource template 'note://{nam}'; did you mean 'note://{name}'?"),
    ],
)
def test_complete_names_what_is_nearest(folder, own, complaint):
    done = run("complete", "shop.py", *own, "--argument", "tone", "x", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


def test_complete_a_variable_of_a_template(folder):
    done = run("complete", "shop.py", "--resource", "note://{name}", "--argument", "name", "f", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "first\n")


def test_a_server_without_completion_says_so(folder):
    (folder / "plain.py").write_text("from bascule import Server\napp = Server('plain')\n")
    done = run("complete", "plain.py", "--prompt", "x", "--argument", "a", "b", cwd=folder)
    assert (done.returncode, done.stderr) == (2, "Error: The server offers no completion\n")


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_subscribe_says_that_it_listens_when_the_server_has_agreed_and_ends_after_enough(folder, era):
    with started("serve", "shop.py", "-t", "http", "-p", "0", cwd=folder) as server:
        url = url_of(server)
        own = ["subscribe", url, "note://first", "--tools", "--count", "2", "--era", era]
        with started(*own) as listener:
            line_with(listener, "Listening for changes of the list of tools, note://first; Ctrl-C ends it")
            assert run("call", url, "touch", "uri=note://first").stdout == "touched\n"
            out, _ = listener.communicate(timeout=20)
    assert listener.returncode == 0
    assert sorted(out.splitlines()) == ["note://first has changed", "the list of tools has changed"]


def test_subscribe_prints_json_lines_and_ends_well_with_ctrl_c(folder):
    with started("serve", "shop.py", "-t", "http", "-p", "0", cwd=folder) as server:
        url = url_of(server)
        with started("subscribe", url, "note://first", "--json") as listener:
            line_with(listener, "Listening for changes of note://first")
            run("call", url, "touch", "uri=note://first")
            told = json.loads(listener.stdout.readline())
            listener.send_signal(signal.SIGINT)
            out, err = listener.communicate(timeout=20)
    assert (listener.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert told == {"kind": "resource", "uri": "note://first"}


def test_subscribe_without_a_wish_is_to_all_lists(folder):
    with started("subscribe", "shop.py", cwd=folder) as listener:
        line_with(listener, "the list of tools, the list of prompts, the list of resources;")
        listener.send_signal(signal.SIGINT)
        listener.communicate(timeout=20)
    assert listener.returncode == 0


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_subscribe_refuses_what_is_not_offered(folder, era):
    (folder / "plain.py").write_text("from bascule import Server\napp = Server('plain')\n")
    for own in (["--tools"], ["x://y"], []):
        done = run("subscribe", "plain.py", *own, "--era", era, cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert "does not tell of changes" in done.stderr


def test_trace_shows_the_wire_without_secrets():
    with started("serve", "sql", "-t", "http", "-p", "0") as server:
        url = url_of(server)
        done = run(
            *("call", url, "query_database", "sql=SELECT 'Bearer abcdefghij' AS x", "--trace"),
            *("--header", "Authorization=Bearer geheim", "--header", "X-Plain: seen"),
        )
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert all(re.match(r" *\d+\.\d{3} (-->|<--) ", line) for line in lines)
    assert [line.split()[1] for line in lines] == ["-->", "<--"] * 3
    assert "server/discover" in lines[0]
    assert "tools/call" in lines[4]
    assert "geheim" not in done.stderr
    assert "abcdefghij" not in done.stderr
    assert "authorization: ***; x-plain: seen;" in lines[0]


def test_trace_of_a_password_over_stdio(folder):
    done = run("call", "login", "password=hunter2", "--trace", *SHOP_COMMAND, cwd=folder)
    assert done.stdout == "welcome\n"
    assert '"password":"***"' in done.stderr
    assert "hunter2" not in done.stderr


CONFIG = {
    "mcpServers": {
        "shop": {"command": sys.executable, "args": ["-m", "bascule", "serve", "shop.py"], "env": {"COLOUR": "green"}},
        "off": {"command": "x", "disabled": True},
        "wrong": {"command": 5, "url": "http://127.0.0.1:9/"},
    }
}


def test_a_server_is_named_in_a_file_of_servers(folder):
    (folder / "mcp.json").write_text(json.dumps(CONFIG))
    done = run("call", "shop", "environment", "name=COLOUR", "--config", "mcp.json", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "green\n")


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        (["shp"], "There is no server 'shp'; did you mean 'shop'? in mcp.json"),
        (["off"], "disabled"),
        (["wrong"], "'wrong'"),
        (["--", "x"], "the TARGET is the name of a server in that file"),
    ],
)
def test_a_server_that_the_file_does_not_have_is_wrong_use(folder, own, complaint):
    (folder / "mcp.json").write_text(json.dumps(CONFIG))
    done = run("list", "--config", "mcp.json", *own, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
