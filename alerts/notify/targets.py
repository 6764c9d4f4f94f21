"""Where a webhook may go: never inside our own network, unless a setting names the host.

The name is resolved once, every address that it stands for is judged, and the connection goes to an address that was
judged: a name that says something else a moment later gains nothing. No redirect is followed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from alerts.notify.errors import DeliveryError
from metering.contacts import url_problem

Address = IPv4Address | IPv6Address
#: (family, address) of a name; socket.getaddrinfo in earnest.
Resolve = Callable[[str, int], Sequence[tuple[socket.AddressFamily, str]]]

#: Networks of IPv6 that stand for hosts of IPv4, and where in the address that one is: right shift in bits.
_EMBEDDED = ((IPv6Network("64:ff9b::/96"), 0), (IPv6Network("2002::/16"), 80), (IPv6Network("::/96"), 0))
#: So many addresses of a name are tried, each with a timeout of its own.
_MOST = 4
_NEVER = tuple(map(IPv6Network, ("64:ff9b:1::/48", "2001::/32", "fec0::/10", "100::/64")))


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook's URL, taken apart. path holds the query too."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as the Host header names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"https": 443, "http": 80}[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that was judged and may be connected to."""

    family: socket.AddressFamily
    address: str
    port: int


class Gate:
    """Says which targets may be called. `inside`: hosts, or host:port, that may lie inside and may speak plain HTTP."""

    def __init__(self, inside: Iterable[str] = (), resolve: Resolve | None = None) -> None:
        self._inside = frozenset(name.lower() for name in inside)
        self._resolve = resolve or resolve_name

    def target(self, url: str) -> Target:
        """The target of a URL. Raises DeliveryError for good where it cannot be called, whatever DNS says."""
        problem = url_problem(url, ("https", "http"))
        if problem is not None:
            raise DeliveryError(problem, for_good=True)
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        target = Target(
            parts.scheme,
            host,
            parts.port or (443 if parts.scheme == "https" else 80),
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        )
        if target.scheme != "https" and not self._is_inside(target):
            raise DeliveryError(
                f"{host}: only https:// is called, unless NENGLIU_WEBHOOK_INSIDE names the host",
                for_good=True,
            )
        return target

    def endpoints(self, target: Target) -> list[Endpoint]:
        """Where to connect to, in order of preference. Raises DeliveryError where nothing may be connected to."""
        try:
            found = self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as e:
            raise DeliveryError(f"{target.host}: cannot be resolved ({e})", route_is_down=True) from e
        if not found:
            raise DeliveryError(f"{target.host}: has no address")
        if not self._is_inside(target):
            refused = [text for _, text in found if not is_public(text)]
            if refused:
                raise DeliveryError(
                    f"{target.host}: stands for {', '.join(refused)}, which lies inside the network; "
                    "NENGLIU_WEBHOOK_INSIDE names hosts that may",
                    for_good=_is_number(target.host),
                )
        return [Endpoint(family, text, target.port) for family, text in dict.fromkeys(found)][:_MOST]

    def _is_inside(self, target: Target) -> bool:
        return target.host in self._inside or f"{target.host}:{target.port}" in self._inside


def _is_number(host: str) -> bool:
    """Whether a host is an address itself: it stands for the same tomorrow."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(text: str) -> bool:
    """Whether an address is one of the open internet: not private, loopback, link-local, multicast, reserved, nor an
    IPv6 form of one that is.
    """
    try:
        address: Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if any(address in network for network in _NEVER):
            return False
        for network, shift in _EMBEDDED:
            if address in network:
                return is_public(str(IPv4Address((int(address) >> shift) & 0xFFFFFFFF)))
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


def resolve_name(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """What the system's resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, str(address[0])) for family, _, _, _, address in found]
