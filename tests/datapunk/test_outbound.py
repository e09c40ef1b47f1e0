"""Which addresses HTTP clients may reach."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapunk import outbound
from datapunk.outbound import (
    WRAPPING_V4,
    AddressRefused,
    Guard,
    GuardedBlockingNetwork,
    GuardedNetwork,
    may_reach,
)

NOT_PUBLIC = {
    "0.0.0.0": "this network",
    "10.0.0.1": "private",
    "100.64.0.1": "carriers",
    "100.127.255.255": "carriers",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.169.254": "metadata of clouds",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.8": "assignments",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relays",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarks",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "compatible with IPv4, given up",
    "::ffff:127.0.0.1": "IPv4, mapped",
    "::ffff:10.0.0.1": "IPv4, mapped",
    "::ffff:0:127.0.0.1": "IPv4, translated",
    "64:ff9b::7f00:1": "IPv4 by NAT64",
    "64:ff9b::a00:1": "IPv4 by NAT64",
    "64:ff9b:1::1": "NAT64 of one's own",
    "100::1": "discarded",
    "2001::1": "Teredo",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::": "6to4",
    "3fff::1": "documentation",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "fe80::1": "link-local",
    "fe80::1%1": "link-local, with its link",
    "fec0::1": "site-local, given up",
    "ff02::1": "multicast",
    "::ffff:169.254.169.254": "metadata of clouds, mapped",
}
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not may_reach(ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_not(address: str) -> None:
    assert may_reach(ip_address(address), ())


@given(v4 | v6.filter(lambda address: not any(address in network for network in WRAPPING_V4)))
def test_what_the_standard_library_does_not_call_global_is_refused(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not may_reach(address, ())


@given(v4, st.sampled_from(WRAPPING_V4))
def test_an_ipv4_address_within_ipv6_is_judged_as_itself(address: IPv4Address, network: IPv6Network) -> None:
    wrapped = IPv6Address(int(network.network_address) | int(address))
    assert may_reach(wrapped, ()) == may_reach(address, ())
    assert may_reach(wrapped, [IPv4Network(address)])


def unwrapped(name: str) -> IPv4Address | IPv6Address:
    """An address, or the IPv4 address within it."""
    address = ip_address(name.partition("%")[0])
    if isinstance(address, IPv6Address) and any(address in network for network in WRAPPING_V4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@pytest.mark.parametrize("name", NOT_PUBLIC)
def test_a_network_that_is_allowed_lets_in_its_own_addresses_and_no_others(name: str) -> None:
    allowed = [ip_network(unwrapped(name))]
    let_in = {other for other in NOT_PUBLIC if may_reach(ip_address(other), allowed)}
    assert let_in == {other for other in NOT_PUBLIC if unwrapped(other) == unwrapped(name)}


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resolver that gives another answer the second time, as in DNS rebinding, isn't asked a second time."""
    asked: list[str] = []

    def look_up(host: str, port: int) -> list[outbound.Address]:
        asked.append(host)
        return [ip_address("127.0.0.1"), ip_address("10.0.0.1")]

    monkeypatch.setattr(outbound, "look_up", look_up)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        guard = Guard([IPv4Network("127.0.0.0/8")])
        stream = await GuardedNetwork(guard).connect_tcp("changes.example", port, timeout=5)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        await stream.aclose()
        blocking = GuardedBlockingNetwork(guard).connect_tcp("changes.example", port, timeout=5)
        assert blocking.get_extra_info("server_addr") == ("127.0.0.1", port)
        blocking.close()
    assert asked == ["changes.example"] * 2


async def test_a_host_none_of_whose_addresses_is_public_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: int) -> list[outbound.Address]:
        return [ip_address("10.0.0.1"), ip_address("fd00::1")]

    monkeypatch.setattr(outbound, "look_up", look_up)
    with pytest.raises(AddressRefused, match=r"inside\.example is 10\.0\.0\.1, fd00::1, which isn't public"):
        await GuardedNetwork(Guard()).connect_tcp("inside.example", 443)
    with pytest.raises(AddressRefused, match="which isn't public; NETWORKS may allow it"):
        GuardedBlockingNetwork(Guard(setting="NETWORKS")).connect_tcp("inside.example", 443)


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://[::1]:8080/x", {"host": "[::1]:8080"}),
        ("http://[::1]/x", {"host": "[::1]"}),
        ("http://127.0.0.1:8080/x", {}),
        ("http://data.example/x", {}),
    ],
)
def test_an_ipv6_address_as_host_has_brackets(url: str, header: dict[str, str]) -> None:
    assert outbound.host_of(httpcore.URL(url)) == header
