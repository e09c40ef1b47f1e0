"""Which servers a run of tests starts."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from datapunk.stack.running import Endpoints
from datapunk.testing import servers


def test_all_that_is_asked_for_and_missing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    @contextmanager
    def running(directory: Path, *, only: Collection[str]) -> Generator[Endpoints]:
        assert directory.is_dir()
        started.extend(only)
        yield Endpoints({})

    with ExitStack() as stack:
        monkeypatch.setattr(servers, "_running", stack)
        monkeypatch.setattr(servers, "running_stack", running)
        monkeypatch.setattr(servers, "answers", lambda name: name == "redis")
        servers.start_servers(name for name in ("rabbitmq", "redis", "postgres"))
    assert sorted(started) == ["postgres", "rabbitmq"]
