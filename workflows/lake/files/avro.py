"""Avro container files, by their blocks: some blocks behind the header are a container themselves (Avro 1.12)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from workflows.lake.files.chunks import CHUNK_BYTES, Batch, Chunk, check_columns, explaining
from workflows.lake.files.columnar import shown
from workflows.lake.files.errors import BadFile

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
MAX_BLOCK_BYTES = 256 * 1024 * 1024
CODECS = ("null", "deflate", "snappy")


@dataclass(frozen=True)
class Container:
    """A container.

    Args:
        path: where it is.
        name: for messages.
        header: its first bytes, up to the first block.
        schema: of its records, as JSON text.
        sync: what each block ends with.
    """

    path: Path
    name: str
    header: bytes
    schema: bytes
    sync: bytes
    is_text = False

    @classmethod
    def open(cls, path: Path, name: str) -> Container:
        """Read the header.

        Raises:
            BadFile: if it's none.
        """
        with path.open("rb") as file:
            metadata = read_header(file, name)
            sync, length = metadata.pop("sync"), file.tell()
            codec = metadata.get("avro.codec", b"null").decode(errors="replace")
            if codec not in CODECS:
                raise BadFile(f"{name} is packed by {codec}: {', '.join(CODECS)} are what can be read")
            file.seek(0)
            return cls(path, name, file.read(length), metadata.get("avro.schema", b""), sync)

    def columns(self) -> list[str]:
        """As its schema has them."""
        names = self._nothing().columns
        check_columns(names, self.name)
        return names

    def chunks(self) -> Iterator[Chunk]:
        """Ranges of bytes that hold whole blocks."""
        with self.path.open("rb") as file:
            file.seek(len(self.header))
            start, first, rows = file.tell(), 1, 0
            while (count := read_long(file, self.name, may_end=True)) is not None:
                size = read_long(file, self.name) or 0
                if count < 0 or not 0 <= size <= MAX_BLOCK_BYTES:
                    raise BadFile(f"{self.name} is damaged by byte {file.tell():,}: a block of {count:,} records")
                file.seek(size, io.SEEK_CUR)
                mark = file.read(SYNC_BYTES)
                if len(mark) < SYNC_BYTES:
                    raise BadFile(
                        f"{self.name} is cut off: its last block ends too early, after row {first + rows - 1:,}"
                    )
                if mark != self.sync:
                    raise BadFile(f"{self.name} is damaged by byte {file.tell():,}: a block doesn't end as it must")
                rows += count
                if file.tell() - start >= CHUNK_BYTES:
                    yield Chunk(start, file.tell(), first, rows)
                    start, first, rows = file.tell(), first + rows, 0
            if rows:
                yield Chunk(start, file.tell(), first, rows)

    def read(self, chunk: Chunk) -> Batch:
        """Some blocks."""
        if not chunk.rows:
            return Batch(self._nothing(), (), str)
        with self.path.open("rb") as file:
            file.seek(chunk.start)
            data = self.header + file.read(chunk.end - chunk.start)
        with explaining(self.name):
            frame = pl.read_avro(io.BytesIO(data))
        if frame.height != chunk.rows:
            raise BadFile(f"{self.name} is damaged: {chunk.rows:,} records are said to be where {frame.height:,} are")
        return Batch(frame, range(chunk.first, chunk.first + chunk.rows), lambda index: shown(frame, index))

    def _nothing(self) -> pl.DataFrame:
        """Its columns, without rows."""
        with explaining(self.name):
            return pl.read_avro(io.BytesIO(header_of(self.schema, self.sync)))


def header_of(schema: bytes, sync: bytes) -> bytes:
    """The header of a container that isn't packed."""
    key = b"avro.schema"
    entry = write_long(len(key)) + key + write_long(len(schema)) + schema
    return MAGIC + write_long(1) + entry + write_long(0) + sync


def read_header(file: IO[bytes], name: str) -> dict[str, bytes]:
    """The metadata of a container, and its sync marker as `sync`; the file stands at the first block.

    Raises:
        BadFile: if there's no such header.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise BadFile(f"{name} is no Avro container")
    metadata: dict[str, bytes] = {}
    while count := read_long(file, name):
        if count < 0:
            read_long(file, name)  # bytes of these entries
        for _ in range(abs(count)):
            key = _read_bytes(file, name).decode(errors="replace")
            metadata[key] = _read_bytes(file, name)
    metadata["sync"] = file.read(SYNC_BYTES)
    if len(metadata["sync"]) < SYNC_BYTES:
        raise BadFile(f"{name} is cut off in its header")
    return metadata


def _read_bytes(file: IO[bytes], name: str) -> bytes:
    size = read_long(file, name) or 0
    found = file.read(size) if 0 <= size <= MAX_BLOCK_BYTES else b""
    if len(found) != size:
        raise BadFile(f"{name} is cut off in its header")
    return found


def read_long(file: IO[bytes], name: str, *, may_end: bool = False) -> int | None:
    """A variable-length zig-zag integer; none at the end of the file, where that may be."""
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte:
            if may_end and not shift:
                return None
            raise BadFile(f"{name} is cut off in a block's header")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7
        if shift > 63:
            raise BadFile(f"{name} is damaged by byte {file.tell():,}: no such number")


def write_long(value: int) -> bytes:
    """The reverse."""
    rest, found = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)
