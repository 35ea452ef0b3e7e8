"""Framing gives the same messages however the bytes were cut, and never holds more than it was allowed to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.engine.framing import HEAD_BYTES, Event, EventParser, LineSplitter, TooLong, encode_event
from bascule.errors import ParseError

LIMIT = 40


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in chunks that end at the given places."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def lines_of(chunks: list[bytes], limit: int = LIMIT) -> list[bytes]:
    splitter = LineSplitter(limit)
    return [line for chunk in chunks for line in splitter.feed(chunk)]


def events_of(chunks: list[bytes], limit: int = 10_000) -> list[Event]:
    parser = EventParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


places = st.lists(st.integers(0, 400), max_size=30)
stream_bytes = st.lists(
    st.sampled_from([b"\n", b"\r\n", b" ", b"{}", b"x" * 39, b"y" * 41, b"\r", b'{"a":1}']), max_size=20
).map(b"".join)
event_bytes = st.lists(
    st.sampled_from(
        [b"data: a", b"data:b", b"data", b": no", b"id: 7", b"retry: 50", b"event: x", b"\n", b"\r", b"\r\n", b"\n\n"]
    ),
    max_size=30,
).map(b"".join)


class TestLines:
    def test_lines_lose_their_newlines_and_blank_ones_are_left_out(self) -> None:
        assert lines_of([b'{"a":1}\r\n\n  \r\n{"b":2}\n{"rest"']) == [b'{"a":1}', b'{"b":2}']

    def test_a_line_may_arrive_byte_by_byte(self) -> None:
        assert lines_of([bytes([byte]) for byte in b"hello\nworld\n"]) == [b"hello", b"world"]

    def test_a_line_of_just_the_limit_passes(self) -> None:
        assert lines_of([b"x" * LIMIT + b"\n"]) == [b"x" * LIMIT]

    def test_a_longer_line_is_marked_once_and_the_next_is_read(self) -> None:
        lines = lines_of([b"x" * 30, b"x" * 30, b"x" * 30, b"\nnext\n"])
        assert [type(line) for line in lines] == [TooLong, bytes]
        assert lines[1] == b"next"

    @pytest.mark.parametrize("limit", [10, HEAD_BYTES + 10])
    def test_how_a_line_began_that_is_too_long_is_kept(self, limit: int) -> None:
        long = bytes(range(32, 127)) * 20
        for chunks in ([long + b"\n"], [long], [long[:5], long[5:]], [bytes([byte]) for byte in long]):
            (line,) = lines_of(chunks, limit)
            assert type(line) is TooLong
            assert line == long[: min(limit, HEAD_BYTES)]

    def test_the_mark_comes_before_the_line_ends(self) -> None:
        assert [type(line) for line in lines_of([b"x" * (LIMIT + 1)])] == [TooLong]

    def test_no_more_is_held_than_allowed(self) -> None:
        splitter = LineSplitter(LIMIT)
        for _ in range(1000):
            splitter.feed(b"x" * 30)
            assert len(splitter._held) <= LIMIT

    @given(stream_bytes, places)
    def test_how_the_bytes_are_cut_makes_no_difference(self, data: bytes, at: list[int]) -> None:
        assert lines_of(cut(data, at)) == lines_of([data])

    @given(st.lists(st.binary(min_size=1, max_size=LIMIT).map(lambda b: b.translate(None, b"\n\r \t")), max_size=20))
    def test_what_was_written_is_read(self, lines: list[bytes]) -> None:
        assert lines_of([b"".join(line + b"\n" for line in lines)]) == [line for line in lines if line]


class TestEncodeEvent:
    def test_data_is_all_that_an_event_needs(self) -> None:
        assert encode_event(b"{}") == b"data: {}\n\n"

    def test_id_and_retry_stand_first(self) -> None:
        assert encode_event(b"", "7-1", 500) == b"id: 7-1\nretry: 500\ndata: \n\n"

    @pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
    def test_an_id_that_would_break_the_field_is_refused(self, bad: str) -> None:
        with pytest.raises(ValueError, match="event id"):
            encode_event(b"{}", bad)

    @given(
        st.binary(max_size=200),
        st.none() | st.from_regex(r"[!-~]{1,9}", fullmatch=True),
        st.none() | st.integers(0, 99),
        places,
    )
    def test_what_was_encoded_is_parsed(
        self, data: bytes, event_id: str | None, retry: int | None, at: list[int]
    ) -> None:
        unified = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert events_of(cut(encode_event(data, event_id, retry), at)) == [Event(unified, None, event_id, retry)]


class TestEvents:
    def test_every_line_ending_ends_a_line(self) -> None:
        assert [event.data for event in events_of([b"data: a\n\ndata: b\r\n\r\ndata: c\r\r"])] == [b"a", b"b", b"c"]

    def test_a_line_feed_in_the_next_chunk_belongs_to_its_carriage_return(self) -> None:
        assert events_of([b"data: a\r", b"\n\r", b"\ndata: b\r\n\r\n"]) == [Event(b"a"), Event(b"b")]

    def test_data_lines_are_joined(self) -> None:
        assert events_of([b"data: a\ndata\ndata: b\n\n"]) == [Event(b"a\n\nb")]

    def test_comments_and_unknown_fields_mean_nothing(self) -> None:
        assert events_of([b": keep-alive\n\nfoo: bar\n\ndata: a\n\n"]) == [Event(b"a")]

    def test_a_byte_order_mark_is_skipped_however_it_is_cut(self) -> None:
        assert events_of([b"\xef", b"\xbb", b"\xbfdata: a\n\n"]) == [Event(b"a")]

    def test_only_one_blank_after_the_colon_is_dropped(self) -> None:
        assert events_of([b"data:  a\n\n"]) == [Event(b" a")]

    def test_an_event_may_have_no_data_but_an_id_or_a_retry_time(self) -> None:
        assert events_of([b"id: 1\nretry: 500\n\n"]) == [Event(b"", None, "1", 500)]

    @pytest.mark.parametrize("retry", [b"-1", b"1.5", b"soon", b"9" * 5000])
    def test_a_retry_time_that_is_none_is_ignored(self, retry: bytes) -> None:
        assert events_of([b"retry: " + retry + b"\ndata: a\n\n"]) == [Event(b"a")]

    def test_an_unfinished_event_is_none(self) -> None:
        assert events_of([b"data: a\n\ndata: b\n"]) == [Event(b"a")]

    def test_a_larger_event_is_refused_after_those_before_it(self) -> None:
        parser = EventParser(20)
        assert parser.feed(b"data: a\n\ndata: " + b"x" * 100) == [Event(b"a")]
        with pytest.raises(ParseError, match="more than 20 bytes"):
            parser.feed(b"data: b\n\n")

    def test_many_lines_count_together(self) -> None:
        parser = EventParser(100)
        with pytest.raises(ParseError, match="100"):
            parser.feed(b"data: 1234567890\n" * 100)

    def test_comments_for_hours_fill_nothing(self) -> None:
        parser = EventParser(20)
        for _ in range(1000):
            assert parser.feed(b": keep-alive\n") == []

    @given(event_bytes, places)
    def test_how_the_bytes_are_cut_makes_no_difference(self, data: bytes, at: list[int]) -> None:
        assert events_of(cut(data, at)) == events_of([data])

    @given(st.binary(max_size=300), places)
    def test_garbage_never_crashes_it(self, data: bytes, at: list[int]) -> None:
        assert events_of(cut(data, at)) == events_of([data])
