"""The heads of the requests to one endpoint, written out: what is the same for many of them is put together once.

Knows header lines; no connection. A header that would break out of its line, or tell a lie about the body, is refused.
Source: RFC 9110, 5.5 and 5.6.2; RFC 9112, 6.
"""

import base64
import re
from collections.abc import Mapping

import httpx2

from bascule.errors import ConfigError
from bascule.version import VERSION

AGENT = f"bascule/{VERSION}"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_MOST_FORMS = 64


class Heads:
    """Writes request heads with these headers in all of them; a request's own replace those of the same name."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._always = {"Accept": "*/*", "Accept-Encoding": "gzip", "Connection": "keep-alive", "User-Agent": AGENT}
        self._always = _replaced(self._always, headers)
        self._url: httpx2.URL | None = None
        self._forms: dict[tuple[str, tuple[str, ...]], str] = {}

    def head(self, method: str, url: httpx2.URL, headers: Mapping[str, str], length: int | None) -> bytes:
        """The head of a request; `length` is that of its body. Raises ConfigError for a header that cannot be sent."""
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()):
                check_value(name, value)
        if url is not self._url:
            self._url = url
            self._forms.clear()
        key = (method, tuple(headers))
        form = self._forms.get(key)
        if form is None:
            form = self._form(method, url, headers)
        ending = "\r\n" if length is None else f"Content-Length: {length}\r\n\r\n"
        return (form % tuple(headers.values()) + ending).encode("ascii")

    def has(self, name: str) -> bool:
        """Whether all requests have this header; its name in lower case."""
        return any(own.lower() == name for own in self._always)

    def _form(self, method: str, url: httpx2.URL, headers: Mapping[str, str]) -> str:
        """A head with places for the values of a request's own headers."""
        for name in headers:
            check_name(name)
        always = {"Host": url.netloc.decode("ascii"), **_replaced(self._always, headers, leave_out=True)}
        if self.has("host"):
            del always["Host"]
        if url.userinfo:
            basic = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
            always = _replaced(always, {"Authorization": f"Basic {basic}"})
        lines = [f"{method} {url.raw_path.decode('ascii')} HTTP/1.1", *(f"{name}: {always[name]}" for name in always)]
        form = "\r\n".join(
            [*(line.replace("%", "%%") for line in lines), *(f"{name.replace('%', '%%')}: %s" for name in headers), ""]
        )
        if len(self._forms) >= _MOST_FORMS:
            self._forms.clear()
        self._forms[method, tuple(headers)] = form
        return form


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """These headers, if they can be sent. Raises ConfigError."""
    for name, value in headers.items():
        check_name(name)
        check_value(name, value)
    return dict(headers)


def check_name(name: str) -> None:
    """Raises ConfigError for a name that no header may have, or none that is given by hand."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"The header name {name!r} is not valid: letters, digits and hyphens are")
    if name.lower() in _FRAMING:
        raise ConfigError(f"The header {name} is written by the client itself: it says how long a message is")


def check_value(name: str, value: str) -> None:
    """Raises ConfigError for a value that does not fit on a header's line."""
    if not value.isascii() or not value.replace("\t", " ").isprintable():
        raise ConfigError(f"The value of the header {name} must be printable ASCII text on one line")


def _replaced(old: Mapping[str, str], new: Mapping[str, str], leave_out: bool = False) -> dict[str, str]:
    """`old` without what `new` has under the same name, and, unless those are left out, with `new`."""
    names = {name.lower() for name in new}
    kept = {name: value for name, value in old.items() if name.lower() not in names}
    return kept if leave_out else {**kept, **new}
