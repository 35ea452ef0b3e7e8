"""URLs that may be fetched: every line of the table, through the check, through the rule and at the command line."""

import ipaddress
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule import Client, DeclarationError, PublicUrl, Server
from bascule.checks.addresses import special
from bascule.checks.urls import MAX_URL, allowed_hosts, check_address, check_chain, check_url, redirected

TABLE = tomllib.loads((Path(__file__).parent.parent / "attacks" / "urls.toml").read_text("utf-8"))
CASES = [
    *((case, False) for case in TABLE["attack"]),
    *((case, True) for case in TABLE["honest"]),
]


def judged(case):
    """The verdict of the check itself."""
    allow = allowed_hosts(case.get("allow"))
    try:
        check_chain(case["url"], case.get("redirects", ()), allow=allow, dns=case.get("dns"))
    except ValueError as wrong:
        return False, str(wrong)
    return True, ""


def test_the_table_is_long_enough_and_a_third_of_it_is_honest():
    assert len(CASES) >= 120
    assert 3 * len(TABLE["honest"]) >= len(CASES)
    assert len({(case["name"], case["url"]) for case, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("case", "honest"), CASES, ids=[case["name"][:60] for case, _ in CASES])
def test_attacks_are_refused_and_honest_urls_pass(case, honest):
    allowed, reason = judged(case)
    assert allowed is honest, reason
    assert honest or (reason and reason[0].islower())


def test_the_command_gives_the_same_verdicts_in_order():
    by_allow: dict = {}
    for number, (case, honest) in enumerate(CASES):
        by_allow.setdefault(json.dumps(case.get("allow")), []).append((number, case, honest))
    for allow, cases in by_allow.items():
        if allow == "[]":
            continue  # the command line has no empty list
        hosts = [word for host in json.loads(allow) or [] for word in ("--allow", host)]
        lines = "".join(json.dumps({"id": number, **case}) + "\n" for number, case, _ in cases)
        done = subprocess.run(
            [sys.executable, "-m", "bascule", "check", "url", *hosts], input=lines, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        verdicts = [json.loads(line) for line in done.stdout.splitlines()]
        assert [one["id"] for one in verdicts] == [number for number, _, _ in cases]
        wrong = [
            (case["name"], one)
            for one, (_, case, honest) in zip(verdicts, cases, strict=True)
            if (one["verdict"] == "allow") is not honest
        ]
        assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        "{}",
        '{"url": 1}',
        '{"url": null}',
        '{"url": "https://example.com/", "dns": []}',
        '{"url": "https://example.com/", "dns": {"example.com": 1}}',
        '{"url": "https://example.com/", "redirects": "x"}',
        '{"url": "https://example.com/", "redirects": [1]}',
        '{"id": NaN, "url": "https://example.com/"}',
        '{"id": -Infinity, "url": "https://example.com/"}',
    ],
)
def test_a_line_that_cannot_be_read_is_rejected_and_the_next_is_judged(line):
    done = subprocess.run(
        [sys.executable, "-m", "bascule", "check", "url"],
        input=f'{line}\n\n{{"id": "b", "url": "https://example.com/"}}\n',
        capture_output=True,
        text=True,
    )
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["verdict"], second["verdict"], second["id"]) == ("reject", "allow", "b")


async def test_the_rule_refuses_before_the_function_runs():
    app = Server("s")
    ran = []

    @app.tool
    def get(url: Annotated[str, PublicUrl(allow=["example.com"])]) -> str:
        ran.append(url)
        return url

    async with Client(app) as client:
        (tool,) = await client.list_tools()
        refused = await client.call_tool("get", {"url": "http://127.0.0.1/"})
        other = await client.call_tool("get", {"url": "http://example.net/"})
        served = await client.call_tool("get", {"url": "HTTP://Example.com:80?q=ü"})
    assert tool.input_schema["properties"]["url"]["format"] == "uri"
    assert refused.is_error
    assert 'Invalid arguments: "url" cannot be fetched: the host is a loopback address' in refused.content[0].text
    assert other.is_error
    assert served.content[0].text == "http://example.com/?q=%C3%BC"
    assert ran == ["http://example.com/?q=%C3%BC"]


@pytest.mark.parametrize("entry", ["", "https://example.com", "example.com/", "a b", "u@example.com", "example.com:80"])
def test_an_entry_that_is_no_host_is_refused_at_declaration(entry):
    with pytest.raises(DeclarationError, match="cannot be allowed"):
        PublicUrl(allow=[entry])


def test_one_text_is_no_list_of_hosts():
    with pytest.raises(DeclarationError, match="list of hosts"):
        PublicUrl(allow="example.com")


@given(st.ip_addresses())
def test_what_python_calls_special_is_special_here_too(address):
    assert special(address) is not None or address.is_global


@given(st.ip_addresses(v=4))
def test_no_address_inside_of_another_passes(address):
    for inner in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        with pytest.raises(ValueError, match="leads to"):
            check_address(inner)
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert special(six_to_four) is not None


@given(st.text(max_size=60))
def test_any_text_at_all_gets_a_verdict_and_one_spelling(text):
    for url in (text, f"http://{text}", f"https://{text}/x", f"https://example.com/{text}"):
        try:
            checked = check_url(url)
        except ValueError:
            continue
        again = check_url(str(checked))
        assert again == checked
        assert str(checked).isascii()


@given(st.text("/\\.:@?#[]%0x127a\u0435\t \u3002", max_size=24))
def test_what_passes_has_the_host_that_it_says(text):
    """The spelling that is fetched is read alike by Python's parser and by the client, whatever it was made of."""
    try:
        checked = check_url(f"http://{text}")
    except ValueError:
        return
    parts = urlsplit(str(checked))
    assert (parts.hostname, parts.username, parts.port or 80) == (checked.host, None, checked.port)
    sent = httpx2.URL(str(checked))
    assert (sent.raw_host.decode(), sent.userinfo, sent.port or 80) == (checked.host, b"", checked.port)


@given(st.text(max_size=40))
def test_no_redirect_leaves_what_is_public(location):
    try:
        led = redirected(check_url("https://example.com/a/b"), location)
    except ValueError:
        return
    assert check_url(str(led)) == led


def test_long_texts_are_refused_before_they_are_read():
    with pytest.raises(ValueError, match="longer"):
        check_url("http://" + "a" * MAX_URL)
