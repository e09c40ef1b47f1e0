"""A connection of the stream protocol: requests and their answers, and who gets what comes unasked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import cast

from faust_rabbitmq.errors import ConnectionLost, RefusedByBroker
from faust_rabbitmq.stream.frames import HEADER, RESPONSE, Key, Offset, body, credit, frame, request, string, strings

__all__ = ["Connection", "Place"]

_ANSWER_WITHIN_S = 30.0
_OK = 1
_MOST_IDS = 256  # of publishers or subscriptions of one connection: their numbers are bytes

Confirmed = Callable[[Sequence[int]], None]
Refused = Callable[[int, int], None]
Delivered = Callable[[bytes], None]


class Place:
    """Where the broker is, and who we are to it.

    Args:
        host: its name or address.
        port: of the stream protocol.
        user: the user's name.
        password: the user's password.
        virtual_host: the virtual host.
        tls: how to speak TLS, if at all.
    """

    def __init__(
        self, host: str, port: int, user: str, password: str, virtual_host: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self.host, self.port, self.tls = host, port, tls
        self.user, self.password, self.virtual_host = user, password, virtual_host


class Connection(asyncio.Protocol):
    """One connection; `open` makes it. Once lost it stays so, and all that waits gets `ConnectionLost`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lost = asyncio.get_running_loop().create_future()
        self.frame_max = 0
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._correlations = count(1)
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._tuned: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._beating: asyncio.Task[None] | None = None
        self._publishers: dict[int, tuple[Confirmed, Refused]] = {}
        self._subscribers: dict[int, Delivered] = {}
        self._unavailable: dict[str, Callable[[], None]] = {}
        self._may_write = asyncio.Event()
        self._may_write.set()

    @classmethod
    async def open(cls, place: Place, name: str) -> Connection:
        """Connect and log in.

        Raises:
            ConnectionLost: nobody answers there.
            RefusedByBroker: wrong credentials, or no such virtual host.
        """
        loop = asyncio.get_running_loop()
        try:
            _, self = await asyncio.wait_for(
                loop.create_connection(lambda: cls(name), place.host, place.port, ssl=place.tls), _ANSWER_WITHIN_S
            )
        except (OSError, TimeoutError) as error:
            raise ConnectionLost(
                f"no answer from RabbitMQ's stream port {place.host}:{place.port} ({error}); is the plugin "
                "rabbitmq_stream enabled, and `stream_port` in the URL right?"
            ) from None
        try:
            await self._log_in(place)
        except BaseException:
            self.abort()
            raise
        return self

    async def _log_in(self, place: Place) -> None:
        properties = {"product": "faust-rabbitmq", "platform": "Python", "connection_name": self.name}
        await self.ask(Key.PEER_PROPERTIES, strings(properties))
        await self.ask(Key.SASL_HANDSHAKE)
        secret = f"\0{place.user}\0{place.password}".encode()
        await self.ask(Key.SASL_AUTHENTICATE, string("PLAIN") + body(secret))
        self.frame_max, heartbeat_s = await asyncio.wait_for(self._tuned, _ANSWER_WITHIN_S)
        self.write(frame(Key.TUNE, self.frame_max.to_bytes(4) + heartbeat_s.to_bytes(4)))
        await self.ask(Key.OPEN, string(place.virtual_host))
        if heartbeat_s:
            self._beating = asyncio.create_task(self._beat(heartbeat_s / 2), name=f"{self.name} heartbeat")

    async def _beat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self.write(frame(Key.HEARTBEAT))

    async def ask(self, key: Key, content: bytes = b"") -> bytes:
        """Send a request; what its answer says after 'OK'.

        Raises:
            RefusedByBroker: it says something else.
            ConnectionLost: it didn't come.
        """
        if self.lost.done():
            raise ConnectionLost(f"the connection {self.name} is gone")
        correlation = next(self._correlations)
        answer = self._answers[correlation] = asyncio.get_running_loop().create_future()
        self.write(request(key, correlation, content))
        try:
            said = await asyncio.wait_for(answer, _ANSWER_WITHIN_S)
        except TimeoutError:
            raise ConnectionLost(f"no answer to {key.name} within {_ANSWER_WITHIN_S:g} s") from None
        finally:
            del self._answers[correlation]
        code = int.from_bytes(said[:2])
        if code != _OK:
            raise RefusedByBroker(key.name, code)
        return said[2:]

    def write(self, frames: bytes) -> None:
        """Send without waiting."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames)

    async def writable(self) -> None:
        """Wait until the broker takes what was sent."""
        await self._may_write.wait()

    async def declare_publisher(self, reference: str, stream: str, confirmed: Confirmed, refused: Refused) -> int:
        """Get ready to write to a stream; the publisher's number.

        Args:
            reference: whose ids these are: the broker drops what has one that it knows of this reference.
            stream: its name.
            confirmed: called with the ids of what is stored.
            refused: called with an id and why it isn't.
        """
        id = _free(self._publishers)
        self._publishers[id] = confirmed, refused
        try:
            await self.ask(Key.DECLARE_PUBLISHER, id.to_bytes(1) + string(reference) + string(stream))
        except BaseException:
            self._publishers.pop(id, None)
            raise
        return id

    async def delete_publisher(self, id: int) -> None:
        """Write no more under this number."""
        with suppress(ConnectionLost, RefusedByBroker):
            await self.ask(Key.DELETE_PUBLISHER, id.to_bytes(1))
        self._publishers.pop(id, None)

    async def published(self, reference: str, stream: str) -> int:
        """The highest id that the broker has stored of a reference."""
        return int.from_bytes(await self.ask(Key.QUERY_PUBLISHER_SEQUENCE, string(reference) + string(stream)))

    async def subscribe(self, stream: str, offset: Offset, chunks: int, delivered: Delivered) -> int:
        """Read a stream; the subscription's number.

        Args:
            stream: its name.
            offset: where to begin; the first chunk may hold messages before it.
            chunks: how many to deliver before `grant` allows more.
            delivered: called with what `parse_chunk` takes.
        """
        id = _free(self._subscribers)
        self._subscribers[id] = delivered
        content = id.to_bytes(1) + string(stream) + offset.encoded() + chunks.to_bytes(2) + strings({})
        try:
            await self.ask(Key.SUBSCRIBE, content)
        except BaseException:
            self._subscribers.pop(id, None)
            raise
        return id

    def grant(self, subscription: int, chunks: int) -> None:
        """Let the broker deliver more."""
        self.write(credit(subscription, chunks))

    async def unsubscribe(self, subscription: int) -> None:
        """Read no more; what is on its way is dropped."""
        self._subscribers[subscription] = _ignore
        with suppress(ConnectionLost, RefusedByBroker):
            await self.ask(Key.UNSUBSCRIBE, subscription.to_bytes(1))
        self._subscribers.pop(subscription, None)

    @property
    def is_full(self) -> bool:
        """Whether it has as many publishers or subscriptions as one connection may."""
        return max(len(self._publishers), len(self._subscribers)) >= _MOST_IDS

    async def close(self) -> None:
        """Say goodbye and go."""
        with suppress(ConnectionLost, RefusedByBroker):
            await self.ask(Key.CLOSE, (1).to_bytes(2) + string("OK"))
        self.abort()

    def abort(self) -> None:
        """Go."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def pause_writing(self) -> None:
        """The broker takes less than we send."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait."""
        if self._beating is not None:
            self._beating.cancel()
        self._may_write.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionLost(f"the connection {self.name} is gone: {exc or 'closed'}"))
        if not self._tuned.done():
            self._tuned.cancel()
        if not self.lost.done():
            self.lost.set_result(exc)

    def data_received(self, data: bytes) -> None:
        """Take the buffer apart into frames."""
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= 4:
            size = int.from_bytes(buffer[at : at + 4])
            if end - at - 4 < size:
                break
            _, key, _version = HEADER.unpack_from(buffer, at)
            content = bytes(memoryview(buffer)[at + 8 : at + 4 + size])
            at += 4 + size
            self._frame(key, content)
        if at:
            del buffer[:at]

    def _frame(self, key: int, content: bytes) -> None:
        if key == Key.DELIVER:
            deliver = self._subscribers.get(content[0])
            if deliver is not None:
                deliver(content)
        elif key == Key.PUBLISH_CONFIRM:
            publisher = self._publishers.get(content[0])
            if publisher is not None:
                publisher[0]([int.from_bytes(content[at : at + 8]) for at in range(5, len(content), 8)])
        elif key == Key.PUBLISH_ERROR:
            publisher = self._publishers.get(content[0])
            for at in range(5, len(content), 10):
                if publisher is not None:
                    publisher[1](int.from_bytes(content[at : at + 8]), int.from_bytes(content[at + 8 : at + 10]))
        elif key == Key.TUNE:
            if not self._tuned.done():
                self._tuned.set_result((int.from_bytes(content[:4]), int.from_bytes(content[4:8])))
        elif key in (Key.METADATA_UPDATE, Key.CLOSE):
            # A stream was deleted or moved, or the broker goes down: begin anew, which finds out.
            self.abort()
        elif key & RESPONSE and key != Key.CREDIT | RESPONSE:
            answer = self._answers.get(int.from_bytes(content[:4]))
            if answer is not None and not answer.done():
                answer.set_result(content[4:])


def _free(taken: dict[int, object] | dict[int, tuple[Confirmed, Refused]] | dict[int, Delivered]) -> int:
    return next(id for id in range(_MOST_IDS) if id not in taken)


def _ignore(_: bytes) -> None:
    """Nobody reads it any more."""
