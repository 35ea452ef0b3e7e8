"""What a page is asked and what it answers: nothing that breaks out of its line, nothing that gets into a log."""

import pytest

from bascule import HttpRequest, HttpResponse, MCPError
from bascule.engine.exchange import ANONYMOUS
from bascule.engine.routes import MAX_FIELDS


def asked(**parts):
    return HttpRequest(**{"method": "GET", "path": "/p", "headers": {}, "principal": ANONYMOUS, **parts})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "b\r\nset-cookie: evil=1"),
        ("x-a", "b\nc"),
        ("x-a", "b\rc"),
        ("x-a", "b\0c"),
        ("x-a", "snowman ☃"),
        ("x-a\r\nx-b", "c"),
        ("x a", "b"),
        ("x-a:", "b"),
        ("", "b"),
        ("größe", "b"),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Upgrade", "h2c"),
        ("Access-Control-Allow-Origin", "*"),
        ("Content-Type", "text/html"),
    ],
)
def test_a_header_that_would_break_out_or_is_the_servers_own_is_refused(name, value):
    with pytest.raises(ValueError, match=r"header|content_type"):
        HttpResponse("text", headers={name: value})


@pytest.mark.parametrize("kind", ["text/html\r\nx: y", "text/html\n", "☃"])
def test_a_content_type_is_a_header_too(kind):
    with pytest.raises(ValueError, match="header"):
        HttpResponse("text", content_type=kind)


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, -1, 99999])
def test_a_status_that_does_not_end_an_answer_is_refused(status):
    with pytest.raises(ValueError, match="200 to 599"):
        HttpResponse("text", status)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_a_body_has_none(status):
    assert HttpResponse(status=status).head() == []
    with pytest.raises(ValueError, match="no body"):
        HttpResponse("text", status)


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ("größe", "größe".encode(), b"text/plain; charset=utf-8"),
        (b"\x00\xff", b"\x00\xff", b"application/octet-stream"),
        ({"a": 1}, b'{"a":1}', b"application/json"),
        ([1, 2], b"[1,2]", b"application/json"),
    ],
)
def test_each_kind_of_body_has_its_content_type_and_keeps_it_when_encoded(body, sent, kind):
    encoded = HttpResponse(body, headers={"X-A": "b"}).encoded()
    assert encoded.body == sent
    assert encoded.head() == [(b"x-a", b"b"), (b"content-type", kind)]


@pytest.mark.parametrize("body", [None, 3, object(), ("a",), {"a"}])
def test_what_is_no_body_is_refused(body):
    with pytest.raises(TypeError, match="must be a str"):
        HttpResponse(body)


def test_a_query_is_decoded_and_a_repeated_field_refused():
    assert asked(query_string="a=1&b=%C3%B6+x&c=").query == {"a": "1", "b": "ö x", "c": ""}
    for text in ("a=1&a=2", "a=1&%61=2", "&".join(f"f{number}=" for number in range(MAX_FIELDS + 1))):
        with pytest.raises(MCPError) as caught:
            _ = asked(query_string=text).query
        assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b'"\xed\xa0\x80"'])
def test_a_body_that_is_no_json_is_the_askers_fault(body):
    assert asked(body=b'{"a":[1]}').json() == {"a": [1]}
    with pytest.raises(MCPError) as caught:
        asked(body=body).json()
    assert caught.value.status == 400


def test_a_request_shows_no_secret_where_it_is_printed():
    request = asked(query_string="token=s3cret", headers={"cookie": "s3cret"}, body=b"s3cret")
    assert "s3cret" not in f"{request!r} {request}"
