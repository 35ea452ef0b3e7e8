"""Host names: from what a URL has as its host to the one name that is looked up, or a sentence why not.

What two programs may read differently is refused, not repaired: compatibility characters, dots that are not ASCII,
percent signs, mixed scripts, labels that stand for other ones. Names that are never public are known here.
Source: RFC 1123, 2.1; RFC 5890 to 5892 (IDNA 2008); RFC 6761, RFC 6762, RFC 8375, RFC 9476; UTS 39, 5.1.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import idna

MAX_NAME = 253

_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_NEVER_PUBLIC = frozenset(
    "alt arpa consul corp docker domain home host-gateway internal intranet invalid ip6-localhost k8s kubernetes lan "
    "local localdomain localdomain6 localhost localhost6 loopback mail onion private svc workgroup".split()
)
"""Last labels that the public DNS does not have, or has for other ends than web sites."""

_LEADS_INSIDE = frozenset(
    "metadata.goog metadata.packet.net metadata.platformequinix.com "
    "nip.io sslip.io xip.io xip.name localtest.me lvh.me vcap.me lacolhost.com fuf.me ulh.us localho.st yoogle.com "
    "127-0-0-1.org.uk localhost.direct local.gd lcl.host spoofed.burpcollaborator.net bugbounty.dod.network "
    "mail.ebc.apple.com 1u.ms rbndr.us rebind.network rebind.it sslip.us traefik.me backname.io".split()
)
"""Public names, with all below them, that answer with metadata, loopback, or an address that is written in the name."""

_LOOKS_LATIN = frozenset("асеһіјӏорԛѕԝхуъЬҽпгѵѡ")
"""Cyrillic letters that pass for Latin ones: a label of nothing but these imitates another."""

_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
"""Scripts that one label may have together (UTS 39, "Highly Restrictive")."""

_KELVIN = "\u212a"
"""The one sign beyond ASCII whose small letter is in ASCII."""

_NEUTRAL = ("KATAKANA-HIRAGANA", "COMBINING", "IDEOGRAPHIC", "MODIFIER")
"""The first words of the names of characters that belong to no script."""


def host_name(host: str) -> str:
    """The name in ASCII and small letters. Raises ValueError with what completes "the host ..."."""
    if _KELVIN in host:
        raise ValueError("has a label that stands for another, or for no name")
    name = host.lower()
    odd = not name.isascii() or "xn--" in name
    if odd:
        name = _in_ascii(name)
    if name.endswith("."):
        raise ValueError("ends with a dot; leave the dot out")
    last = name.rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        raise ValueError("is an address in a spelling that programs read differently; write four decimal numbers")
    if last in _NEVER_PUBLIC:
        raise ValueError(f"ends in {last}, which is not public")
    if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        raise ValueError("is no public name: labels of letters, digits and hyphens, at least two, with dots between")
    _check_inside(name)
    return name


def _in_ascii(name: str) -> str:
    """The name whose labels are as IDNA 2008 has them already: nothing is mapped but capitals."""
    if len(name) > MAX_NAME:
        raise ValueError("is too long")
    labels = [_Label(label, label) if _is_plain(label) else _international(label) for label in name.split(".")]
    if not labels[-1].ascii.startswith("xn--") and any(label.imitates for label in labels):
        raise ValueError("imitates a name in Latin letters")
    return ".".join(label.ascii for label in labels)


def _is_plain(label: str) -> bool:
    return label.isascii() and not label.startswith("xn--")


class _Label(NamedTuple):
    """One label in ASCII and as people read it, and whether that passes for Latin letters."""

    ascii: str
    written: str
    imitates: bool = False


@lru_cache(maxsize=4096)
def _international(label: str) -> _Label:
    try:
        written = idna.ulabel(label) if label.isascii() else label
        ascii = idna.alabel(written).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise ValueError("has a label that stands for another, or for no name") from None
    if "." in ascii or (ascii if label.isascii() else written) != label or not ascii.startswith("xn--"):
        raise ValueError("has a label that stands for another, or for no name")
    scripts = {_script(sign) for sign in written} - {""}
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        raise ValueError("mixes scripts within one label")
    return _Label(ascii, written, set(written) - set("0123456789-") <= _LOOKS_LATIN)


def _script(sign: str) -> str:
    if not sign.isalpha():
        return ""
    first = unicodedata.name(sign, "UNNAMED").split()[0]
    return "" if first in _NEUTRAL else first


def _check_inside(name: str) -> None:
    labels = name.split(".")
    for start in range(len(labels) - 1):
        if ".".join(labels[start:]) in _LEADS_INSIDE:
            raise ValueError("is of a service whose names lead to private addresses")
