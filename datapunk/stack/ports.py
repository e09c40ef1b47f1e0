"""Choosing ports, and saying who holds one that is taken."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

import psutil

from datapunk.errors import PortTaken
from datapunk.stack.part import Part, Port

LOOPBACK = "127.0.0.1"


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
    """`count` different ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:  # all are held until all are chosen
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def preferred_or_free(number: int) -> int:
    """`number` if it's free, else any free port: for ports that nobody has to know by heart."""
    return number if is_free(number) else free_ports(1)[0]


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
