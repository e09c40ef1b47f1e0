"""Parquet and Arrow IPC files, by ranges of rows: both skip to any row without reading those before it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path

import polars as pl

from workflows.lake.files.chunks import MAX_CELLS, Batch, Chunk, check_columns, explaining

MAX_ROWS = 32_768  # of a chunk
MIN_ROWS = 1_000


@dataclass(frozen=True)
class Columnar:
    """A file whose columns have types.

    Args:
        path: where it is.
        name: for messages.
        scan: how polars looks at it.
    """

    path: Path
    name: str
    scan: Callable[[Path], pl.LazyFrame]
    is_text = False

    def columns(self) -> list[str]:
        """As the file says."""
        with explaining(self.name):
            names = self.scan(self.path).collect_schema().names()
        check_columns(names, self.name)
        return names

    def chunks(self) -> Iterator[Chunk]:
        """Ranges of rows."""
        columns = len(self.columns())
        with explaining(self.name):
            total = self.scan(self.path).select(pl.len()).collect().item()
        step = max(MIN_ROWS, min(MAX_ROWS, MAX_CELLS // max(columns, 1)))
        for start in range(0, total, step):
            end = min(start + step, total)
            yield Chunk(start, end, start + 1, end - start)

    def read(self, chunk: Chunk) -> Batch:
        """A range of rows."""
        with explaining(self.name):
            frame = self.scan(self.path).slice(chunk.start, chunk.rows).collect()
        return Batch(frame, range(chunk.first, chunk.first + chunk.rows), lambda index: shown(frame, index))


def shown(frame: pl.DataFrame, index: int) -> str:
    """A row of typed values, as a JSON line that can be loaded."""
    return json.dumps(frame.row(index, named=True), ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """What JSON has no form for, as the text that fields of that type are read from."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if isinstance(value, (date, time)) else str(value)
