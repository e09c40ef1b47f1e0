"""Ports that nobody has to know by heart."""

from __future__ import annotations

import socket
import subprocess
import sys

from datapunk.stack.ports import free_ports, preferred_or_free

CHOOSE = "import sys; from datapunk.stack.ports import preferred_or_free; print(preferred_or_free(int(sys.argv[1])))"


def test_two_who_choose_before_either_listens_get_different_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody_knows_it:
        wanted = int(nobody_knows_it.getsockname()[1])
    line = [sys.executable, "-c", CHOOSE + "; sys.stdout.flush(); sys.stdin.read()", str(wanted)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == wanted
        assert preferred_or_free(wanted) != wanted
        other.communicate("")
    assert preferred_or_free(wanted) == wanted


def test_no_outgoing_connection_gets_a_chosen_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        outgoing = [socket.create_connection(listening.getsockname()) for _ in range(50)]
        lowest = min(connection.getsockname()[1] for connection in outgoing)
        for connection in outgoing:
            connection.close()
    assert max(free_ports(100)) < lowest
