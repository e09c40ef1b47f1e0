"""JSON lines, by ranges of bytes."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from workflows.lake.files.chunks import (
    CHUNK_BYTES,
    MAX_RECORD_BYTES,
    Batch,
    Chunk,
    Reject,
    check_columns,
    explaining,
)
from workflows.lake.files.errors import BadFile


@dataclass(frozen=True)
class JsonLines:
    """A file with a JSON object a line.

    Args:
        path: where it is; UTF-8.
        name: for messages.
    """

    path: Path
    name: str
    is_text = False

    def columns(self) -> None:
        """Every line may bring another."""

    def chunks(self) -> Iterator[Chunk]:
        """Ranges of bytes that end with a line."""
        with self.path.open("rb") as file:
            start, first = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0, 1
            file.seek(start)
            if file.read(1) == b"[":
                raise BadFile(f"{self.name} begins with a list: JSON lines have an object a line")
            while True:
                file.seek(start)
                block, size = file.read(CHUNK_BYTES), CHUNK_BYTES
                if not block:
                    return
                while len(block) == size and b"\n" not in block:
                    if size >= MAX_RECORD_BYTES:
                        raise BadFile(f"{self.name}, row {first:,}: it has more than {MAX_RECORD_BYTES:,} bytes")
                    block, size = block + file.read(size), size * 2
                if len(block) == size:
                    block = block[: block.rfind(b"\n") + 1]
                rows = block.count(b"\n") + (not block.endswith(b"\n"))
                yield Chunk(start, start + len(block), first, rows)
                start, first = start + len(block), first + rows

    def read(self, chunk: Chunk) -> Batch:
        """A range of bytes; lines that aren't objects are set aside."""
        with self.path.open("rb") as file:
            file.seek(chunk.start)
            data = file.read(chunk.end - chunk.start)
        lines = data.removesuffix(b"\n").split(b"\n")
        frame = self._parse(data)
        if frame is not None and frame.height == len(lines):
            return Batch(frame, range(chunk.first, chunk.first + len(lines)), lambda index: _shown(lines[index]))
        good, numbers, rejects = list[bytes](), list[int](), list[Reject]()
        for number, line in enumerate(lines, chunk.first):
            if not line.strip():
                continue
            if reason := _wrong(line):
                rejects.append(Reject(number, None, reason, _shown(line)))
            else:
                good.append(line)
                numbers.append(number)
        frame = self._parse(b"\n".join(good)) if good else pl.DataFrame()
        if frame is None or frame.height != len(good):
            frame = self._parse_each(good, numbers, rejects)
        return Batch(frame, numbers, lambda index: _shown(good[index]), rejects)

    def _parse(self, data: bytes) -> pl.DataFrame | None:
        try:
            with explaining(self.name):
                frame = pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
        except BadFile:
            return None
        check_columns(frame.columns, self.name)
        return frame

    def _parse_each(self, good: list[bytes], numbers: list[int], rejects: list[Reject]) -> pl.DataFrame:
        """Line by line, where polars refuses what Python's JSON bears; the refused leave `good` and `numbers`."""
        frames: list[pl.DataFrame] = []
        kept: list[tuple[bytes, int]] = []
        for line, number in zip(good, numbers, strict=True):
            frame = self._parse(line)
            if frame is None:
                rejects.append(Reject(number, None, "values that can't be read", _shown(line)))
            else:
                frames.append(frame)
                kept.append((line, number))
        good[:], numbers[:] = [line for line, _ in kept], [number for _, number in kept]
        return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def _wrong(line: bytes) -> str | None:
    try:
        value = json.loads(line)
    except UnicodeDecodeError as error:
        return f"not UTF-8: byte 0x{line[error.start]:02x} at {error.start}"
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return None if isinstance(value, dict) else f"a JSON {type(value).__name__}, and no object"


def _shown(line: bytes) -> str:
    return line.decode(errors="backslashreplace").removesuffix("\r")
