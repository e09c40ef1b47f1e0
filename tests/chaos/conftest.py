"""Servers of one's own, which may be killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datapunk.settings import Settings
from tests.chaos.toxiproxy import Toxiproxy, running_toxiproxy
from tests.own_stack import Place


@pytest.fixture
def own_settings(place: Place) -> Settings:
    """Servers of one's own, which may be killed."""
    return started(place, "postgres", "rabbitmq")


@pytest.fixture
def settings_of_own_temporal(place: Place) -> Settings:
    """Temporal among them."""
    return started(place, "postgres", "rabbitmq", "temporal")


def started(place: Place, *parts: str) -> Settings:
    """The settings of servers that are started."""
    record = place.start(*parts)
    variables = {name.removeprefix("DATAPUNK_").lower(): url for name, url in record.endpoints.items()}
    return Settings(**variables).model_copy(  # type: ignore[arg-type]
        update={"directory": Path(), "heartbeat_s": 0.2, "member_timeout_s": 2.0, "shards": 4}
    )


@pytest.fixture
def toxiproxy(tmp_path: Path) -> Iterator[Toxiproxy]:
    """What makes the network bad."""
    with running_toxiproxy(tmp_path) as toxiproxy:
        yield toxiproxy
