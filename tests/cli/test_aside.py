"""Standard error: the line that is redrawn, what is said meanwhile, and what waits for a question."""

import io

from bascule.cli.aside import Aside, fitted
from bascule.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_is_said_takes_the_place_of_the_line_which_comes_back_below():
    stream = Terminal()
    aside = Aside(stream)
    aside.status("half way")
    aside.say("a log")
    assert stream.getvalue() == "\rhalf way\x1b[K\r\x1b[Ka log\n\rhalf way\x1b[K"


def test_what_is_said_during_a_question_waits_for_its_answer():
    stream = Terminal()
    aside = Aside(stream)
    aside.ask("Name? ")
    aside.say("a log")
    aside.status("half way")
    assert stream.getvalue() == "Name? "
    aside.heard()
    assert stream.getvalue() == "Name? a log\n"


def test_nothing_that_is_said_steers_the_terminal():
    stream = Terminal()
    aside = Aside(stream)
    aside.say("\x1b[2J")
    aside.status("\x1b]0;x\x07\n\r")
    aside.ask("\x9b1m")
    assert "\x1b" not in stream.getvalue().replace("\x1b[K", "")
    assert "\\x1b[2J" in stream.getvalue()
    assert "\\x9b1m" in stream.getvalue()


def test_a_line_is_cut_to_the_columns_that_it_takes():
    assert fitted("abcdef", 3) == "abc"
    assert fitted("日本語", 5) == "日本"
    assert fitted("e\u0301e\u0301", 2) == "e\u0301e\u0301"


def test_a_bar_shows_share_and_message_and_leaves_nothing_behind():
    stream = Terminal()
    with Progress(Aside(stream), "copy") as progress:
        assert progress.wanted
        progress.report(1, 4, "first file")
        progress.report(9, 4, None)
        progress.report(3, None, "uncounted")
    drawn = stream.getvalue().split("\r")[1:]
    assert drawn[0] == "copy: [######------------------] 1/4 (25%) first file\x1b[K"
    assert drawn[1].startswith(f"copy: [{'#' * 24}] 9/4 (100%)")
    assert drawn[2] == "copy: 3 uncounted\x1b[K"
    assert drawn[3] == "\x1b[K"


def test_without_a_terminal_progress_is_lines_and_only_where_they_are_wanted():
    stream = io.StringIO()
    assert not Progress(Aside(stream), "copy").wanted
    with Progress(Aside(stream), "copy", verbose=True) as progress:
        assert progress.wanted
        progress.report(1, 4, "first\nfile")
        progress.report(2, 0, None)
    assert stream.getvalue() == "copy: 1/4 (25%) first file\ncopy: 2\n"
