"""Addresses: which of them are plainly public, and what the others are.

The table is written out, because what a standard library calls global changes between versions and counts several
ranges as global that lead into a network, or to an address that is written inside of another. IPv6 is public only
where addresses are given out to the public, 2000::/3; IPv4 wherever the table has no line.
Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 6890, RFC 8190, RFC 4291, RFC 6052, RFC 5214.
"""

from bisect import bisect_right
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_IPV4 = {
    "0.0.0.0/8": "an address of this host",
    "10.0.0.0/8": "a private address",
    "100.64.0.0/10": "an address behind a carrier's NAT",
    "127.0.0.0/8": "a loopback address",
    "168.63.129.16/32": "a cloud's metadata address",
    "169.254.0.0/16": "a link-local address, where clouds serve metadata",
    "172.16.0.0/12": "a private address",
    "192.0.0.0/24": "an address for protocols",
    "192.0.2.0/24": "an address for documentation",
    "192.31.196.0/24": "an address for protocols",
    "192.52.193.0/24": "an address for protocols",
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": "a private address",
    "192.175.48.0/24": "an address for protocols",
    "198.18.0.0/15": "an address for benchmarks",
    "198.51.100.0/24": "an address for documentation",
    "203.0.113.0/24": "an address for documentation",
    "224.0.0.0/4": "a multicast address",
    "240.0.0.0/4": "a reserved or broadcast address",
}

_IPV6 = {
    "::/128": "the unspecified address",
    "::1/128": "the loopback address",
    "::/96": "an IPv4-compatible address",
    "::ffff:0:0/96": "an IPv4-mapped address",
    "::ffff:0:0:0/96": "an IPv4-translated address",
    "64:ff9b::/96": "a NAT64 address",
    "64:ff9b:1::/48": "a NAT64 address of local use",
    "100::/64": "an address that is thrown away",
    "100:0:0:1::/64": "an address for protocols",
    "2001::/32": "a Teredo address",
    "2001:2::/48": "an address for benchmarks",
    "2001:10::/28": "an ORCHID, which is no address",
    "2001:20::/28": "an ORCHID, which is no address",
    "2001::/23": "an address for protocols",
    "2001:db8::/32": "an address for documentation",
    "2002::/16": "a 6to4 address",
    "2620:4f:8000::/48": "an address for protocols",
    "3ffe::/16": "an address of the ended 6bone",
    "3fff::/20": "an address for documentation",
    "5f00::/16": "a segment identifier, which is no address",
    "fd00:ec2::254/128": "a cloud's metadata address",
    "fc00::/7": "a private address",
    "fe80::/10": "a link-local address",
    "fec0::/10": "a site-local address",
    "ff00::/8": "a multicast address",
}
"""The first line that holds an address says what it is."""

_GIVEN_OUT = 0b001
"""The first three bits of 2000::/3."""

_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""What stands before the IPv4 address in the interface identifier of an ISATAP address (RFC 5214, 6.1)."""

_FOUR = sorted((int(net[0]), int(net[-1]), what) for net, what in ((IPv4Network(n), w) for n, w in _IPV4.items()))
_FOUR_STARTS = [first for first, _, _ in _FOUR]
_SIX = [(int(net[0]), int(net[-1]), what) for net, what in ((IPv6Network(n), w) for n, w in _IPV6.items())]
_SIX_GIVEN_OUT = [line for line in _SIX if line[0] >> 125 == _GIVEN_OUT]


def parse_address(text: str) -> Address:
    """The address that a text is: four decimal numbers without leading zeros, or IPv6 without a zone.

    Raises ValueError for any other spelling, of which systems read several as addresses.
    """
    if "%" in text or not text.isascii():
        raise AddressValueError("an address has no zone here")
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def special(address: Address) -> str | None:
    """What an address is that is not plainly public, with its article; None for one that is."""
    number = int(address)
    if isinstance(address, IPv4Address):
        place = bisect_right(_FOUR_STARTS, number) - 1
        return _FOUR[place][2] if place >= 0 and number <= _FOUR[place][1] else None
    given_out = number >> 125 == _GIVEN_OUT
    for first, last, what in _SIX_GIVEN_OUT if given_out else _SIX:
        if first <= number <= last:
            return what
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return "an ISATAP address"
    return None if given_out else "an address that is given out to nobody"
