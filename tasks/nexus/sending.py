"""Sends one delivery over HTTP: bounded in time and size, to where it may go, and nowhere else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress

import httpcore

from datapunk.outbound import AddressRefused, Guard, GuardedNetwork, host_of
from tasks.nexus.settings import WebhookSettings

USER_AGENT = "datapunk-webhooks/1"
MAX_ANSWER_BYTES = 64 * 1024  # read, so that the connection can be used again; one with more is closed
IDLE_S = 15.0  # how long a connection that isn't used is kept
READING_S = 2.0  # for the rest of an answer whose status is there


class Undelivered(Exception):
    """The receiver didn't take it; the message says why."""


class Sender:
    """An HTTP client that connects only where it may.

    Args:
        settings: of webhooks.
        connections: most of them at a time.
    """

    def __init__(self, settings: WebhookSettings, connections: int) -> None:
        self._settings = settings
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_S,
            network_backend=GuardedNetwork(Guard(settings.allowed_networks, "DATAPUNK_WEBHOOKS_ALLOWED_NETWORKS")),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """POST a body; redirects aren't followed.

        Returns:
            The status, 200 to 299.

        Raises:
            Undelivered: whatever else happens.
        """
        if not self._settings.allow_http and not url.startswith("https:"):
            raise Undelivered("only https is delivered to; DATAPUNK_WEBHOOKS_ALLOW_HTTP=true allows http")
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                status = await self._post(url, headers, body)
        except TimeoutError:
            raise Undelivered(f"no answer within {self._settings.timeout_s:g} s") from None
        except AddressRefused as error:
            raise Undelivered(str(error)) from None
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
            raise Undelivered(f"{type(error).__name__}: {error}") from None
        if not 200 <= status < 300:
            raise Undelivered(
                f"it answered {status}" + (", and redirects aren't followed" if status // 100 == 3 else "")
            )
        return status

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        target = httpcore.URL(url)
        given = {"user-agent": USER_AGENT, **headers, **host_of(target)}
        async with self._pool.stream("POST", target, headers=list(given.items()), content=body) as answer:
            with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):  # its status is all that counts
                async with asyncio.timeout(READING_S):
                    await _read(answer)
            return answer.status


async def _read(answer: httpcore.Response) -> None:
    size = 0
    async for part in answer.aiter_stream():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            return
