"""Servers that our own tests need besides those of the plugin for everybody's, `datapunk.testing.plugin`."""

from __future__ import annotations

import os

import pytest

from datapunk.stack.asking import SERVERS
from datapunk.stack.rabbitmq import RabbitMQ
from datapunk.testing.plugin import NEEDS

NEEDS.update({"second_broker_url": (RabbitMQ.name,), "stack_variables": tuple(SERVERS)})


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
