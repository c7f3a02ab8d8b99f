"""The egress guard: a pure policy on URLs and addresses. Everything that is not plainly public is refused.

The tables are ours rather than `ipaddress.is_global`, whose answers changed between Python patch releases.
They follow the IANA special-purpose registries:
https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from holdfast.outbound.errors import Blocked

Address = IPv4Address | IPv6Address

_CLOSED_V4 = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches loopback on Linux
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598; one cloud's metadata service is at 100.100.100.200
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, RFC 3927: the metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890; one cloud's metadata service is at 192.0.0.192
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # AMT relays, RFC 7450
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        # Public by number, yet the host agent of Azure machines answers there with secrets in its replies:
        # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        "168.63.129.16/32",
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    IPv6Network(net)
    for net in (
        "2001::/23",  # IETF protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056: hides an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation, RFC 9637
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052. The local-use prefix 64:ff9b:1::/48 (RFC 8215) stays closed: where its IPv4 address sits depends
on the network, so no embedded address can be read from it with certainty."""

_PRIVATE_V4 = tuple(IPv4Network(net) for net in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_METADATA_V6 = IPv6Network("fd00:ec2::/32")
"""Instance metadata of one cloud, inside the private range: closed even where private addresses are open."""

_URL = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]{1,63}")
# A last label that reads as a number makes the whole host an IPv4 address to some parsers:
# https://url.spec.whatwg.org/#ends-in-a-number-checker
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\]")
"""Control characters, spaces, anything beyond ASCII, and the backslash that browsers read as a slash."""

_LOWEST_FREE_PORT = 1024
"""Below it, 443 (and 80 for plain HTTP) apart, other protocols listen: mail, ssh, databases of names."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a checked URL leads. `literal` is set if the host is an address."""

    scheme: Literal["https", "http"]
    host: str
    port: int
    literal: Address | None


def check_url(url: str, *, allow_private: bool) -> None:
    """Return if `url` may be sent to, as far as its text tells. Does not resolve names. Raises Blocked."""
    target_of(url, allow_private=allow_private)


def target_of(url: str, *, allow_private: bool) -> Target:
    """Return where `url` leads, checked as by `check_url`. Raises Blocked."""
    if _UNSAFE.search(url):
        raise Blocked("The URL holds a space, a backslash, a control character or a character beyond ASCII.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise Blocked("The URL is not of the form https://host/path.")
    return _target(parts["scheme"].lower(), parts["authority"], allow_private)


@lru_cache(maxsize=1024)
def _target(scheme_name: str, authority_text: str, allow_private: bool) -> Target:
    """The part of a URL that says where it leads: no secret is ever in it, so it may be kept."""
    scheme = _scheme(scheme_name, allow_private)
    if "@" in authority_text:
        raise Blocked("The URL holds a user name or password before its host.")
    authority = _AUTHORITY.fullmatch(authority_text)
    if authority is None:
        raise Blocked("The URL's host is not a host name or an address.")
    host = authority["host"].lower()
    literal = _literal(host)
    if literal is not None and not may_connect(literal, scheme=scheme, allow_private=allow_private):
        raise Blocked(refusal(host, scheme))
    return Target(scheme, host, _port(authority["port"], scheme), literal)


def may_connect(ip: str | Address, *, scheme: Literal["https", "http"], allow_private: bool) -> bool:
    """Tell whether a connection to `ip` is allowed.

    Plain HTTP stays within private networks, where those are open.
    """
    if scheme == "http":
        return allow_private and is_private(ip)
    return is_public(ip) or (allow_private and is_private(ip))


def refusal(host: str, scheme: str) -> str:
    """Return the sentence that explains why `host` was refused by its address."""
    if scheme == "http":
        return f"{host} is not a private address, and plain http is for those alone. Use https."
    return f"{host} does not lead to a public address, and this server only calls public ones."


def is_public(ip: str | Address) -> bool:
    """Tell whether `ip` is globally reachable.

    An address that hides another (mapped, 6to4, Teredo) is not.
    """
    address = _parse(ip)
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _CLOSED_V4)
    if address is None:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST_V6 and not any(address in net for net in _CLOSED_V6)


def is_private(ip: str | Address) -> bool:
    """Tell whether `ip` is loopback or of a private network. Link-local and metadata addresses are not."""
    address = _parse(ip)
    if isinstance(address, IPv4Address):
        return any(address in net for net in _PRIVATE_V4)
    if address is None or address in _METADATA_V6:
        return False
    return any(address in net for net in _PRIVATE_V6)


def _parse(ip: str | Address) -> Address | None:
    """Return the address, or None for odd forms and for those that carry a zone (`fe80::1%eth0`)."""
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return None
    return address


def _scheme(scheme: str, allow_private: bool) -> Literal["https", "http"]:
    if scheme == "https":
        return "https"
    if scheme == "http" and allow_private:
        return "http"
    raise Blocked("The URL's scheme is not https.")


def _literal(host: str) -> Address | None:
    """Return the address a host is written as, or None for a name.

    Raises Blocked for forms parsers differ on.
    """
    if host.startswith("["):
        address = _parse(host[1:-1])
        if not isinstance(address, IPv6Address):
            raise Blocked("The URL's host is not a valid IPv6 address.")
        return address
    if host.endswith("."):
        raise Blocked("The URL's host ends with a dot.")
    if _NAME.fullmatch(host) is None:
        raise Blocked("The URL's host is not a valid host name.")
    if _NUMERIC.fullmatch(host.rsplit(".", 1)[-1]) is None:
        return None
    address = _parse(host)
    if address is None:
        raise Blocked("The URL's host is a number in an odd form. Write the address as four decimal numbers.")
    return address


def _port(text: str | None, scheme: Literal["https", "http"]) -> int:
    usual = 443 if scheme == "https" else 80
    port = int(text) if text else usual
    if port != usual and not _LOWEST_FREE_PORT <= port <= 65535:
        raise Blocked(f"Port {port} is not one that serves {scheme}.")
    return port
