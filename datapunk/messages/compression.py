"""Bodies that their senders compressed, as AMQP's `content_encoding` and HTTP's header say."""

from __future__ import annotations

import zlib

from datapunk.errors import OversizedMessage, UndecodableMessage, UnsupportedContentType

GZIP = "gzip"
WORTHWHILE = 64 * 1024  # bytes: what is smaller fits a few packets anyway
OTHERS = frozenset({"br", "bzip2", "compress", "deflate", "lz4", "snappy", "xz", "zstd"})

_LEVEL = 1  # the higher ones take three times as long for a third less
_FORMAT = zlib.MAX_WBITS | 16  # RFC 1952


def compressed(body: bytes) -> bytes:
    """A body in gzip."""
    return zlib.compress(body, _LEVEL, _FORMAT)


def decompressed(body: bytes, encoding: str | None, most: int) -> bytes:
    """A body as it was before it was compressed.

    Args:
        body: as it arrived.
        encoding: `gzip`; whatever names no compression, as `utf-8` with which some clients describe text, counts as
            none.
        most: bytes that it may have.

    Raises:
        OversizedMessage: if it has more; no more is unpacked.
        UndecodableMessage: if it's damaged.
        UnsupportedContentType: if it's compressed otherwise.
    """
    if encoding is None or encoding.lower() != GZIP:
        if encoding is not None and encoding.lower() in OTHERS:
            raise UnsupportedContentType(f"the content encoding {encoding!r} is not accepted; send {GZIP}, or none")
        return body
    reader = zlib.decompressobj(_FORMAT)
    try:
        found = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise UndecodableMessage(f"the body is no gzip: {error}") from None
    if len(found) > most:
        raise OversizedMessage(f"the body has more than {most:,} bytes once it's unpacked, and that is the limit")
    if not reader.eof:
        raise UndecodableMessage("the body is gzip that is cut off")
    if reader.unused_data:
        raise UndecodableMessage(f"{len(reader.unused_data):,} bytes follow the body's gzip")
    return found
