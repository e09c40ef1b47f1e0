"""Keeps HTTP clients off addresses that aren't public: whoever may name a URL must not reach into our own network.

A name is looked up once, and the connection goes to an address that was checked, so a name that changes its mind
between check and use (DNS rebinding) gains nothing. Sources: OWASP, "Server-Side Request Forgery Prevention Cheat
Sheet"; the IANA registries of special-purpose addresses (RFC 6890), and RFC 6052 for IPv4 within IPv6.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import cast

import httpcore

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Looking up can't be cut off: with the few threads that a loop has, a name server that dawdles would hold up all names.
RESOLVERS = ThreadPoolExecutor(max_workers=256, thread_name_prefix="resolver")

NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared, behind carriers' translation
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, and clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays, given up
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")  # all that is given out as global unicast
NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, among them Teredo, which wraps IPv4
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which wraps IPv4
            "3fff::/20",  # documentation
        ),
    )
)
# An IPv4 address is the last 32 bits of these: they're judged as that one.
WRAPPING_V4 = tuple(map(IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))


class AddressRefused(Exception):
    """No address of a host may be reached."""


def may_reach(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether an address is public, or in a network that is allowed."""
    if isinstance(address, IPv6Address):
        if any(address in network for network in WRAPPING_V4):
            address = IPv4Address(int(address) & 0xFFFFFFFF)
        elif address.scope_id is not None:
            address = IPv6Address(int(address))
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return address in PUBLIC_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def host_of(url: httpcore.URL) -> dict[str, str]:
    """The header `host` of a URL whose host is an IPv6 address, which the client leaves without its brackets."""
    if b":" not in url.host:
        return {}
    host = f"[{url.host.decode()}]"
    return {"host": host if url.port is None else f"{host}:{url.port}"}


def look_up(host: str, port: int) -> list[Address]:
    """All addresses of a host, in the order of preference.

    Raises:
        OSError: if it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """What may be reached.

    Attributes:
        allowed: networks that may be, though they aren't public.
        setting: the variable that names them, for messages.
    """

    allowed: Sequence[Network] = ()
    setting: str = ""

    def reachable(self, host: str, port: int) -> list[Address]:
        """Those addresses of a host that may be reached.

        Raises:
            AddressRefused: if none may be.
            httpcore.ConnectError: if it has none.
        """
        try:
            addresses = look_up(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} can't be looked up: {error}") from None
        reachable = [address for address in addresses if may_reach(address, self.allowed)]
        if not reachable:
            hint = f"; {self.setting} may allow it" if self.setting else ""
            raise AddressRefused(f"{host} is {', '.join(map(str, addresses))}, which isn't public{hint}")
        return reachable


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections for an asynchronous HTTP client, to addresses that may be reached only.

    Args:
        guard: says which.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        # Its own module defines another class of that name, for where anyio is missing.
        self._network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the client's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that may be reached, and can be.

        Raises:
            AddressRefused: if none may be.
            httpcore.ConnectError: if none can be.
        """
        asking = partial(self._guard.reachable, host, port)
        *others, last = await asyncio.get_running_loop().run_in_executor(RESOLVERS, asking)
        for address in others:
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(str(last), port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Nobody asks for one."""
        raise AddressRefused("a Unix socket isn't public")

    async def sleep(self, seconds: float) -> None:
        """As the client asks between its attempts to connect; it makes one."""
        await asyncio.sleep(seconds)


class GuardedBlockingNetwork(httpcore.NetworkBackend):
    """The same for a client in a thread.

    Args:
        guard: says which.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that may be reached, and can be.

        Raises:
            AddressRefused: if none may be.
            httpcore.ConnectError: if none can be.
        """
        *others, last = self._guard.reachable(host, port)
        for address in others:
            try:
                return self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._network.connect_tcp(str(last), port, timeout, local_address, socket_options)

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Nobody asks for one."""
        raise AddressRefused("a Unix socket isn't public")
