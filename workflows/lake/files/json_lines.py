"""JSON lines, by ranges of bytes."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import polars as pl

from workflows.lake.files.chunks import (
    CHUNK_BYTES,
    MAX_RECORD_BYTES,
    Batch,
    Chunk,
    Reject,
    check_columns,
    explaining,
    not_utf8,
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
        kinds: dict[str, set[type]] = {}
        for number, line in enumerate(lines, chunk.first):
            if not line.strip():
                continue
            try:
                found = _read(line.decode())
            except UnicodeDecodeError as error:
                rejects.append(not_utf8(number, line, error))
                continue
            if isinstance(found, str):
                rejects.append(Reject(number, None, found, _shown(line)))
                continue
            good.append(line)
            numbers.append(number)
            for name, value in found.items():
                kinds.setdefault(name, set()).add(float if type(value) is int else type(value))
        frame = self._parse_mixed(good, numbers, rejects, kinds) if good else pl.DataFrame()
        return Batch(frame, numbers, lambda index: _shown(good[index]), rejects)

    def _parse_mixed(
        self, good: list[bytes], numbers: list[int], rejects: list[Reject], kinds: dict[str, set[type]]
    ) -> pl.DataFrame:
        """Columns that have values of several kinds become text, and if that isn't enough, those with parts do, too."""
        mixed = [name for name, found in kinds.items() if len(found - {type(None)}) > 1]
        nested = [name for name, found in kinds.items() if found & {list, dict}]
        for texts in (mixed, [*mixed, *nested]):
            frame = self._parse(b"\n".join(_with_texts(line, texts) for line in good))
            if frame is not None and frame.height == len(good):
                return frame
        return self._parse_each(good, numbers, rejects, list(kinds))

    def _parse(self, data: bytes) -> pl.DataFrame | None:
        """The lines; none: they can't be read as one table."""
        try:
            with explaining(self.name):
                frame = pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
        except BadFile:
            return None
        check_columns(frame.columns, self.name)
        return frame

    def _parse_each(
        self, good: list[bytes], numbers: list[int], rejects: list[Reject], names: Sequence[str]
    ) -> pl.DataFrame:
        """Line by line, all as text; what polars refuses and Python's JSON bears leaves `good` and `numbers`."""
        frames: list[pl.DataFrame] = []
        kept: list[tuple[bytes, int]] = []
        for line, number in zip(good, numbers, strict=True):
            frame = self._parse(_with_texts(line, names))
            if frame is None:
                rejects.append(Reject(number, None, "values that can't be read", _shown(line)))
            else:
                frames.append(frame)
                kept.append((line, number))
        good[:], numbers[:] = [line for line, _ in kept], [number for _, number in kept]
        return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def _read(line: str) -> dict[str, Any] | str:
    """An object, or what is wrong with it."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return value if isinstance(value, dict) else f"a JSON {type(value).__name__}, and no object"


def _with_texts(line: bytes, names: Sequence[str]) -> bytes:
    """The same object, in which these values are texts."""
    if not names:
        return line
    value = json.loads(line)
    for name in names:
        if not isinstance(value.get(name), (str, NoneType)):
            value[name] = json.dumps(value[name], ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False).encode()


def _shown(line: bytes) -> str:
    return line.decode(errors="backslashreplace").removesuffix("\r")
