"""The credential in a head: which text is taken, for any text that can stand there."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.auth.credential import credential
from bascule.errors import InvalidRequest, Unauthenticated

VALUES = st.none() | st.text(st.characters(max_codepoint=255), max_size=30).flatmap(
    lambda text: st.sampled_from([text, f"Bearer {text}", f"bearer  {text}\t"])
)


@pytest.mark.parametrize("value", ["Bearer abc", " bearer  abc\t ", "BEARER abc"])
def test_white_space_around_and_the_case_of_the_scheme_do_not_count(value):
    assert credential({"authorization": value}) == "abc"
    assert credential({"authorization": value, "x-api-key": " abc "}) == "abc"
    assert credential({"x-api-key": "\tabc "}) == "abc"


@given(VALUES, VALUES)
def test_what_is_taken_stands_in_a_header_and_two_never_differ(authorization, key):
    given = {"authorization": authorization, "x-api-key": key}
    headers = {name: value for name, value in given.items() if value is not None}
    with contextlib.suppress(Unauthenticated, InvalidRequest):
        taken = credential(headers)
        assert taken
        assert taken == taken.strip(" \t")
        for value in headers.values():
            assert value.strip(" \t").endswith(taken)
