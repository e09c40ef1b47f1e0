"""Choosing ports, and saying who holds one that is taken."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterable
from itertools import islice

import psutil

from datapunk.errors import PortTaken
from datapunk.stack.part import Part, Port

LOOPBACK = "127.0.0.1"

# Above the well-known ones; below Linux's (from 32768) and others' (from 49152) for outgoing connections.
_NEVER_OUTGOING = range(20_000, 32_768)

_claims: list[socket.socket] = []  # open for as long as this process


def is_free(number: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        # As servers do: connections of a predecessor that linger in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on, or will choose while this process lives.

    None is one that the system gives to outgoing connections: while a server is down, such a connection (a client's
    that tries to reach that very server, even) could take its port, and the server would not come back.
    """
    candidates = random.sample(_NEVER_OUTGOING, len(_NEVER_OUTGOING))
    return list(islice((number for number in candidates if is_free(number) and _claim(number)), count))


def preferred_or_free(number: int) -> int:
    """`number` if it's free, else any free port: for ports that nobody has to know by heart.

    It's this process's until it ends: two stacks that start at the same time don't choose the same.
    """
    return number if is_free(number) and _claim(number) else free_ports(1)[0]


def _claim(number: int) -> bool:
    """Whether nobody else has claimed a port, listening or not. (Only Linux has names that go with their process.)"""
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0datapunk port {number}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def holder(number: int) -> str:
    """Which process listens on the port, for people to read; empty when this user may not know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == number and connection.pid:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())
            except psutil.Error:
                command = ""
            return f"process {connection.pid} ({command[:100] or 'unknown'})"
    return ""


def check_ports(parts: Iterable[Part]) -> None:
    """Make sure that every port of every part is free.

    Raises:
        PortTaken: naming each port, who holds it where that can be known, and what to do.
    """
    taken = [complaint(part, port) for part in parts for port in part.ports if not is_free(port.number)]
    if taken:
        raise PortTaken("\n".join(taken))


def complaint(part: Part, port: Port) -> str:
    """That `port` of `part` is taken: by whom, and what to do."""
    who = holder(port.number) or "another process"
    fact = f"Port {port.number}, for {port.purpose}, is taken by {who}: stop it"
    if not port.setting:
        return fact
    example = part.endpoints[port.setting].replace(f":{port.number}", f":{free_ports(1)[0]}")
    return f"{fact}, or choose another port: export {port.setting}={example}"
