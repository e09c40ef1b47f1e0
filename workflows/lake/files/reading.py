"""Which reader reads a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import polars as pl

from workflows.lake.files.avro import Container
from workflows.lake.files.chunks import Reader
from workflows.lake.files.columnar import Columnar
from workflows.lake.files.delimited import Delimited
from workflows.lake.files.errors import BadFile
from workflows.lake.files.json_lines import JsonLines
from workflows.lake.files.sources import Opened


class Format(StrEnum):
    """What files are written in."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"
    AVRO = "avro"


SUFFIXES = {
    ".csv": Format.CSV,
    ".txt": Format.CSV,
    ".tsv": Format.TSV,
    ".tab": Format.TSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".arrow": Format.ARROW,
    ".ipc": Format.ARROW,
    ".feather": Format.ARROW,
    ".avro": Format.AVRO,
}
MAGIC = {b"PAR1": Format.PARQUET, b"ARROW1": Format.ARROW, b"Obj\x01": Format.AVRO}


def format_of(file: Opened) -> Format:
    """What a file is written in: what it begins with, else what its name ends with.

    Raises:
        BadFile: if neither tells.
    """
    with file.path.open("rb") as opened:
        head = opened.read(64)
    for magic, format in MAGIC.items():
        if head.startswith(magic):
            return format
    named = SUFFIXES.get(Path(file.name).suffix.lower())
    if named in MAGIC.values():
        raise BadFile(f"{file.name} is no {named} file, by its first bytes; say what it is, as in --format csv")
    if named is None and head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return Format.JSONL
    return named or Format.CSV


def reader_of(
    file: Opened, format: Format | None = None, *, delimiter: str | None = None, has_quotes: bool = True
) -> Reader:
    """What reads a file.

    Args:
        file: plain.
        format: by default as the file tells.
        delimiter: of CSV; by default what the header is full of.
        has_quotes: whether quotes in CSV enclose values.

    Raises:
        BadFile: if its beginning is wrong.
    """
    match format or format_of(file):
        case Format.CSV:
            return Delimited.open(file.path, file.name, delimiter, has_quotes=has_quotes)
        case Format.TSV:
            return Delimited.open(file.path, file.name, delimiter or "\t", has_quotes=has_quotes)
        case Format.JSONL:
            return JsonLines(file.path, file.name)
        case Format.PARQUET:
            return Columnar(file.path, file.name, pl.scan_parquet)
        case Format.ARROW:
            return Columnar(file.path, file.name, pl.scan_ipc)
        case Format.AVRO:
            return Container.open(file.path, file.name)
