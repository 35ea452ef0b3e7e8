"""Questions, logs and progress as they look at a real terminal, and without one."""

import json

import pytest

from tests.cli.command import at_a_terminal, run

HERE = {"TERM": "xterm"}
PROMPT = ")\r\n> "
FORM = [(PROMPT, "Kettle\n"), (PROMPT, "x\n"), (PROMPT, "2\n"), (PROMPT, "2\n"), (PROMPT, "y\n"), ("decline] ", "\n")]


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_form_is_filled_in_at_the_terminal(folder, era):
    ended = at_a_terminal("call", "shop.py", "book", "--era", era, typed=FORM, cwd=folder, **HERE)
    assert ended.code == 0
    assert "shop (shop.py) asks:\r\n  | Please fill in\\x1b[2J the ticket\r\n" in ended.shown
    assert "That does not fit: 'x' is no whole number" in ended.shown
    assert "1) none\r\n  2) vegan\r\n" in ended.shown
    assert "This will be sent:\r\n  title: Kettle\r\n  seats: 2\r\n  meal: vegan\r\n  urgent: yes\r\n" in ended.shown
    assert "accept Ticket(title='Kettle', seats=2, meal='vegan', urgent=True)" in ended.shown
    assert "\x1b[2J" not in ended.shown


@pytest.mark.parametrize(("key", "action"), [("\x04", "cancel"), ("/decline\n", "decline")])
def test_ctrl_d_cancels_a_form_and_a_word_declines_it(folder, key, action):
    ended = at_a_terminal("call", "shop.py", "book", typed=[(PROMPT, key)], cwd=folder, **HERE)
    assert (ended.code, f"{action} None" in ended.shown) == (0, True)


def test_ctrl_c_during_a_question_ends_the_command(folder):
    ended = at_a_terminal("call", "shop.py", "book", interrupt_at=PROMPT, cwd=folder, **HERE)
    assert ended.code == 130
    assert ended.shown.endswith("\r\n> \r\nInterrupted\r\n")


@pytest.mark.parametrize(("key", "action", "opens"), [("y\n", "accept", True), ("n\n", "decline", False)])
def test_a_page_is_opened_in_the_browser_only_with_consent(folder, tmp_path, key, action, opens):
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    ended = at_a_terminal(
        *("call", "shop.py", "sign_in"), typed=[("decline] ", key)], cwd=folder, BROWSER=f"{browser} %s", **HERE
    )
    assert "Host: example.com\r\nURL:  https://example.com/in?x=1\r\n" in ended.shown
    assert ended.shown.endswith(f"{action}\r\n")
    assert (opened.read_text() if opened.exists() else None) == ("https://example.com/in?x=1\n" if opens else None)


def test_a_model_is_stood_in_for_at_the_terminal_and_may_be_refused(folder):
    ended = at_a_terminal(
        "call", "shop.py", "think", typed=[("\r\n> ", "Paris\n"), ("\r\n> ", "\n")], cwd=folder, **HERE
    )
    assert (ended.code, ended.shown.endswith("Paris\r\n")) == (0, True)
    refused = at_a_terminal("call", "shop.py", "think", typed=[("\r\n> ", "\x04")], cwd=folder, **HERE)
    assert (refused.code, "Error: You refused the server a model's answer" in refused.shown) == (1, True)


def test_a_bar_and_logs_share_the_terminal(folder):
    ended = at_a_terminal("call", "shop.py", "work", cwd=folder, **HERE)
    assert "info: started\\x1b[2J\r\n" in ended.shown
    assert "work: [############------------] 1/2 (50%) half" in ended.shown
    assert "debug: looking" not in ended.shown
    assert ended.shown.endswith("\r\x1b[Kworked\r\n")


def test_without_a_terminal_nothing_is_declared(folder):
    assert run("call", "shop.py", "able", cwd=folder).stdout == "False False False\n"
    refused = run("call", "shop.py", "book", cwd=folder)
    assert (refused.returncode, refused.stdout) == (5, "")
    assert "elicitation" in refused.stderr


def test_what_is_given_is_declared(folder):
    able = run("call", "shop.py", "able", "--root", ".", "--answer", "-", stdin="[]", cwd=folder)
    assert able.stdout == "True True True\n"
    assert run("call", "shop.py", "where", "--root", ".", cwd=folder).stdout == f"{folder.name} {folder.as_uri()}\n"


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_file_answers_without_a_terminal(folder, tmp_path, era):
    (tmp_path / "answers.json").write_text(json.dumps([{"title": "Kettle", "seats": 3}]))
    done = run("call", "shop.py", "book", "--era", era, "--answer", str(tmp_path / "answers.json"), cwd=folder)
    assert done.stdout == "accept Ticket(title='Kettle', seats=3, meal='none', urgent=False)\n"
    wrong = run("call", "shop.py", "book", "--era", era, "--answer", "-", stdin='[{"seats": "x"}]', cwd=folder)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Error: The answer in - to 'Please fill in" in wrong.stderr
    assert "seats: this must be a number" in wrong.stderr


def test_verbose_shows_progress_and_all_logs_as_lines(folder):
    done = run("call", "shop.py", "work", "--verbose", cwd=folder)
    assert done.stdout == "worked\n"
    told = [line for line in done.stderr.splitlines() if ": " in line]
    assert told == [
        "debug: looking",
        "info: started\\x1b[2J",
        "work: 1/2 (50%) half",
        "work: 2/2 (100%) done",
    ]
    assert "work: " not in run("call", "shop.py", "work", cwd=folder).stderr
