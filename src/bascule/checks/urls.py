"""URLs that may be fetched: http or https, a host that is plainly public, spelled so that all programs read it alike.

Knows spellings and addresses; resolves nothing and connects to nothing. A name says nothing about where it leads: who
fetches resolves it, puts every answer through `check_address`, connects to exactly one of those, and does all of that
again for every redirect (`redirected`).
Source: RFC 3986; the WHATWG URL Standard, where it reads differently.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, urljoin

from msgspec import Struct

from bascule.checks.addresses import parse_address, special
from bascule.checks.hostnames import host_name
from bascule.checks.rules import Rule
from bascule.errors import DeclarationError

MAX_URL = 4096
MAX_REDIRECTS = 10
PORTS = frozenset({80, 443, 8080, 8443})

_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]+)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NEVER = re.compile(r"[\x00-\x20\\\x7f-\xa0\ud800-\udfff\ufeff\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u206f]")
_ENCODED_CONTROL = re.compile(r"%(?:0[0-9a-f]|1[0-9a-f]|7f|5c)", re.IGNORECASE)
_NOT_IN_HOST = re.compile(r"[\s/@?#\\]|^[^:\[]*:[^:]*$")
_HIDDEN_HOST = re.compile(r"[?#][^/=&]*@")
_SAFE = "!$%&'()*+,-./:;=?@_~[]"


class PublicURL(Struct, frozen=True):
    """A URL that may be fetched, in one spelling. `host` is a name in ASCII, or an address as IPv6 and IPv4 write it.

    `is_address` says that nothing is left to resolve: the address was checked. `target` is path and query.
    """

    scheme: str
    host: str
    port: int
    target: str
    is_address: bool

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them: IPv6 in brackets, the scheme's own port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _OWN_PORTS[self.scheme] else f"{host}:{self.port}"


_OWN_PORTS = {"http": 80, "https": 443}


class PublicUrl(Rule):
    """The rule: a URL that may be fetched; the function gets it in one spelling, as text.

    `allow` narrows it to hosts: `"example.com"` is that host alone, `"*.example.com"` all below it, `[]` no host. It
    never widens: what is not public is refused whoever is allowed. Raises DeclarationError for what is no host.
    """

    def __init__(self, allow: Sequence[str] | None = None) -> None:
        self.allow = allowed_hosts(allow)
        self.notes = {"format": "uri", "maxLength": MAX_URL}

    def check(self, value: str) -> str:
        return str(check_url(value, self.allow))


def allowed_hosts(allow: Iterable[str] | None) -> frozenset[str] | None:
    """The hosts of an allow-list in the spelling that is compared. Raises DeclarationError for what is no host."""
    if allow is None:
        return None
    if isinstance(allow, str):
        raise DeclarationError("allow is a list of hosts, not one text")
    return frozenset(map(_allowed_host, allow))


def _allowed_host(entry: str) -> str:
    """The entry as it is compared. One that is not public stays: no URL that is compared has its host."""
    below = entry.startswith("*.")
    host = entry[2:] if below else entry
    if not host or _NOT_IN_HOST.search(host):
        raise DeclarationError(f"{entry!r} cannot be allowed: it is no host; write example.com, or *.example.com")
    try:
        name, _ = _host(f"[{host}]" if ":" in host and not host.startswith("[") else host)
    except ValueError:
        return entry.lower()
    return f"*.{name}" if below else name


def check_url(url: str, allow: frozenset[str] | None = None) -> PublicURL:
    """The URL, taken apart and in one spelling. `allow` is what `allowed_hosts` made; None allows every public host.

    Raises ValueError with what completes a sentence that starts with the URL ("has a user name, ..."). 5 to 12 µs,
    and 35 more when an international name is first met.
    """
    if len(url) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters")
    if (odd := _NEVER.search(url)) is not None:
        raise ValueError(f"has the character U+{ord(odd[0]):04X}, which no URL has; percent-encode it, or leave it out")
    parts = _PARTS.fullmatch(url)
    if parts is None or parts["scheme"].lower() not in _OWN_PORTS:
        raise ValueError("must begin with http:// or https://, and name a host")
    scheme, authority = parts["scheme"].lower(), parts["authority"]
    path, query = parts["path"] or "/", parts["query"] or ""
    if "@" in authority:
        raise ValueError("has a user name before the host; leave out all up to the @")
    if parts["path"] is None and _HIDDEN_HOST.match(query or parts["fragment"] or ""):
        raise ValueError("could be read as having another host; put a / after the host")
    if _ENCODED_CONTROL.search(path):
        raise ValueError("has a control character or a backslash in its path, percent-encoded")
    host, port = _split(authority, scheme)
    try:
        name, is_address = _host(host)
    except ValueError as wrong:
        raise ValueError(f"cannot be fetched: the host {wrong}") from None
    _check_allowed(name, is_address, allow)
    return PublicURL(scheme, name, port, quote(path + query, safe=_SAFE), is_address)


def check_address(text: str) -> str:
    """The address, in its own spelling, if it is plainly public. Raises ValueError as `check_url` does."""
    try:
        address = parse_address(text)
    except ValueError:
        raise ValueError("leads to what is no address") from None
    if (what := special(address)) is not None:
        raise ValueError(f"leads to {what}")
    return str(address)


def check_answers(addresses: Iterable[str]) -> list[str]:
    """All addresses that a name has, if there is one and every one is plainly public. Raises ValueError."""
    public = [check_address(address) for address in addresses]
    if not public:
        raise ValueError("leads nowhere: its host has no address")
    return public


def redirected(url: PublicURL, location: str, allow: frozenset[str] | None = None) -> PublicURL:
    """Where a redirect leads, checked like any URL. `location` may be relative. Raises ValueError."""
    if len(location) > MAX_URL or _NEVER.search(location):
        raise ValueError("has a redirect that is no URL")
    if _SCHEME.match(location) or location.startswith("//"):
        whole = location if not location.startswith("//") else f"{url.scheme}:{location}"
        return check_url(whole, allow)
    return check_url(urljoin(str(url), location), allow)


def check_chain(
    url: str,
    redirects: Sequence[str] = (),
    *,
    allow: frozenset[str] | None = None,
    dns: Mapping[str, Sequence[str]] | None = None,
) -> PublicURL:
    """Where a URL leads after these redirects, each of them checked, and their hosts where `dns` stands for resolution.

    A name that `dns` lacks has no address; without `dns` names are judged by themselves. Raises ValueError.
    """
    if len(redirects) > MAX_REDIRECTS:
        raise ValueError(f"has more than {MAX_REDIRECTS} redirects")
    known = None if dns is None else {_known(host): addresses for host, addresses in dns.items()}
    checked = check_url(url, allow)
    _check_resolved(checked, known)
    for place, location in enumerate(redirects, start=1):
        try:
            checked = redirected(checked, location, allow)
            _check_resolved(checked, known)
        except ValueError as wrong:
            raise ValueError(f"is refused at redirect {place}, which {wrong}") from None
    return checked


def _known(host: str) -> str:
    try:
        return host_name(host.removesuffix("."))
    except ValueError:
        return host.lower()


def _check_resolved(url: PublicURL, known: Mapping[str, Sequence[str]] | None) -> None:
    if known is not None and not url.is_address:
        check_answers(known.get(url.host, ()))


def _split(authority: str, scheme: str) -> tuple[str, int]:
    """Host and port; the host of an IPv6 address with its brackets."""
    end = authority.rfind("]")
    colon = authority.find(":", end + 1)
    if colon < 0:
        return authority, _OWN_PORTS[scheme]
    host, port = authority[:colon], authority[colon + 1 :]
    if _PORT.fullmatch(port) is None or int(port) not in PORTS:
        raise ValueError(f"has a port that is not one of {', '.join(map(str, sorted(PORTS)))}")
    return host, int(port)


def _host(host: str) -> tuple[str, bool]:
    """The host in one spelling, and whether it is an address, which then is public. Raises ValueError."""
    bracketed = host.startswith("[")
    if bracketed != host.endswith("]") or (not bracketed and ":" in host):
        raise ValueError("has brackets or colons that belong to no address")
    text = host[1:-1] if bracketed else host
    if bracketed or _looks_numeric(text):
        if bracketed and ":" not in text:
            raise ValueError("has brackets around what is no IPv6 address")
        try:
            address = parse_address(text)
        except ValueError:
            raise ValueError("is an address in a spelling that programs read differently") from None
        if (what := special(address)) is not None:
            raise ValueError(f"is {what}")
        return str(address), True
    return host_name(host), False


def _looks_numeric(text: str) -> bool:
    last = text.rpartition(".")[2]
    return last.isascii() and last.isdigit()


def _check_allowed(name: str, is_address: bool, allow: frozenset[str] | None) -> None:
    if allow is None or name in allow:
        return
    if not is_address:
        labels = name.split(".")
        if any("*." + ".".join(labels[start:]) in allow for start in range(1, len(labels))):
            return
    raise ValueError("has a host that is not among those allowed here")
