"""Addresses that a server names: which may be used, and which are its own.

An answer may send an upload anywhere. It must not make this machine speak to services that only this machine or its
network can reach, nor leave TLS. Names are judged when they are read, and the address that a name led to once the
connection stands and before a byte of the request is sent, so that a name that changes its mind gains nothing.
"""

from __future__ import annotations

import socket
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from haulier.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Reach", "UploadAddresses", "addresses_of", "origin_of", "reach_of"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCALHOST = "localhost"
_NAT64 = IPv6Network("64:ff9b::/96")
_ADVICE = "Ask the server's operator to mend the upload addresses that it gives"


class Reach(StrEnum):
    """From where an address can be reached."""

    PUBLIC = "public"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    LOOPBACK = "loopback"


class UploadAddresses:
    """What a server with this base address may name. Thread-safe.

    Args:
        base_url: Absolute address of the API, without a trailing slash.
        lookup: Finds the IP addresses of a host name; raises OSError when it cannot.

    Attributes:
        origin: The base address's own origin; everything on it may be named.
    """

    def __init__(self, base_url: str, lookup: Callable[[str], Iterable[str]] | None = None) -> None:
        self.origin = origin_of(base_url)
        self._base_url = base_url
        self._lookup = lookup or addresses_of
        self._allowed: frozenset[Reach] | None = None

    def absolute(self, url: str) -> str:
        """Make an address of an answer absolute.

        Raises:
            ValidationError: It is no http address, or one that may not be named.
        """
        try:
            absolute = urljoin(f"{self._base_url}/", url.strip())
            parts = urlsplit(absolute)
            usable = parts.scheme in _DEFAULT_PORTS and origin_of(absolute)[1] and "@" not in parts.netloc
        except ValueError:
            usable = False
        if not usable:
            raise self._refused("cannot be used")
        self.check(absolute)
        return absolute

    def is_own(self, url: str) -> bool:
        """Whether an absolute address is on the base address's origin."""
        return origin_of(url) == self.origin

    def check(self, url: str) -> None:
        """Look at an absolute address before anything is sent there.

        Raises:
            ValidationError: It leaves TLS, or its host is an IP address that may not be named.
        """
        scheme, host, _ = origin_of(url)
        if self.is_own(url):
            return
        if self.origin[0] == "https" and scheme != "https":
            raise self._refused("is not https, though base_url is")
        literal = _literal(host)
        if literal is not None:
            self._check_reach(literal)

    def check_peer(self, url: str, peer: str) -> None:
        """Look at the IP address that an absolute address led to.

        Raises:
            ValidationError: It may not be named.
        """
        if not self.is_own(url):
            self._check_reach(reach_of(peer))

    def _check_reach(self, reach: Reach) -> None:
        if reach is not Reach.PUBLIC and reach not in self._base_reach():
            raise self._refused(f"is {reach}, though base_url is not")

    def _base_reach(self) -> frozenset[Reach]:
        """Where the base address is; of a name that cannot be looked up nothing is known, and nothing follows."""
        if self._allowed is None:
            host = self.origin[1]
            literal = _literal(host)
            try:
                self._allowed = frozenset({literal} if literal else map(reach_of, self._lookup(host)))
            except (OSError, UnicodeError):
                return frozenset()
        return self._allowed

    def _refused(self, why: str) -> ValidationError:
        return ValidationError(f"the server named an upload address that {why}", where=self._base_url, advice=_ADVICE)


def addresses_of(host: str) -> list[str]:
    """The IP addresses of a host name, as the system finds them.

    Raises:
        OSError: It cannot be resolved.
    """
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def reach_of(address: str) -> Reach:
    """From where an IP address can be reached; what is neither public nor local in a known way counts as private.

    IPv4 addresses inside IPv6 ones (mapped, 6to4, NAT64) count as what they are.

    Raises:
        ValueError: It is no IP address.
    """
    ip = _plain(ip_address(address.partition("%")[0]))
    if ip.is_loopback or ip.is_unspecified:
        return Reach.LOOPBACK
    if ip.is_link_local:
        return Reach.LINK_LOCAL
    return Reach.PUBLIC if ip.is_global and not ip.is_multicast else Reach.PRIVATE


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address (RFC 6454); the port is filled in where the scheme knows one.

    Raises:
        ValueError: The address cannot be read.
    """
    parts: SplitResult = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())


def _plain(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if not isinstance(ip, IPv6Address):
        return ip
    inner = ip.ipv4_mapped or ip.sixtofour
    if inner is None and ip in _NAT64:
        inner = IPv4Address(int(ip) & 0xFFFFFFFF)
    return inner or ip


def _literal(host: str) -> Reach | None:
    """The reach of a host that says it by itself; None of a name that has to be looked up."""
    host = host.rstrip(".")
    if host == _LOCALHOST or host.endswith("." + _LOCALHOST):
        return Reach.LOOPBACK
    try:
        return reach_of(host)
    except ValueError:
        return None
