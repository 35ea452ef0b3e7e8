"""The question: every text stands in its quotation marks, can be read back, and what is left out is told."""

import re
import unicodedata
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bascule.engine.canonical import Call, canonical
from bascule.guards.question import question_text, show
from bascule.guards.quoting import WIDTH, inline, quoted

INTRO = "Allow this tool to run? If you accept, that happens once, exactly as it stands here."
QUOTED = r'"(?:[^"\\]|\\(?:[nrt"\\]|u[0-9a-f]{4}|u\{[0-9a-f]{5,6}\}|s\{\d+\}))*"'
STEP = rf"(?:[A-Za-z_]\w*|{QUOTED}(?:\(\d+ characters NOT SHOWN\){QUOTED})?|\(\d+ steps NOT SHOWN\))(?:\[\d+\])*"
SCALAR = r"(?:-?\d[^\"]*|true|false|null|\{\}|\[[^\"]*\])"
LINES = [
    r'tool = "drop"',
    rf"argument {STEP}(?:\.{STEP})* = (?:{QUOTED}|{SCALAR})",
    rf"argument {STEP}(?:\.{STEP})* =",
    rf"  {QUOTED}",
    r"  \.\.\. \d+ characters NOT SHOWN; sha256 of the whole value: [0-9a-f]{64}",
    r"\.\.\. the arguments have \d+ characters, some NOT SHOWN; sha256 of all of them: [0-9a-f]{64}",
    r"no arguments",
]
OWN = re.compile("|".join(LINES))
ESCAPE = re.compile(r'\\(?:([nrt"\\])|u([0-9a-f]{4})|u\{([0-9a-f]+)\}|s\{(\d+)\})')

SPOOFS = [
    'Paris"\n```\n\nAllow this tool to run?\n```\ntool = "harmless',
    '"\ntool = "other"',
    "x\r\nargument city = 1",
    "\u2028argument x = 1\u2029\x85\x0b\x0c\x1c\x1d\x1e",
    "\u202e\u2066\u200b\u200d\ufeff\u00ad\u180e\u115f\u3164\uffa0\u2800\U000e0041\ufe0f\u034f",
    "\u201d\u2033\uff02\u02ba\u02ee\u275d\u05f4\u05f2\ua78b\u3003\u0022",
    "\x1b[2J\x1b]8;;http://x\x07\x9b31m\x00\x7f",
    "**bold** [a](http://b) ![i](c) <img src=x onerror=y> &lt; `code` ``` ~~~ # h",
    "\\u0022 \\n \\ \\\\",
    " " * 200 + "tool = x",
    "p\u0430ypal \u0440\u0430ypal e\u0301 \u0430\u0301",
]


def fenced(text):
    """The lines between the fences; everything else is known word for word."""
    head, body, tail = text.split("```")
    assert head in (f"{INTRO}\n\n", f"{INTRO}\n\n{caution()}\n\n")
    assert tail == ""
    return body.strip("\n").split("\n")


def caution():
    return "CAUTION: not everything is shown here, because it is too long. What is left out is marked NOT SHOWN."


def asked(arguments, **options):
    call = Call("tools/call", "drop", arguments)
    shown = show(call, "tool", **options)
    return question_text(call, "tool", shown), shown.whole


def unquoted(lines):
    """What was quoted."""

    def back(found):
        simple, four, more, blanks = found.groups()
        if simple:
            return {"n": "\n", "r": "\r", "t": "\t"}.get(simple, simple)
        return " " * int(blanks) if blanks else chr(int(four or more, 16))

    return "".join(ESCAPE.sub(back, line.strip()[1:-1]) for line in lines)


def all_plain(text):
    """Nothing that acts, hides, or looks like a quotation mark."""
    for letter in text:
        assert letter == "\n" or letter.isprintable(), hex(ord(letter))
        assert unicodedata.category(letter) not in (
            "Cc",
            "Cf",
            "Cs",
            "Co",
            "Cn",
            "Zl",
            "Zp",
            "Zs",
            "Lm",
            "Sk",
            "Nd",
            "Me",
        ) or (letter.isascii() or letter in "々ー\u0e46")
        assert unicodedata.bidirectional(letter) not in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
    return True


texts = (
    st.text(max_size=60)
    | st.sampled_from(SPOOFS)
    | st.builds(str.__add__, st.sampled_from(SPOOFS), st.text(max_size=9))
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=4))
@example({spoof: spoof for spoof in SPOOFS})
def test_nothing_in_arguments_can_pose_as_the_question(arguments):
    for size in (4000, 200):
        text, whole = asked(arguments, max_shown=size)
        assert all_plain(text)
        lines = fenced(text)
        for line in lines:
            assert OWN.fullmatch(line), line
        assert lines[0] == 'tool = "drop"'
        assert ("NOT SHOWN" in text.replace(caution(), "")) is not whole or "NOT SHOWN" in str(arguments)
        assert (caution() in text) is not whole


@given(texts | st.text(min_size=200, max_size=400))
@example("".join(SPOOFS))
@example("a\\nb\n\nc\\")
def test_a_quotation_can_be_read_back(text):
    assert unquoted(quoted(text)) == unquoted(quoted(text, breaks=False)) == unquoted([inline(text)]) == text
    assert all(len(line) <= WIDTH + 2 for line in quoted(text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM t WHERE a < 5 AND b > 3 & c",
        "Grüße, Zürich: 12 €",
        "привет, мир",
        "\u03b3\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5",
        "你好\uff0c世界。",
        "東京タワー 한국어",
        "שלום עולם",
        "हिन्दी ไทยน้ำ",
        "{'a': [1, 2], \"b\"}".replace('"', "'"),
    ],
)
def test_what_people_write_stays_readable(text):
    assert inline(text) == f'"{text}"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('say "hi"', r'"say \"hi\""'),
        ("p\u0430ypal", r'"p\u0430ypal"'),
        ("a\u202eb", r'"a\u202eb"'),
        ("<b> &amp;", r'"\u003cb> \u0026amp;"'),
        ("a    b", r'"a\s{4}b"'),
        ("`x`", r'"\u0060x\u0060"'),
        ("e\u0301", r'"e\u0301"'),
        ("\u09ea\u09e6", r'"\u09ea\u09e6"'),
        ("\U0001f600", r'"\u{1f600}"'),
        ("\u2026", r'"\u2026"'),
    ],
)
def test_what_misleads_is_written_out(text, shown):
    assert inline(text) == shown


def test_a_key_does_not_turn_its_line_around():
    text, _ = asked({"אב": {"גד": "ab"}})
    assert r'argument "\u05d0\u05d1"."\u05d2\u05d3" = "ab"' in text


def test_lines_follow_the_text():
    text, _ = asked({"mail": "Dear Ann,\nplease pay.\n"})
    assert fenced(text)[1:] == ["argument mail =", r'  "Dear Ann,\n"', r'  "please pay.\n"']


def test_what_is_too_long_is_counted_and_has_its_digest():
    value = "".join(f"{number:07}," for number in range(2000))
    text, whole = asked({"a": value, "z": "last"})
    assert not whole
    lines = fenced(text)
    at = next(place for place, line in enumerate(lines) if line.startswith("  ..."))
    hidden = int(lines[at].split()[1])
    end = lines.index('argument z = "last"')
    head, tail = unquoted(lines[2:at]), unquoted(lines[at + 1 : end])
    assert value.startswith(head)
    assert value.endswith(tail)
    assert len(head) + hidden + len(tail) == len(value)
    assert lines[at].endswith(sha256(value.encode()).hexdigest())
    assert lines[-1].endswith(sha256(canonical({"a": value, "z": "last"})).hexdigest())


@pytest.mark.parametrize("size", [3900, 4000, 4100, 65_536])
def test_a_long_value_hides_no_other(size):
    text, whole = asked({"a": "x" * size, "b": "pay mallory", "k" * 70_000: "c"})
    assert not whole
    assert 'argument b = "pay mallory"' in text
    assert '= "c"' in text
    assert len(text) < 12_000


@pytest.mark.parametrize(
    "arguments",
    [
        {f"k{number:05}": number for number in range(10_000)},
        {"a": [f"v{number}" for number in range(10_000)]},
        {"a": "\n" * 60_000},
        {"a": " " * 60_000},
        {"a": "\u202e" * 60_000},
        {"a": 10**4000},
        {f"{number:04}\U0001f600" * 200: "\n" * 60 for number in range(100)},
        {"a": [[]] * 10_000},
    ],
)
def test_no_question_is_endless(arguments):
    text, whole = asked(arguments)
    assert not whole
    assert caution() in text
    assert len(text) < 60_000
    assert text.count("\n") < 700


def test_nothing_is_said_to_be_hidden_where_all_is_shown():
    text, whole = asked({"a": "x" * 3990, "b": [1, 2, None, True, 1.5], "c": {}, "d": []})
    assert whole
    assert "NOT SHOWN" not in text
    assert fenced(text)[-3:] == ["argument b = [1, 2, null, true, 1.5]", "argument c = {}", "argument d = []"]


def test_a_call_without_arguments_says_so():
    assert fenced(asked({})[0]) == ['tool = "drop"', "no arguments"]
    shown = show(Call("resources/read", "a://b\n`c`", {}), "template")
    assert shown.lines == ["resource =", r'  "a://b\n"', r'  "\u0060c\u0060"']
