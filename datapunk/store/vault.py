"""The vault: secrets that the platform must be able to read again, encrypted at rest.

A secret never goes through a message: whoever needs it keeps its id, and asks here. It's encrypted with AES-256-GCM,
bound to its tenant and id, so that a row can't stand in for another one. The key comes from the settings, or from a
file of this machine; of several, the first encrypts, and all decrypt.
"""

from __future__ import annotations

import binascii
import os
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import AsyncConnection
from uuid_utils.compat import uuid7

from datapunk.errors import ConfigurationError, SecretUnreadable
from datapunk.settings import Settings
from datapunk.store.statements import statement

KEY_FILE = "secrets.key"  # in the stack's directory
KEY_BYTES, NONCE_BYTES = 32, 12  # AES-256; what GCM takes
RESEALED_AT_A_TIME = 500  # secrets


async def has_secrets(conn: AsyncConnection[Any]) -> bool:
    """Whether there are any, be their key here or not."""
    cursor = await conn.execute(statement("are_there_secrets"))
    return await cursor.fetchone() == (True,)


class Vault:
    """Keeps secrets of tenants.

    Args:
        keys: of 32 bytes each; the first encrypts.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_name(key): AESGCM(key) for key in keys}
        self._current = _name(keys[0])

    @classmethod
    def of(cls, settings: Settings, *, may_make_key: bool = False) -> Vault:
        """The vault of a deployment.

        Args:
            settings: with the keys, or the directory that has a file of them.
            may_make_key: whether a key is made on this machine, if there's none.

        Raises:
            ConfigurationError: if there's no key, or one that is none.
        """
        if settings.secrets_keys is not None:
            return cls(_read_keys(settings.secrets_keys, "DATAPUNK_SECRETS_KEYS"))
        file = settings.directory / KEY_FILE
        if may_make_key:
            _make_key(file)
        try:
            return cls(_read_keys(file.read_text(), str(file)))
        except FileNotFoundError:
            raise ConfigurationError(
                f"there's no key for secrets: neither DATAPUNK_SECRETS_KEYS nor {file}; `datapunk secrets create` "
                "makes one on this machine, and every process needs the same"
            ) from None

    async def put(self, conn: AsyncConnection[Any], tenant: str, secret: str) -> UUID:
        """Keep a secret.

        Returns:
            Its id, which is no secret.
        """
        id = uuid7()
        sealed = self._seal(tenant, id, secret.encode())
        await conn.execute(
            statement("insert_secret"), {"id": id, "tenant": tenant, "key": self._current, "sealed": sealed}
        )
        return id

    async def get(self, conn: AsyncConnection[Any], tenant: str, ids: Collection[UUID]) -> dict[UUID, str]:
        """A tenant's secrets by id; those that aren't there, or are another tenant's, are missing.

        Raises:
            SecretUnreadable: if one was encrypted with a key that isn't here, or was changed since.
        """
        cursor = await conn.execute(statement("query_secrets"), {"tenant": tenant, "ids": list(ids)}, binary=True)
        return {id: self._open(tenant, id, key, sealed).decode() for id, key, sealed in await cursor.fetchall()}

    async def destroy(self, conn: AsyncConnection[Any], tenant: str, id: UUID) -> bool:
        """Forget a secret; True if it was there."""
        cursor = await conn.execute(statement("delete_secret"), {"tenant": tenant, "id": id})
        return cursor.rowcount == 1

    async def reseal(self, conn: AsyncConnection[Any]) -> int:
        """Encrypt with the first key whatever another one encrypted; afterwards the others aren't needed.

        Some hundred at a time: whoever is interrupted goes on from there.

        Returns:
            How many secrets that were.

        Raises:
            SecretUnreadable: of the first that can't be read; all others are resealed.
        """
        count, after, unreadable = 0, UUID(int=0), list[SecretUnreadable]()
        while True:
            async with conn.transaction():
                asked = {"key": self._current, "after": after, "limit": RESEALED_AT_A_TIME}
                cursor = await conn.execute(statement("lock_other_secrets"), asked, binary=True)
                rows = await cursor.fetchall()
                for id, tenant, key, sealed in rows:
                    try:
                        secret = self._open(tenant, id, key, sealed)
                    except SecretUnreadable as error:
                        unreadable.append(error)
                        continue
                    anew = {"id": id, "key": self._current, "sealed": self._seal(tenant, id, secret)}
                    await conn.execute(statement("update_secret"), anew)
                    count += 1
            if len(rows) < RESEALED_AT_A_TIME:
                break
            after = rows[-1][0]
        if unreadable:
            raise SecretUnreadable(
                f"{len(unreadable):,} of {count + len(unreadable):,} aren't resealed: {unreadable[0]}"
            )
        return count

    def _seal(self, tenant: str, id: UUID, secret: bytes) -> bytes:
        nonce = token_bytes(NONCE_BYTES)
        return nonce + self._keys[self._current].encrypt(nonce, secret, _bound_to(tenant, id))

    def _open(self, tenant: str, id: UUID, key: str, sealed: bytes) -> bytes:
        if key not in self._keys:
            raise SecretUnreadable(f"secret {id} was encrypted with key {key}, which isn't among DATAPUNK_SECRETS_KEYS")
        try:
            return self._keys[key].decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(tenant, id))
        except InvalidTag:
            raise SecretUnreadable(f"secret {id} was changed since it was encrypted") from None


def _bound_to(tenant: str, id: UUID) -> bytes:
    return f"{tenant}/{id}".encode()


def _name(key: bytes) -> str:
    """What a key is called beside what it encrypted; it tells nothing of the key."""
    return sha256(b"datapunk secrets key " + key).hexdigest()[:16]


def _read_keys(text: str, where: str) -> list[bytes]:
    keys: list[bytes] = []
    for number, word in enumerate(text.replace(",", " ").split(), 1):
        try:
            key = b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"{where}: key {number} isn't {KEY_BYTES} bytes in base64; "
                f"`openssl rand -base64 {KEY_BYTES}` prints one"
            )
        keys.append(key)
    if not keys:
        raise ConfigurationError(f"{where} holds no key; `openssl rand -base64 {KEY_BYTES}` prints one")
    return keys


def _make_key(file: Path) -> None:
    """Make a key that only this user can read; one that is there already stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    written = file.with_name(f"{KEY_FILE}.{os.getpid()}")
    written.touch(mode=0o600)
    written.write_text(b64encode(token_bytes(KEY_BYTES)).decode() + "\n")
    try:
        file.hardlink_to(written)  # which fails if it's there, and never shows half a key
    except FileExistsError:
        pass
    finally:
        written.unlink()
