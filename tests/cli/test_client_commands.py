"""list, call, read and prompt against servers of every kind: ready-made, file, module, command, URL."""

import json
import signal
import sys

import pytest

from tests.cli.command import at_a_terminal, line_with, run, started, url_of

SHOP_COMMAND = ["--", sys.executable, "-m", "bascule", "serve", "shop.py"]
QUERY = "SELECT name, price FROM products ORDER BY id"


def test_list_shows_what_the_sample_database_offers():
    done = run("list", "sql")
    assert (done.returncode, done.stderr) == (0, "")
    assert "query_database  sql: string, limit: integer = 100" in done.stdout
    for wanted in ("Tools\nNAME ", "schema://products", "Templates\nURI ", "schema://{table}", "nl_to_sql"):
        assert wanted in done.stdout
    assert done.stdout.replace("…", "").isascii()


def test_list_shows_one_family_without_a_title():
    done = run("list", "sql", "--prompts")
    assert done.stdout.splitlines()[0].split() == ["NAME", "ARGUMENTS", "DESCRIPTION"]
    assert len(done.stdout.splitlines()) == 2


def test_call_shows_rows_as_columns():
    done = run("call", "sql", "query_database", f"sql={QUERY}", "limit=2")
    assert done.returncode == 0
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == ["name", "Classic kettle", "Compact kettle"]
    assert "there are more" in done.stderr


def test_call_reads_a_query_from_standard_input_and_prints_json():
    done = run("call", "sql", "query_database", "sql=@-", "--json", stdin="SELECT 1 AS one\n")
    assert json.loads(done.stdout)["structuredContent"]["rows"] == [[1]]
    assert done.stderr == ""


def test_a_tool_that_fails_gives_code_1_and_its_words():
    done = run("call", "sql", "query_database", "sql=DROP TABLE products")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: query_database failed: ")


def test_a_tool_that_fails_is_still_json_where_json_is_wanted(folder):
    done = run("call", "shop.py", "fail", "--json", cwd=folder)
    assert done.returncode == 1
    assert json.loads(done.stdout)["isError"] is True


def test_read_prints_the_text_of_a_resource():
    done = run("read", "sql", "schema://products")
    assert json.loads(done.stdout)["name"] == "products"


def test_read_names_the_nearest_resource_with_code_5():
    done = run("read", "sql", "schema://product")
    assert (done.returncode, done.stdout) == (5, "")
    assert "did you mean 'schema://products'?" in done.stderr


def test_read_names_a_blob_by_type_and_size(folder):
    assert run("read", "shop.py", "blob://one", cwd=folder).stdout == "[blob://one, image/png, 2.0 KiB]\n"


def test_prompt_prints_its_text(folder):
    done = run("prompt", "shop.py:app", "review", "code=x = 1", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "Review, kind: x = 1\n")


def test_what_a_file_prints_does_not_reach_standard_output(folder):
    done = run("call", "shop.py", "add", "a=1", "--json", cwd=folder)
    assert json.loads(done.stdout)["structuredContent"] == {"result": 3}
    for printed in ("printed at import", "written at import", "from a child at import", "printed in a tool"):
        assert printed in done.stderr


def test_a_module_is_a_target_too(folder):
    done = run("call", "shop:app", "greet", "name=1", 'tags=["a"]', "loud=true", cwd=folder)
    assert done.stdout == "1 ['a'] True\n"


def test_an_image_is_named(folder):
    assert run("call", "shop.py", "picture", cwd=folder).stdout == "[image, image/png, 5 bytes]\n"


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_command_after_the_dashes_is_started(folder, era):
    own = ["call", "environment", "name=COLOUR", "--env", "COLOUR=a=b", "--era", era]
    done = run(*own, *SHOP_COMMAND, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "a=b\n")


def test_a_url_is_called_with_headers():
    with started("serve", "sql", "-t", "http", "-p", "0") as server:
        url = url_of(server)
        listed = run("list", url, "--tools", "--header", "X-Trace: 1")
        called = run("call", url, "query_database", '{"sql": "SELECT 2 AS two"}')
        refused = run("list", url.replace("/mcp", "/elsewhere"))
    assert listed.returncode == 0
    assert "list_tables" in listed.stdout
    assert called.stdout == "two\n  2\n"
    assert refused.returncode == 5
    assert "Nothing is served here" in refused.stderr


@pytest.mark.parametrize(
    ("own", "code", "complaint"),
    [
        (["list", "http://127.0.0.1:9/mcp"], 3, "cannot be reached"),
        (["list", "--", "no-such-command"], 3, "cannot be started"),
        (["list", "--", sys.executable, "-c", "raise SystemExit(4)"], 3, "exit code 4"),
        (["list", "--timeout", "0.3", "--", sys.executable, "silent.py"], 4, "did not answer"),
        (["list", "two.py"], 2, "two.py:left, two.py:right"),
        (["list", "none.py"], 2, "no Server object; name one app, mcp, server"),
        (["list", "broken.py"], 2, "broken.py, line 1"),
        (["list", "raises.py"], 2, "ZeroDivisionError: division by zero"),
        (["list", "missing.py"], 2, "There is no file missing.py"),
        (["list", "shop.py:ap"], 2, "did you mean 'app'?"),
        (["list", "shop.py", "--header", "A: b"], 2, "Headers go with HTTP"),
    ],
)
def test_what_goes_wrong_has_its_code_and_its_line(folder, own, code, complaint):
    done = run(*own, cwd=folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1


def test_ctrl_c_ends_a_call_with_code_130(folder):
    with started("call", "hang", *SHOP_COMMAND, cwd=folder) as child:
        line_with(child, "hanging")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (130, "")
    assert err.endswith("Interrupted\n")
    assert "Traceback" not in err


def test_a_terminal_gets_lines_and_colours_unless_they_are_not_wanted():
    coloured = at_a_terminal("list", "sql", "--tools", TERM="xterm").shown
    assert "─" in coloured
    assert "\x1b[" in coloured
    assert "protocol 2026-07-28" in coloured
    assert "\x1b[3" not in at_a_terminal("list", "sql", "--tools", TERM="xterm", NO_COLOR="1").shown


def test_a_terminal_is_told_of_progress_and_cannot_be_steered(folder):
    ended = at_a_terminal("call", "shop.py", "hang", interrupt_at="way", cwd=folder, TERM="xterm")
    assert ended.code == 130
    assert "hang: [######------------------] 1/4 (25%) half\\x1b[31m way" in ended.shown
    assert ended.shown.endswith("\r\x1b[KInterrupted\r\n")
