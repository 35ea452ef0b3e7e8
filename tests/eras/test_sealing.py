"""Sealed state: opens only with our keys, for its own purpose, unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.eras.sealing import Sealer, Unsealable

OLD, NEW = b"an old secret of enough length", b"a new secret of enough length"


def test_what_was_sealed_opens_and_does_not_show_its_content():
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"principal", "session")
    assert sealer.open(sealed, "session") == b"principal"
    assert "principal" not in sealed


def test_another_purpose_does_not_open_it():
    sealer = Sealer([NEW])
    with pytest.raises(Unsealable):
        sealer.open(sealer.seal(b"x", "session"), "state")


def test_keys_rotate_without_breaking_what_is_out():
    out = Sealer([OLD]).seal(b"x", "session")
    assert Sealer([NEW, OLD]).open(out, "session") == b"x"
    with pytest.raises(Unsealable):
        Sealer([NEW]).open(out, "session")
    with pytest.raises(Unsealable):
        Sealer([OLD]).open(Sealer([NEW, OLD]).seal(b"x", "session"), "session")


def test_two_sealings_of_one_payload_differ():
    sealer = Sealer([NEW])
    assert sealer.seal(b"x", "session") != sealer.seal(b"x", "session")


def test_without_secrets_every_process_has_its_own_key():
    with pytest.raises(Unsealable):
        Sealer([]).open(Sealer([]).seal(b"x", "session"), "session")


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_closes_it(place, change):
    sealer = Sealer([NEW], random=lambda n: b"r" * n)
    sealed = bytearray(sealer.seal(b"payload", "session").encode())
    at = place % len(sealed)
    before = bytes(sealed)
    sealed[at] = (sealed[at] + change) % 128
    if bytes(sealed) == before:
        return
    try:
        assert sealer.open(sealed.decode("latin-1"), "session") == b"payload"  # unused bits of the last character
        assert at == len(sealed) - 1
    except Unsealable:
        pass


@given(st.text())
def test_any_other_text_is_refused_and_never_crashes(text):
    with pytest.raises(Unsealable):
        Sealer([NEW]).open(text, "session")
