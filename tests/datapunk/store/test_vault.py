"""The vault: what it keeps comes out again, and nothing of it can be read without its key."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from datapunk.errors import ConfigurationError, SecretUnreadable
from datapunk.settings import Settings
from datapunk.store.vault import Vault

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


async def test_a_secret_comes_out_as_it_went_in(connection: AsyncConnection[Any]) -> None:
    vault = Vault([OLD])
    id = await vault.put(connection, "acme", SECRET)
    assert await vault.get(connection, "acme", [id, uuid4()]) == {id: SECRET}


async def test_no_row_shows_a_secret(connection: AsyncConnection[Any]) -> None:
    await Vault([OLD]).put(connection, "acme", SECRET)
    cursor = await connection.execute("select secrets::text, sealed from secrets")
    ((text, sealed),) = await cursor.fetchall()
    assert SECRET not in text
    assert SECRET.encode() not in sealed


async def test_another_tenants_secret_is_not_there(connection: AsyncConnection[Any]) -> None:
    vault = Vault([OLD])
    id = await vault.put(connection, "acme", SECRET)
    assert await vault.get(connection, "other", [id]) == {}
    assert not await vault.destroy(connection, "other", id)


async def test_a_row_that_was_given_to_another_tenant_cannot_be_read(connection: AsyncConnection[Any]) -> None:
    vault = Vault([OLD])
    id = await vault.put(connection, "acme", SECRET)
    await connection.execute("update secrets set tenant = 'other'")
    with pytest.raises(SecretUnreadable, match="was changed"):
        await vault.get(connection, "other", [id])


async def test_without_its_key_a_secret_cannot_be_read(connection: AsyncConnection[Any]) -> None:
    id = await Vault([OLD]).put(connection, "acme", SECRET)
    with pytest.raises(SecretUnreadable, match="isn't among DATAPUNK_SECRETS_KEYS"):
        await Vault([NEW]).get(connection, "acme", [id])


async def test_an_old_key_decrypts_until_all_is_resealed(connection: AsyncConnection[Any]) -> None:
    id = await Vault([OLD]).put(connection, "acme", SECRET)
    both = Vault([NEW, OLD])
    assert await both.get(connection, "acme", [id]) == {id: SECRET}
    assert await both.reseal(connection) == 1
    assert await Vault([NEW]).get(connection, "acme", [id]) == {id: SECRET}
    assert await both.reseal(connection) == 0


async def test_secrets_whose_key_is_gone_hold_up_no_others(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datapunk.store.vault.RESEALED_AT_A_TIME", 2)
    lost = [await Vault([b"x" * 32]).put(connection, "acme", SECRET) for _ in range(3)]
    kept = [await Vault([OLD]).put(connection, "acme", SECRET) for _ in range(3)]
    with pytest.raises(SecretUnreadable, match=f"3 of 6 aren't resealed: secret {lost[0]} was encrypted with key"):
        await Vault([NEW, OLD]).reseal(connection)
    assert await Vault([NEW]).get(connection, "acme", kept) == dict.fromkeys(kept, SECRET)


async def test_what_is_destroyed_is_gone(connection: AsyncConnection[Any]) -> None:
    vault = Vault([OLD])
    id = await vault.put(connection, "acme", SECRET)
    assert await vault.destroy(connection, "acme", id)
    assert await vault.get(connection, "acme", [id]) == {}


async def test_a_machine_makes_one_key_and_keeps_it(tmp_path: Path, connection: AsyncConnection[Any]) -> None:
    settings = Settings(directory=tmp_path / "stack", secrets_keys=None)
    id = await Vault.of(settings, may_make_key=True).put(connection, "acme", SECRET)
    for vault in (Vault.of(settings), Vault.of(settings, may_make_key=True)):
        assert await vault.get(connection, "acme", [id]) == {id: SECRET}
    assert [path.name for path in settings.directory.iterdir()] == ["secrets.key"]
    assert (settings.directory / "secrets.key").stat().st_mode & 0o777 == 0o600


def test_without_a_key_there_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no key for secrets"):
        Vault.of(Settings(directory=tmp_path, secrets_keys=None))


@pytest.mark.parametrize("keys", ["", " , ", "hello", b64encode(b"short").decode(), b64encode(b"x" * 33).decode()])
def test_a_key_that_is_none_is_named(keys: str) -> None:
    with pytest.raises(ConfigurationError, match="DATAPUNK_SECRETS_KEYS"):
        Vault.of(Settings(secrets_keys=keys))


def test_settings_do_not_show_their_keys() -> None:
    key = b64encode(OLD).decode()
    assert key not in repr(Settings(secrets_keys=key))
