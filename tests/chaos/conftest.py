"""Servers of one's own, which may be killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from datapunk.settings import Settings
from tests.own_stack import Place


@pytest.fixture
def own_settings(place: Place) -> Settings:
    """Servers of one's own, which may be killed."""
    record = place.start("postgres", "rabbitmq")
    variables = {name.removeprefix("DATAPUNK_").lower(): url for name, url in record.endpoints.items()}
    return Settings(**variables).model_copy(  # type: ignore[arg-type]
        update={"directory": Path(), "heartbeat_s": 0.2, "member_timeout_s": 2.0, "shards": 4}
    )
