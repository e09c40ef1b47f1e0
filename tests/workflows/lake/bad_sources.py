"""Files of which each has something wrong or odd, as a folder of them, and what is to become of each."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from schemas.lake.types import FileOptions

FIELDS = [
    {"name": "id", "type": "long"},
    {"name": "name", "type": ["null", "string"]},
    {
        "name": "at",
        "default": None,
        "type": [
            "null",
            {"type": "record", "name": "At", "fields": [{"name": "x", "type": ["null", "double"], "default": None}]},
        ],
    },
]
SCHEMA = json.dumps({"type": "record", "name": "town", "fields": FIELDS})
TOWNS = b"id,name\n1,Oslo\n2,Bergen\n"
FREE_EXPANSION = 1024 * 1024  # bytes; what is behind the bomb is more


@dataclass(frozen=True)
class Bad:
    """A file.

    Attributes:
        name: how it's called.
        data: what is in it; none: it's a folder.
        code: the error; empty: it can be loaded.
        told: a part of what is said of it.
        rows: that are loaded.
        bad: rows that are set aside.
        options: how it's read: delimiter, max_bad.
    """

    name: str
    data: bytes | None
    code: str = ""
    told: str = ""
    rows: int = 0
    bad: int = 0
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def arguments(self) -> list[str]:
        """The options of `datapunk lake load`."""
        return [part for name, value in self.options.items() for part in (f"--{name.replace('_', '-')}", value)]

    @property
    def file_options(self) -> FileOptions:
        """The options of `lake.IngestFile`."""
        return FileOptions(**self.options)  # type: ignore[arg-type]


def _zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("towns.csv", data)
    return buffer.getvalue()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"id": [11, 12], "name": ["Bodø", None], "at": [{"x": 1.5}, None]}).write_parquet(buffer)
    return buffer.getvalue()


MIXED = "id,name\n21,Tromsø\n".encode() + "22,Bodø\n".encode("latin-1")
WIDE = ",".join(f"c{number}" for number in range(10_000)).encode() + b"\n" + b"1," * 9_999 + b"1\n"

SOURCES = [
    Bad("truncated.csv.gz", gzip.compress(TOWNS * 100)[:-9], "bad_file", "is cut off"),
    Bad("delimiter.csv", TOWNS.replace(b",", b";"), "bad_file", "is the delimiter ';'?", options={"delimiter": ","}),
    Bad("bom.csv", b"\xef\xbb\xbfid,name\n13,Narvik\n", rows=1),
    Bad("mixed.csv", MIXED, "too_many_bad_rows", "row 2: not UTF-8: byte 0xf8"),
    Bad("mixed too.csv", MIXED, rows=1, bad=1, options={"max_bad": "1"}),
    Bad("empty.csv", b"", "bad_file", "it has 0 bytes"),
    Bad("twice.csv", b"id,name,id\n1,Oslo,2\n", "bad_file", "several columns called 'id'"),
    Bad("ragged.csv", b"id,name\n31\n32,Molde\n33,a,b\n", "too_many_bad_rows", "row 1: 1 values, and the header has 2"),
    Bad("ragged too.csv", b"id,name\n31\n32,Molde\n33,a,b\n", rows=1, bad=2, options={"max_bad": "2"}),
    Bad("wide.csv", WIDE, "bad_file", "has 10,000 columns"),
    Bad("nested.parquet", _parquet(), rows=2),
    Bad("bomb.csv.zip", _zip(b"id,name\n" + b"1,Oslo\n" * 3_000_000), "bad_file", "expands to more than 250 times"),
    Bad("changing.csv", TOWNS, "file_changed", "changed while it was read"),
    Bad("folder", None, "bad_file", "is a directory"),
    Bad("locked.csv", TOWNS, "bad_file", "Permission denied"),
]


def write_sources(folder: Path) -> None:
    """Write them all."""
    for source in SOURCES:
        path = folder / source.name
        if source.data is None:
            path.mkdir()
        else:
            path.write_bytes(source.data)
    (folder / "locked.csv").chmod(0)
