"""AMQP by hand over a blocking socket: the property list of a message goes out, and comes back, as bytes."""

from __future__ import annotations

import socket
import struct
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import unquote, urlsplit

from pamqp import commands as amqp
from pamqp import frame

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
PATIENCE_S = 60.0


class RawAmqp(AbstractContextManager["RawAmqp"]):
    """One connection with one channel, in confirm mode."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._socket = socket.create_connection((parts.hostname, parts.port), PATIENCE_S)
        self._reader = self._socket.makefile("rb")
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(amqp.Connection.Start)
        self._send(amqp.Connection.StartOk({}, "PLAIN", f"\0{parts.username}\0{parts.password}", "en_US"), 0)
        tune = self._expect(amqp.Connection.Tune)
        self._send(amqp.Connection.TuneOk(tune.channel_max, tune.frame_max, 0), 0)
        self._send(amqp.Connection.Open(unquote(parts.path[1:])), 0)
        self._expect(amqp.Connection.OpenOk)
        self.ask(amqp.Channel.Open(), amqp.Channel.OpenOk)
        self.ask(amqp.Confirm.Select(), amqp.Confirm.SelectOk)

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._socket.close()

    def ask(self, method: Any, answer: Any) -> Any:
        """Send a method, return its answer."""
        self._send(method, 1)
        return self._expect(answer)

    def publish(self, exchange: str, routing_key: str, properties: bytes, body: bytes) -> None:
        """Send a message with these bytes as its property flags and list; returns once it's confirmed."""
        head = struct.pack(">HHQ", 60, 0, len(body)) + properties
        self._send(amqp.Basic.Publish(exchange=exchange, routing_key=routing_key), 1)
        self._socket.sendall(struct.pack(">BHI", HEADER, 1, len(head)) + head + b"\xce")
        self._socket.sendall(struct.pack(">BHI", BODY, 1, len(body)) + body + b"\xce")
        self._expect(amqp.Basic.Ack)

    def get(self, queue: str) -> tuple[bytes, bytes] | None:
        """The next message's property flags and list, and its body; None if there's none."""
        answer = self.ask(amqp.Basic.Get(queue=queue, no_ack=True), (amqp.Basic.GetOk, amqp.Basic.GetEmpty))
        if isinstance(answer, amqp.Basic.GetEmpty):
            return None
        kind, head = self._read()
        assert kind == HEADER
        body, size = b"", int.from_bytes(head[4:12], "big")
        while len(body) < size:
            body += self._read()[1]
        return head[12:], body

    def _send(self, method: Any, channel: int) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def _read(self) -> tuple[int, bytes]:
        kind, _, size = struct.unpack(">BHI", self._reader.read(7))
        payload = self._reader.read(size)
        assert self._reader.read(1) == b"\xce"
        return self._read() if kind == HEARTBEAT else (kind, payload)

    def _expect(self, kind: Any) -> Any:
        _, payload = self._read()
        data = struct.pack(">BHI", METHOD, 0, len(payload)) + payload + b"\xce"
        _, _, method = frame.unmarshal(data)
        assert isinstance(method, kind), f"{method!r} {vars(method) if hasattr(method, '__dict__') else ''}"
        return method


SHORT = 0x8000, 0x4000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010, 0x0008, 0x0004
HEADERS, MODE, PRIORITY, TIMESTAMP = 0x2000, 0x1000, 0x0800, 0x0040


def split_properties(data: bytes) -> tuple[dict[int, bytes], dict[bytes, bytes]]:
    """The properties by flag, and the headers by name, each value as the bytes that it came in."""
    flags = int.from_bytes(data[:2], "big")
    at, properties, headers = 2, dict[int, bytes](), dict[bytes, bytes]()
    for flag in sorted((*SHORT, HEADERS, MODE, PRIORITY, TIMESTAMP), reverse=True):
        if not flags & flag:
            continue
        if flag == HEADERS:
            size = 4 + int.from_bytes(data[at : at + 4], "big")
            headers = _split_table(data[at + 4 : at + size])
        else:
            size = {MODE: 1, PRIORITY: 1, TIMESTAMP: 8}.get(flag) or 1 + data[at]
            properties[flag] = data[at : at + size]
        at += size
    assert at == len(data)
    return properties, headers


def _split_table(data: bytes) -> dict[bytes, bytes]:
    table: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        name = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        tag = data[at : at + 1]
        if tag in b"SxFA":
            size = 5 + int.from_bytes(data[at + 1 : at + 5], "big")
        else:
            size = 1 + {b"t": 1, b"b": 1, b"s": 2, b"I": 4, b"l": 8, b"d": 8, b"T": 8, b"V": 0}[tag]
        table[name] = data[at : at + size]
        at += size
    return table
