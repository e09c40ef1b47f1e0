"""Postgres where the account it runs as can't even reach its programs: all of it below /root, say."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapunk.stack import postgres
from datapunk.stack.account import Account
from datapunk.stack.running import running_stack

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another account")


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="datapunk-closed-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.servers
def test_programs_that_the_account_cannot_reach_are_copied_with_their_libraries(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SHARED_HOME", folder / "shared")
    monkeypatch.setattr(Account, "can_reach", lambda self, path: False)
    for _ in range(2):  # the second start finds the copy
        with running_stack(folder / "stack", only=("postgres",), throwaway=False) as endpoints:
            assert postgres.ask_postgres(endpoints.database_url).startswith(str(postgres.MAJOR_VERSION))
    (copied,) = (folder / "shared").glob("postgresql-*")
    assert list(copied.rglob("bin/initdb"))


@pytest.mark.servers
def test_a_data_folder_that_was_moved_and_removed_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "SHARED_HOME", folder / "shared")
    monkeypatch.setattr(Account, "can_reach", lambda self, path: False)
    for _ in range(2):
        with running_stack(folder / "stack", only=("postgres",), throwaway=False) as endpoints:
            assert postgres.ask_postgres(endpoints.database_url)
        shutil.rmtree(folder / "shared")
