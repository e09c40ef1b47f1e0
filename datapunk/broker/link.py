"""A small AMQP 0-9-1 connection for the hot path: whole batches in, whole batches out.

General clients make an object and a future of every message; that costs several times what the broker needs
(docs/adr/0005). Here a batch is one write, confirms are counted by delivery tag, and deliveries pile up until
they're taken together. What isn't on that path uses aio-pika.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from struct import error as struct_error
from time import monotonic
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from pamqp import base, frame
from pamqp import commands as amqp
from pamqp.exceptions import PAMQPException

from datapunk.broker.channel import Channel, Returned
from datapunk.broker.deliveries import Deliveries, Delivery
from datapunk.broker.frames import (
    ACK,
    BODY,
    DELIVER,
    END,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    NACK,
    RETURN,
    frame_head,
    method_id,
    read_deliver,
    tag_and_bits,
)
from datapunk.broker.properties import Properties, decode_properties
from datapunk.errors import BrokerError, ConfigurationError, ConnectionLost, InvalidEnvelope
from datapunk.telemetry.logs import get_logger

CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
FRAME_MAX = 131_072  # bytes: what RabbitMQ proposes, too
LARGEST_FRAME = 16 * FRAME_MAX  # bytes: a dead letter's header may outgrow what was agreed; more isn't AMQP
MOST_PROPERTIES = 65_536  # bytes: half a frame, which leaves room for what a dead letter adds
PROPERTIES = 12  # where they begin in a content header
CAPABILITIES = {
    "publisher_confirms": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "basic.nack": True,
    "authentication_failure_close": True,
}

log = get_logger(__name__)


class Link(asyncio.Protocol):
    """A connection. Open it with `Link.open`.

    Attributes:
        frame_max: largest frame, in bytes, that both sides agreed on.
        blocked: set while the broker reads nothing from publishers, because memory or disk is short; the log says
            so, too. It's told only to who publishes. Whoever waits for confirms waits until it goes on.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.frame_max = FRAME_MAX
        self.blocked = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[BrokerError] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._channels: dict[int, Channel] = {}
        self._handshake: asyncio.Queue[base.Frame] = asyncio.Queue()
        self._content: dict[int, _Content] = {}
        self._last_read = monotonic()
        self._beating: asyncio.Task[None] | None = None
        self._is_closing = False
        self._full: set[Deliveries] = set()

    @classmethod
    async def open(cls, url: str, *, name: str = "datapunk", heartbeat_s: int = 10) -> Link:
        """Connect to a broker by an amqp:// or amqps:// URL.

        Raises:
            ConfigurationError: if the URL isn't one.
            ConnectionLost: if nobody answers there, or the credentials or the virtual host are refused.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
            raise ConfigurationError(f"{parts.scheme}://… is not an amqp:// or amqps:// URL")
        is_secure = parts.scheme == "amqps"
        port = parts.port or (5671 if is_secure else 5672)
        loop = asyncio.get_running_loop()
        link = cls(name)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(
                    lambda: link,
                    parts.hostname,
                    port,
                    ssl=ssl.create_default_context() if is_secure else None,
                )
                user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
                host = unquote(parts.path[1:]) if len(parts.path) > 1 else "/"
                await link._shake_hands(user, password, host, heartbeat_s)
        except (OSError, TimeoutError) as error:
            link._end(ConnectionLost("given up"))
            why = str(error) or f"silence for {CONNECT_TIMEOUT_S:g} s"
            raise ConnectionLost(f"no broker answers at {parts.hostname}:{port}: {why}; is it up?") from None
        except BrokerError:
            link._end(ConnectionLost("given up"))
            raise
        return link

    async def channel(
        self, *, prefetch: int | None = None, confirms: bool = False, deliveries: Deliveries | None = None
    ) -> Channel:
        """Open a channel.

        Args:
            prefetch: most unacknowledged deliveries of each consumer.
            confirms: whether the broker confirms what is published.
            deliveries: where its deliveries go, if it shares that with other channels of this link.

        Raises:
            BrokerError: if it can't be had.
        """
        number = next(number for number in itertools.count(1) if number not in self._channels)
        channel = self._channels[number] = Channel(self, number, deliveries)
        if self.closed.done():
            channel.fail(self.closed.result())
        await channel.ask(amqp.Channel.Open())
        if prefetch is not None:
            await channel.ask(amqp.Basic.Qos(prefetch_count=prefetch))
        if confirms:
            await channel.ask(amqp.Confirm.Select())
        return channel

    def forget(self, channel: Channel) -> None:
        """A channel is closed: its number may be had again."""
        self._channels.pop(channel.number, None)

    async def close(self) -> None:
        """Close in good order; what was written before has arrived then."""
        if not self.closed.done() and self._transport is not None:
            self._is_closing = True
            self.send(amqp.Connection.Close(reply_code=200, reply_text="bye", class_id=0, method_id=0), 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.shield(self.closed)
        self._end(ConnectionLost(f"{self.name}: closed"))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None and not self.closed.done():
            self._transport.write(data)

    def read_no_further(self, holder: Deliveries) -> None:
        """Somebody holds all they should: leave the rest to the broker, which TCP then makes wait."""
        if not self._full and self._transport is not None:
            self._transport.pause_reading()
        self._full.add(holder)

    def read_on(self, holder: Deliveries) -> None:
        """They have room again."""
        if holder in self._full:
            self._full.discard(holder)
            if not self._full and self._transport is not None and not self.closed.done():
                self._last_read = monotonic()
                self._transport.resume_reading()

    def send(self, method: Any, channel: int) -> None:
        """Send one method."""
        self.write(frame.marshal(method, channel))

    # --- asyncio.Protocol -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"AMQP\x00\x00\x09\x01")

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._end(ConnectionLost(f"{self.name}: the connection to the broker broke{f': {exc}' if exc else ''}"))

    def data_received(self, data: bytes) -> None:
        """Cut what arrived into frames; what is left of the last one waits for the rest."""
        self._last_read = monotonic()
        if self._rest:
            data = self._rest + data
        offset, size = 0, len(data)
        try:
            while size - offset >= 7:
                kind, channel, length = frame_head.unpack_from(data, offset)
                if length > LARGEST_FRAME:
                    raise ValueError(f"a frame of {length:,} bytes")
                end = offset + 7 + length
                if end + 1 > size:
                    break
                if data[end] != 0xCE:
                    raise ValueError("a frame doesn't end where it should")
                self._on_frame(kind, channel, data[offset + 7 : end])
                offset = end + 1
        except (ValueError, IndexError, KeyError, struct_error, PAMQPException) as error:
            self._end(ConnectionLost(f"{self.name}: what the broker sent makes no sense: {error!r}"))
            return
        self._rest = data[offset:]

    def _on_frame(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == METHOD:
            which = method_id.unpack_from(payload)
            if which == DELIVER:
                self._content[channel] = _Content(payload)
            elif which in (ACK, NACK):
                tag, bits = tag_and_bits.unpack_from(payload, 4)
                self._channels[channel].on_confirm(tag, bool(bits & 1), which == NACK)
            else:
                self._on_method(channel, which, payload)
        elif kind == HEADER:
            content = self._content[channel]
            content.header, content.missing = payload, int.from_bytes(payload[4:12], "big")
            if content.missing == 0:
                self._on_content(channel, content)
        elif kind == BODY:
            content = self._content[channel]
            content.pieces.append(payload)
            content.missing -= len(payload)
            if content.missing <= 0:
                self._on_content(channel, content)
        elif kind != HEARTBEAT:
            raise ValueError(f"frame type {kind}")

    def _on_content(self, channel: int, content: _Content) -> None:
        del self._content[channel]
        properties, unreadable = _read_properties(content.header)
        body = content.pieces[0] if len(content.pieces) == 1 else b"".join(content.pieces)
        if content.returned is None:
            by = self._channels[channel]
            raw = content.header[PROPERTIES:] if unreadable else b""
            by.on_delivery(Delivery(by, *read_deliver(content.method), properties, body, unreadable, raw))
            return
        method = content.returned
        self._channels[channel].returned.append(
            Returned(
                method.reply_code or 0,
                method.reply_text or "",
                method.exchange or "",
                method.routing_key or "",
                properties,
                body,
            )
        )

    def _on_method(self, channel: int, which: tuple[int, int], payload: bytes) -> None:
        data = frame_head.pack(METHOD, channel, len(payload)) + payload + END
        _, _, method = cast("tuple[int, int, base.Frame]", frame.unmarshal(data))
        if which == RETURN:
            content = self._content[channel] = _Content(payload)
            content.returned = cast(amqp.Basic.Return, method)
        elif channel:
            self._channels[channel].on_method(method)
        elif isinstance(method, amqp.Connection.Close):
            self.send(amqp.Connection.CloseOk(), 0)
            hint = "" if self._beating else "; check the user, the password and the virtual host in the broker's URL"
            self._end(ConnectionLost(f"{self.name}: the broker closed the connection: {method.reply_text}{hint}"))
        elif isinstance(method, amqp.Connection.CloseOk):
            self._end(ConnectionLost(f"{self.name}: closed"))
        elif isinstance(method, amqp.Connection.Blocked):
            self.blocked.set()
            log.warning("publishers_blocked", connection=self.name, detail=method.reason)
        elif isinstance(method, amqp.Connection.Unblocked):
            self.blocked.clear()
            log.info("publishers_unblocked", connection=self.name)
        else:
            self._handshake.put_nowait(method)

    # --- the beginning and the end --------------------------------------------------------------------

    async def _shake_hands(self, user: str, password: str, host: str, heartbeat_s: int) -> None:
        await self._expect(amqp.Connection.Start)
        about = {"product": "datapunk", "connection_name": self.name, "capabilities": CAPABILITIES}
        self.send(
            amqp.Connection.StartOk(
                client_properties=cast("Any", about),
                mechanism="PLAIN",
                response=f"\0{user}\0{password}",
                locale="en_US",
            ),
            0,
        )
        tune = await self._expect(amqp.Connection.Tune)
        self.frame_max = min(tune.frame_max or FRAME_MAX, FRAME_MAX)
        beat = min(tune.heartbeat or heartbeat_s, heartbeat_s)
        self.send(amqp.Connection.TuneOk(channel_max=tune.channel_max, frame_max=self.frame_max, heartbeat=beat), 0)
        self.send(amqp.Connection.Open(virtual_host=host), 0)
        await self._expect(amqp.Connection.OpenOk)
        self._beating = asyncio.create_task(self._beat(beat), name=f"heartbeat {self.name}")

    async def _expect(self, kind: Any) -> Any:
        waiting = asyncio.ensure_future(self._handshake.get())
        try:
            await asyncio.wait({waiting, self.closed}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise self.closed.result()
        finally:
            waiting.cancel()
        method = waiting.result()
        if not isinstance(method, kind):
            raise ConnectionLost(f"{self.name}: expected {kind.name}, got {method.name}")
        return method

    async def _beat(self, interval_s: int) -> None:
        """Send a heartbeat twice an interval; two intervals of silence mean that the broker is gone."""
        while True:
            await asyncio.sleep(interval_s / 2)
            self.write(HEARTBEAT_FRAME)
            if not self._full and monotonic() - self._last_read > 2 * interval_s:
                self._end(ConnectionLost(f"{self.name}: the broker has been silent for {2 * interval_s} s"))
                return

    def _end(self, error: BrokerError) -> None:
        if self.closed.done():
            return
        self.closed.set_result(error)
        if self._beating is not None:
            self._beating.cancel()
        for channel in self._channels.values():
            channel.fail(error)
        if self._transport is not None:
            self._transport.abort() if not self._is_closing else self._transport.close()


def _read_properties(header: bytes) -> tuple[Properties, str]:
    """The properties in a content header; or empty ones, and why they can't be read."""
    if len(header) > MOST_PROPERTIES:
        return Properties(), f"properties and headers have {len(header):,} bytes; {MOST_PROPERTIES:,} are the limit"
    try:
        return decode_properties(header, PROPERTIES), ""
    except InvalidEnvelope as error:
        return Properties(), str(error)


class _Content:
    """A message on its way in: its method, then its header, then its body."""

    __slots__ = ("header", "method", "missing", "pieces", "returned")

    def __init__(self, method: bytes) -> None:
        self.method = method
        self.header = b""
        self.missing = 0
        self.pieces: list[bytes] = []
        self.returned: amqp.Basic.Return | None = None
