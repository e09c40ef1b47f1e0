"""Frames into a file, one after the other, in constant memory."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import fastavro
import polars as pl
import zstandard
from polars.io.plugins import register_io_source

from datapunk.errors import ConfigurationError
from workflows.lake.files.errors import BadFile, unwritable
from workflows.lake.files.fields import JSON, Field
from workflows.lake.files.reading import SUFFIXES, Format

GZIP_LEVEL = 3  # of 9; more takes far longer and gains little
PACKED = (".gz", ".zst")


def format_named(name: str) -> tuple[Format, str]:
    """The format that a name asks for, and how it's packed.

    Raises:
        ConfigurationError: if it asks for none.
    """
    path = Path(name)
    packed = path.suffix if path.suffix in PACKED else ""
    format = SUFFIXES.get(Path(path.stem).suffix if packed else path.suffix)
    if format is None:
        known = ", ".join(f".{each}" for each in Format)
        raise ConfigurationError(f"{name}: its end tells no format; {known} do, or --format")
    return format, packed


def write(
    name: str,
    frames: Iterator[pl.DataFrame],
    fields: Sequence[Field],
    schema: str,
    format: Format | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write all of it, or nothing.

    Args:
        name: of the file.
        frames: what is in it.
        fields: their columns.
        schema: of the records, in Avro.
        format: by default what the name says.
        overwrite: whether a file of this name may be replaced.

    Raises:
        ConfigurationError: if the file can't be written, or is there already.
        NoRoom: if the disk is full.
    """
    path = Path(name)
    if path.exists() and not overwrite:
        raise ConfigurationError(f"{path} is there already: choose another name, or say --overwrite")
    packed = path.suffix if path.suffix in PACKED else ""
    chosen = format or format_named(name)[0]
    if packed and chosen not in (Format.CSV, Format.TSV, Format.JSONL):
        raise ConfigurationError(f"{chosen} is packed within: leave {packed} out")
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        match chosen:
            case Format.PARQUET | Format.ARROW:
                source = _source(frames, {field.name: field.dtype for field in fields})
                if chosen is Format.PARQUET:
                    source.sink_parquet(partial)
                else:
                    source.sink_ipc(partial, compression="zstd")
            case Format.AVRO:
                _write_avro(partial, frames, fields, schema)
            case _:
                with _opened(partial, packed) as file:
                    _write_text(file, frames, fields, chosen)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        raise unwritable(name, error) from None
    finally:
        partial.unlink(missing_ok=True)


def _source(frames: Iterator[pl.DataFrame], dtypes: dict[str, pl.DataType]) -> pl.LazyFrame:
    def produce(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield frame if with_columns is None else frame.select(with_columns)

    return register_io_source(produce, schema=dtypes)


def _write_text(file: IO[bytes], frames: Iterator[pl.DataFrame], fields: Sequence[Field], format: Format) -> None:
    separator = "\t" if format is Format.TSV else ","
    columns = [_as_text(field, is_csv=format is not Format.JSONL) for field in fields]
    if format is not Format.JSONL:
        header = pl.DataFrame(schema={field.name: pl.String() for field in fields})
        header.write_csv(file, separator=separator)
    for frame in frames:
        texts = frame.select(columns)
        if format is Format.JSONL:
            texts.write_ndjson(file)
        else:
            texts.write_csv(file, include_header=False, separator=separator)


def _as_text(field: Field, *, is_csv: bool) -> pl.Expr:
    """As `lake load` reads it: ISO 8601, base64, decimals in digits."""
    column = pl.col(field.name)
    if field.is_nested and is_csv:
        whole = pl.struct(column).struct.json_encode()
        start = len(json.dumps(field.name)) + 2  # {"name":
        inner = whole.str.slice(start, whole.str.len_chars() - start - 1)
        return pl.when(column.is_null()).then(None).otherwise(inner).alias(field.name)
    if isinstance(field.dtype, pl.Datetime):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("Z" if field.dtype.time_zone else ""))
    if field.dtype == pl.Time:
        return column.dt.strftime("%H:%M:%S%.f")
    if field.dtype == pl.Binary:
        return column.bin.encode("base64")
    return column.cast(pl.String) if isinstance(field.dtype, pl.Decimal) else column


def _write_avro(path: Path, frames: Iterator[pl.DataFrame], fields: Sequence[Field], schema: str) -> None:
    held = [field.name for field in fields if field.kind == JSON]
    if held:
        raise BadFile(f"fields of maps or of several types can't be written as avro: {', '.join(held)}; jsonl has them")
    with path.open("xb") as file:
        rows = (row for frame in frames for row in frame.iter_rows(named=True))
        fastavro.writer(file, json.loads(schema), rows, codec="deflate")


@contextmanager
def _opened(path: Path, packed: str) -> Generator[IO[bytes]]:
    with path.open("xb") as file:
        if not packed:
            yield file
            return
        open_packed: Callable[[], Any] = {
            ".gz": lambda: gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0),
            ".zst": lambda: zstandard.ZstdCompressor().stream_writer(file, closefd=False),
        }[packed]
        with open_packed() as inner:
            yield cast("IO[bytes]", inner)
