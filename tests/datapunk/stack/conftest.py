"""A stack of its own for every test: a folder, free ports, and the promise that nothing is left running."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapunk.stack.asking import SERVERS
from datapunk.stack.native import NativeLauncher
from datapunk.stack.plan import plan_on_free_ports
from datapunk.stack.processes import marked
from tests.datapunk.stack.place import Place


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A fresh working folder, entered, with every server's setting on a free port."""
    folder = Path(tempfile.mkdtemp(prefix="datapunk-stack-"))
    folder.chmod(0o755)  # root's account for Postgres can enter it, too
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DATAPUNK_STACK", "native")
    for variable in [name for name in os.environ if name.startswith("DATAPUNK_") and name != "DATAPUNK_STACK"]:
        monkeypatch.delenv(variable)
    endpoints = {name: url for part in plan_on_free_ports(folder).parts for name, url in part.endpoints.items()}
    for server in SERVERS.values():
        for variable in server.variables:
            monkeypatch.setenv(variable, endpoints[variable])
    place = Place(folder, NativeLauncher(folder / ".datapunk"))
    yield place
    place.launcher.stop()
    assert marked(place.directory) == []
    shutil.rmtree(folder)
