"""AMQP 0-9-1 frames of the hot path: publishing, delivering, acknowledging.

Rare methods go through pamqp; these are written and read by hand, because there's one of each a message.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from datapunk.broker.properties import Properties, encode_properties
from datapunk.errors import UnencodableMessage

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = b"\xce"
FRAME_OVERHEAD = 8  # bytes around a payload
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
DELIVER, RETURN = (60, 60), (60, 50)
ACK, NACK = (60, 80), (60, 120)

frame_head = struct.Struct(">BHI")  # type, channel, size of payload
method_id = struct.Struct(">HH")
_content_head = struct.Struct(">HHQ")  # class, weight, body size
_ack = struct.Struct(">BHIHHQBB")
_nack = struct.Struct(">BHIHHQBB")
tag_and_bits = struct.Struct(">QB")


def publish_frames(
    channel: int,
    exchange: str,
    routing_key: str,
    mandatory: bool,
    properties: Properties,
    body: bytes,
    frame_max: int,
) -> bytes:
    """All frames of one published message: method, header, and as many body frames as it takes.

    Raises:
        UnencodableMessage: if the properties don't fit into one frame, as AMQP asks.
    """
    header = _content_head.pack(60, 0, len(body)) + encode_properties(properties)
    if len(header) > frame_max - FRAME_OVERHEAD:
        raise UnencodableMessage(
            f"properties and headers have {len(header):,} bytes, and must fit into one frame of {frame_max:,}"
        )
    parts = [
        _publish_method(channel, exchange, routing_key, mandatory),
        frame_head.pack(HEADER, channel, len(header)),
        header,
        END,
    ]
    largest = frame_max - FRAME_OVERHEAD
    if len(body) <= largest:
        if body:
            parts += (frame_head.pack(BODY, channel, len(body)), body, END)
    else:
        for start in range(0, len(body), largest):
            piece = body[start : start + largest]
            parts += (frame_head.pack(BODY, channel, len(piece)), piece, END)
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _publish_method(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    names = (exchange.encode(), routing_key.encode())
    for name in names:
        if len(name) > 255:
            raise ValueError(f"an exchange or routing key has at most 255 bytes: {name[:40]!r}…")
    payload = struct.pack(">HHH", 60, 40, 0) + b"".join(bytes((len(name),)) + name for name in names)
    payload += b"\x01" if mandatory else b"\x00"
    return frame_head.pack(METHOD, channel, len(payload)) + payload + END


def ack_frame(channel: int, delivery_tag: int, multiple: bool) -> bytes:
    """Acknowledge a delivery, or all up to it."""
    return _ack.pack(METHOD, channel, 13, *ACK, delivery_tag, multiple, 0xCE)


def nack_frame(channel: int, delivery_tag: int, multiple: bool, requeue: bool) -> bytes:
    """Refuse a delivery, or all up to it."""
    return _nack.pack(METHOD, channel, 13, *NACK, delivery_tag, multiple | requeue << 1, 0xCE)


def read_deliver(payload: bytes) -> tuple[str, int, bool, str, str]:
    """Consumer tag, delivery tag, whether redelivered, exchange and routing key of a `basic.deliver`."""
    end = 5 + payload[4]
    consumer_tag = payload[5:end].decode()
    delivery_tag, redelivered = tag_and_bits.unpack_from(payload, end)
    offset = end + 9
    end = offset + 1 + payload[offset]
    exchange = payload[offset + 1 : end].decode("utf-8", "replace")
    routing_key = payload[end + 1 : end + 1 + payload[end]].decode("utf-8", "replace")
    return consumer_tag, delivery_tag, bool(redelivered & 1), exchange, routing_key
