"""The servers that tests need, as a pytest plugin: started once a run, by the process that leads it.

A test that asks for one of `SERVER_FIXTURES` gets the marker `servers`; `-m "not servers"` runs the others
alone, and starts nothing. Servers that `DATAPUNK_*` variables name, and that answer, are used as they are.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from datapunk.errors import NotAnswering
from datapunk.stack.asking import SERVERS, ask_server
from datapunk.stack.running import running_stack

SERVER_FIXTURES = frozenset({"broker_url", "database_url", "redis_url", "stack_variables", "temporal_address"})

_WITHOUT_SERVERS = "not servers"

_running = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; start the servers before parallel workers, so that these inherit the addresses."""
    config.addinivalue_line("markers", "servers: needs real servers (set by itself, from the fixtures asked for)")
    is_worker = hasattr(config, "workerinput")
    leads_workers = bool(getattr(config.option, "numprocesses", None)) and not is_worker
    if leads_workers and _WITHOUT_SERVERS not in config.option.markexpr and not config.option.collectonly:
        start_servers()


@pytest.hookimpl(tryfirst=True)  # before -m selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs servers."""
    for item in items:
        if asks_for_servers(item):
            item.add_marker(pytest.mark.servers)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without parallel workers: start the servers if one of the tests that will run needs them."""
    is_worker = hasattr(session.config, "workerinput")
    if is_worker or session.config.option.collectonly:
        return
    if any(asks_for_servers(item) for item in session.items):
        start_servers()


def pytest_unconfigure() -> None:
    """Stop what this process started."""
    _running.close()


def asks_for_servers(item: pytest.Item) -> bool:
    """Whether the test uses the run's servers. (One that starts its own just carries the marker.)"""
    return not SERVER_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def start_servers() -> None:
    """Make the `DATAPUNK_*` variables name servers that answer."""
    missing = [name for name in SERVERS if not answers(name)]
    if not missing:
        return
    directory = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="datapunk-tests-")))
    os.environ.update(_running.enter_context(running_stack(directory, only=missing)).variables)


def answers(name: str) -> bool:
    """Whether the server called `name` is named by `DATAPUNK_*` variables, and answers."""
    try:
        ask_server(name, os.environ)
    except (KeyError, NotAnswering):
        return False
    return True


@pytest.fixture(scope="session")
def stack_variables() -> dict[str, str]:
    """The addresses of the running servers, by their `DATAPUNK_*` variables."""
    names = [variable for server in SERVERS.values() for variable in server.variables]
    return {name: os.environ[name] for name in names}


@pytest.fixture(scope="session")
def redis_url(stack_variables: dict[str, str]) -> str:
    """A Redis for this run."""
    return stack_variables["DATAPUNK_REDIS_URL"]


@pytest.fixture(scope="session")
def temporal_address(stack_variables: dict[str, str]) -> str:
    """A Temporal for this run, host:port."""
    return stack_variables["DATAPUNK_TEMPORAL_ADDRESS"]
