"""`datapunk secrets`: a secret is shown once, and never again."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from standardwebhooks import Webhook

from datapunk.settings import Settings
from datapunk.store.vault import Vault
from tests.command_line import CommandLine


async def test_a_key_to_sign_with_is_made_kept_and_shown_once(
    datapunk: CommandLine, settings: Settings, connection: AsyncConnection[Any], tmp_path: Path
) -> None:
    done = await datapunk("secrets", "create", "--json", DATAPUNK_DIRECTORY=str(tmp_path))
    shown = done.json
    Webhook(shown["secret"])  # the official library takes it
    vault = Vault.of(Settings(directory=tmp_path, secrets_keys=None))
    id = UUID(shown["id"])
    assert await vault.get(connection, settings.default_tenant, [id]) == {id: shown["secret"]}
    again = await datapunk("secrets", "destroy", shown["id"], DATAPUNK_DIRECTORY=str(tmp_path))
    assert again.out == "destroyed\n"
    assert await vault.get(connection, settings.default_tenant, [id]) == {}
