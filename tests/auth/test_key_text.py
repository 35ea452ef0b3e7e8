"""The text of a key: random, whole, and told from a slip without a look-up."""

import os
import re

from hypothesis import given
from hypothesis import strategies as st

from bascule.auth.key_text import PREFIX, id_of, make_key


def test_a_key_has_prefix_id_secret_and_checksum():
    key = make_key(os.urandom)
    assert re.fullmatch(r"bsk_[0-9A-Za-z]{60}", key.text)
    assert key.text.startswith(PREFIX + key.id)
    assert id_of(key.text) == key.id


@given(st.binary(min_size=32, max_size=32))
def test_every_random_value_gives_a_key_of_one_length_that_names_its_id(data):
    key = make_key(lambda count: data[:count])
    assert len(key.text) == 64
    assert id_of(key.text) == key.id


def test_two_secrets_give_two_keys():
    keys = {make_key(lambda count, number=number: bytes(count - 1) + bytes([number])).text[15:58] for number in (1, 2)}
    assert len(keys) == 2


@given(st.integers(min_value=4, max_value=63), st.characters(codec="ascii", categories=["L", "N"]))
def test_one_wrong_character_is_noticed(place, letter):
    key = make_key(lambda count: bytes(range(count))).text
    slip = key[:place] + letter + key[place + 1 :]
    assert (id_of(slip) is None) == (slip != key)


def test_a_cut_key_a_longer_one_and_swapped_neighbours_are_noticed():
    key = make_key(lambda count: bytes(range(count))).text
    assert id_of(key[:-1]) is None
    assert id_of(key + "0") is None
    assert id_of(PREFIX) is None
    swapped = key[:30] + key[31] + key[30] + key[32:]
    assert swapped != key
    assert id_of(swapped) is None
