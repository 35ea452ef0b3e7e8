"""Rates as people write them, and keys that nobody can make two callers share."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule import ConfigError
from bascule.engine.policy import Window
from bascule.engine.rates import MAX_LIMIT, joined, network, windows

UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hours": 3600, "d": 86_400, "day": 86_400}
SPACE = st.sampled_from(["", " ", "\t"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60/min", [(60, 60.0)]),
        ("10/s, 600/h", [(10, 1.0), (600, 3600.0)]),
        ("5/10s", [(5, 10.0)]),
        (" 1 / 2 days ", [(1, 172_800.0)]),
        ("0005/s", [(5, 1.0)]),
    ],
)
def test_a_text_is_its_windows(text, expected):
    assert windows(text) == tuple(Window(*each) for each in expected)


WRONG = """
60;60/;/min;60/minn;60 per min;sixty/min;0/s;-1/s;1.5/s;1/0s;1/1.5s;nan/s;inf/s;1/nans;1/s,;,1/s;1/s 2/s;1/m;1/month
1e3/s;99999999999/s;1/400d;1/99999999d;\u0661/s;60/MIN;60/min\0;1/s/s
""".replace("\n", ";")


@pytest.mark.parametrize("text", ["", " ", ",", "1/s," * 9 + "1/s", *filter(None, WRONG.split(";"))])
def test_a_wrong_text_is_refused_in_one_sentence(text):
    with pytest.raises(ConfigError, match=r"\AThe rate .*must|\AA rate must have") as refused:
        windows(text)
    assert isinstance(refused.value, ValueError)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


@given(
    st.lists(st.tuples(st.integers(1, MAX_LIMIT), st.integers(1, 300), st.sampled_from(sorted(UNITS))), min_size=1),
    SPACE,
)
def test_every_rate_that_can_be_written_is_read(parts, space):
    text = ",".join(f"{space}{limit}{space}/{space}{count}{space}{unit}" for limit, count, unit in parts[:8])
    expected = [Window(limit, float(count * UNITS[unit])) for limit, count, unit in parts[:8]]
    assert windows(text) == tuple(dict.fromkeys(expected))


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        found = windows(text)
    except ConfigError:
        return
    assert all(limit >= 1 and math.isfinite(per) and per > 0 for limit, per in found)


@pytest.mark.parametrize(
    "wrong", [(0, 1.0), (1, math.nan), (1, math.inf), (1, 0.0), (1, -1.0), (math.nan, 1.0), (2.5, 1.0), (1, 1e9)]
)
def test_windows_that_cannot_hold_are_refused(wrong):
    with pytest.raises(ConfigError):
        windows([Window(*wrong)])


def test_windows_are_handed_back():
    assert windows([Window(3, 0.5)]) == (Window(3, 0.5),)


@given(
    st.lists(st.text(alphabet="0:1a|\0/", max_size=5), max_size=4),
    st.lists(st.text(alphabet="0:1a|\0/", max_size=5), max_size=4),
)
def test_different_parts_never_make_the_same_key(one, other):
    assert (joined(*one) == joined(*other)) == (one == other)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_ipv6_site_is_one_caller(address, expected):
    assert network(address) == expected
