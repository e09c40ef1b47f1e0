"""A pytest plugin: a real broker and a real store for the tests of a module.

    # tests/conftest.py
    pytest_plugins = ["datapunk.testing.plugin"]

    @pytest.fixture
    def modules() -> list[Module]:
        return [orders]

    # tests/test_orders.py
    async def test_an_order_is_listed(platform: Platform) -> None:
        await platform.send(CreateOrder(description="Tea"), "1001")

Named by whoever wants it, rather than found by an entry point: it needs pytest-asyncio (`datapunk[testing]` brings
it), and who merely has Datapunk installed shouldn't have its fixtures in all their tests.

Servers that `DATAPUNK_*` variables name, and that answer, are used; else they're started once a run, if a test that
was selected needs them. Such a test has the marker `servers`: `-m "not servers"` runs the others alone.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from datapunk.errors import StackError
from datapunk.module import Module, find_modules
from datapunk.settings import Settings, load_settings
from datapunk.stack.postgres import Postgres
from datapunk.stack.rabbitmq import RabbitMQ
from datapunk.stack.temporal import Temporal
from datapunk.testing import places
from datapunk.testing.chosen import Clock, Ids
from datapunk.testing.platform import Platform, running_platform
from datapunk.testing.servers import start_servers, stop_servers

if TYPE_CHECKING:
    from datapunk.testing.timers import PlatformWithTimers

NEEDS: dict[str, tuple[str, ...]] = {
    "template_database": (Postgres.name,),
    "broker_url": (RabbitMQ.name,),
    "temporal_namespace": (Temporal.name,),
}
"""Which servers a fixture needs; those that use it need them, too. A plugin beside this one may add its own."""

_WITHOUT_SERVERS = "not servers"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; start the servers before parallel workers, so that these inherit the addresses."""
    config.addinivalue_line("markers", "servers: needs real servers (set by itself, from the fixtures asked for)")
    leads_workers = bool(getattr(config.option, "numprocesses", None)) and not _is_worker(config)
    if leads_workers and _WITHOUT_SERVERS not in config.option.markexpr and not config.option.collectonly:
        _start(name for names in NEEDS.values() for name in names)


@pytest.hookimpl(tryfirst=True)  # before -m selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs servers."""
    for item in items:
        if needed_by(item):
            item.add_marker(pytest.mark.servers)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without parallel workers: start the servers that the tests that will run need."""
    if _is_worker(session.config) or session.config.option.collectonly:
        return
    needed = {name for item in session.items for name in needed_by(item)}
    if needed:
        _start(needed)


def pytest_unconfigure() -> None:
    """Stop what this process started."""
    stop_servers()


def needed_by(item: pytest.Item) -> set[str]:
    """The run's servers that a test uses. (One that starts its own just carries the marker.)"""
    return {name for fixture in getattr(item, "fixturenames", ()) for name in NEEDS.get(fixture, ())}


def _start(names: Iterable[str]) -> None:
    try:
        start_servers(names)
    except StackError as error:  # its message says what to do; a traceback would hide it
        raise pytest.UsageError(f"no servers for the tests: {error}") from None


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.fixture(scope="session")
def template_database() -> Iterator[str]:
    """A migrated database that tests copy theirs from; its name."""
    with places.template_database(load_settings()) as name:
        yield name


@pytest_asyncio.fixture
async def database_url(template_database: str) -> AsyncIterator[str]:
    """A fresh, migrated database."""
    async with places.fresh_database(load_settings(), template_database) as url:
        yield url


@pytest_asyncio.fixture
async def broker_url() -> AsyncIterator[str]:
    """A fresh virtual host."""
    async with places.fresh_virtual_host(load_settings()) as url:
        yield url


@pytest.fixture
def settings(database_url: str, broker_url: str) -> Settings:
    """Settings with servers of one's own, and little patience."""
    return load_settings().model_copy(
        update={
            "database_url": database_url,
            "broker_url": broker_url,
            "heartbeat_s": 0.2,
            "member_timeout_s": 2.0,
            "shards": 4,
        }
    )


@pytest.fixture
def modules() -> list[Module]:
    """What `platform` runs: all installed modules. Override it to name yours."""
    return list(find_modules().values())


@pytest_asyncio.fixture
async def platform(modules: list[Module], settings: Settings) -> AsyncIterator[Platform]:
    """The modules at work, and a client of them."""
    async with running_platform(modules, settings) as platform:
        yield platform


@pytest_asyncio.fixture
async def temporal_namespace() -> AsyncIterator[str]:
    """A fresh namespace of Temporal's."""
    async with places.fresh_namespace(load_settings()) as name:
        yield name


@pytest.fixture
def settings_with_temporal(settings: Settings, temporal_namespace: str) -> Settings:
    """Settings with a namespace of one's own, too."""
    return settings.model_copy(
        update={"temporal_address": load_settings().temporal_address, "temporal_namespace": temporal_namespace}
    )


@pytest_asyncio.fixture
async def platform_with_workflows(modules: list[Module], settings_with_temporal: Settings) -> AsyncIterator[Platform]:
    """The modules at work, their workflows, too, and a client of them."""
    async with running_platform(modules, settings_with_temporal, with_workflows=True) as platform:
        yield platform


@pytest.fixture(scope="session")
def time_skipping_program() -> str | None:
    """Temporal's test server: `temporal-test-server` from PATH; None: Temporal's SDK downloads it. Override it."""
    return shutil.which("temporal-test-server")


@pytest_asyncio.fixture
async def time_skipping_address(time_skipping_program: str | None) -> AsyncIterator[str]:
    """A server of the test's own, host:port: time stands still while any of a server's workflows has work to do."""
    from datapunk.testing.timers import time_skipping_server  # not all tests need Temporal's SDK

    async with time_skipping_server(time_skipping_program) as address:
        yield address


@pytest_asyncio.fixture
async def platform_with_timers(
    modules: list[Module], settings: Settings, time_skipping_address: str
) -> AsyncIterator[PlatformWithTimers]:
    """The modules at work, their workflows, too, in a time that the test moves."""
    from datapunk.testing.timers import running_platform_with_timers

    async with running_platform_with_timers(modules, settings, time_skipping_address) as platform:
        yield platform


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture
def ids() -> Ids:
    """Ids that are the same in each run."""
    return Ids()
