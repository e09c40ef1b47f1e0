"""docs/how-to/webhooks.md: its receivers take what is genuine, and its settings are all there are."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tasks.nexus.settings import WebhookSettings
from tasks.nexus.signing import headers_of
from tests.docs.pages import Written, steps
from tests.working import eventually

PAGE = Path("docs/how-to/webhooks.md")
SECRET = "whsec_" + b64encode(b"s" * 32).decode()
BODY = b'{"type":"lake.DatasetCreated","subject":"lake.dataset/a","data":{"name":"\xc3\xa4"}}'
PROGRAMS = {"receiver.py": sys.executable, "receiver.mjs": "node"}
SHOWN = {step.path: step.text for step in steps(PAGE.read_text(), Path()) if isinstance(step, Written)}


@asynccontextmanager
async def running(name: str, folder: Path, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """A receiver from the page, and a client of it."""
    (folder / name).write_text(SHOWN[name])
    process = await asyncio.create_subprocess_exec(
        PROGRAMS[name],
        name,
        cwd=folder,
        env={**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

            async def listens() -> bool:
                try:
                    return (await client.post("/", content=b"{}")).status_code == 401
                except httpx.TransportError:
                    return False

            await eventually(listens, f"{name} listens")
            yield client
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_receiver_takes_what_is_genuine_and_nothing_else(name: str, tmp_path: Path, free_tcp_port: int) -> None:
    now = int(time.time())
    genuine = headers_of("1", now, BODY, [SECRET])
    other = headers_of("1", now, BODY, ["whsec_" + b64encode(b"o" * 32).decode()])
    both = {**genuine, "webhook-signature": f"{other['webhook-signature']} {genuine['webhook-signature']}"}
    async with running(name, tmp_path, free_tcp_port) as client:

        async def status(headers: dict[str, str], body: bytes = BODY) -> int:
            return (await client.post("/", content=body, headers=headers)).status_code

        assert await status(genuine) == 204
        assert await status(both) == 204
        assert await status(other) == 401
        assert await status(genuine, BODY.replace(b"Created", b"Deleted")) == 401
        assert await status({**genuine, "webhook-id": "2"}) == 401
        assert await status(headers_of("1", now - 3600, BODY, [SECRET])) == 401


def test_all_settings_are_told() -> None:
    page = PAGE.read_text()
    for name, field in WebhookSettings.model_fields.items():
        assert f"| `DATAPUNK_WEBHOOKS_{name.upper()}` |" in page
        assert str(field.description) in page
