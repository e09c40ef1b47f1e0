"""Tells this process that a module has new events, so that nobody needs to poll for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from datapunk.settings import Settings
from datapunk.telemetry.logs import get_logger

RETRY_S = 1.0  # pause before the broker is tried again

log = get_logger(__name__)


class EventSignal:
    """Calls back when a module published something.

    Its queue keeps one message: that something happened is all that counts, what happened is in the store.
    """

    def __init__(self, settings: Settings, module: str, on_event: Callable[[], None]) -> None:
        self._settings = settings
        self._module = module
        self._on_event = on_event

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop."""
        while not stop.is_set():
            try:
                connection = await aio_pika.connect_robust(
                    self._settings.broker_url,
                    client_properties={"connection_name": f"{self._module}.wake"},
                )
                async with connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=1)
                    queue = await channel.declare_queue(
                        f"wake.{uuid4()}",
                        exclusive=True,
                        auto_delete=True,
                        arguments={"x-max-length": 1, "x-overflow": "drop-head"},
                    )
                    await queue.bind(f"{self._module}.events", "#")
                    await queue.consume(self._on_message)
                    self._on_event()  # for whatever happened before the binding
                    await stop.wait()
            except (AMQPError, OSError) as error:
                log.warning("wake_away", module=self._module, detail=str(error))
                await asyncio.sleep(RETRY_S)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        self._on_event()
        await message.ack()
