"""Any table comes out of a file as it was written into it, through every format, however it's cut into chunks."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loading_files import load
from tests.properties import examples

SMALL = 64  # bytes, and rows: chunks end everywhere
READERS = "workflows.lake.files"

Values = st.SearchStrategy[Any]
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
longs = st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))

# An Avro type, the type of polars that is read as it, and its values.
TYPES: Mapping[str, tuple[Any, pl.DataType, Values]] = {
    "boolean": ("boolean", pl.Boolean(), st.booleans()),
    "int": ("int", pl.Int32(), st.integers(-(2**31), 2**31 - 1)),
    "long": ("long", pl.Int64(), longs),
    "double": ("double", pl.Float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "float": ("float", pl.Float32(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    "string": ("string", pl.String(), texts),
    "bytes": ("bytes", pl.Binary(), st.binary(max_size=12)),
    "date": ({"type": "int", "logicalType": "date"}, pl.Date(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    "time": ({"type": "long", "logicalType": "time-micros"}, pl.Time(), st.times()),
    "instant": (
        {"type": "long", "logicalType": "timestamp-micros"},
        pl.Datetime("us", "UTC"),
        moments.map(lambda moment: moment.replace(tzinfo=UTC)),
    ),
    "millis": (
        {"type": "long", "logicalType": "timestamp-millis"},
        pl.Datetime("ms", "UTC"),
        moments.map(lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)),
    ),
    "local": ({"type": "long", "logicalType": "local-timestamp-micros"}, pl.Datetime("us"), moments),
    "decimal": (
        {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3},
        pl.Decimal(12, 3),
        st.integers(-(10**12) + 1, 10**12 - 1).map(lambda number: Decimal(number).scaleb(-3)),
    ),
    "list": (
        {"type": "array", "items": ["null", "long"]},
        pl.List(pl.Int64()),
        st.lists(st.none() | longs, max_size=3),
    ),
}
IN_CSV = sorted(set(TYPES) - {"list", "bytes"})
IN_JSON = ["boolean", "long", "double", "string", "list"]


class Table:
    """Columns of these types, the rows of which may lack values."""

    def __init__(self, types: list[tuple[str, bool]], rows: list[tuple[Any, ...]]) -> None:
        self.types, self.rows = types, rows
        self.names = [f"c{number}" for number in range(len(types))]

    def __repr__(self) -> str:
        return f"Table({self.types!r}, {self.rows!r})"

    @property
    def schema(self) -> str:
        fields = [
            {"name": name, "type": ["null", TYPES[kind][0]] if is_nullable else TYPES[kind][0]}
            for name, (kind, is_nullable) in zip(self.names, self.types, strict=True)
        ]
        return json.dumps({"type": "record", "name": "table", "fields": fields})

    @property
    def frame(self) -> pl.DataFrame:
        columns = zip(*self.rows, strict=True) if self.rows else [[] for _ in self.names]
        return pl.DataFrame(
            [
                pl.Series(name, list(column), dtype=TYPES[kind][1], strict=False)
                for name, (kind, _), column in zip(self.names, self.types, columns, strict=True)
            ]
        )

    @property
    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


@st.composite
def tables(draw: st.DrawFn, kinds: list[str]) -> Table:
    types = draw(st.lists(st.tuples(st.sampled_from(kinds), st.booleans()), min_size=1, max_size=5))
    columns = [st.none() | TYPES[kind][2] if is_nullable else TYPES[kind][2] for kind, is_nullable in types]
    return Table(types, draw(st.lists(st.tuples(*columns), min_size=1, max_size=12)))


@contextmanager
def chunks_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("delimited", "json_lines", "avro"):
            patch.setattr(f"{READERS}.{module}.CHUNK_BYTES", size)
        for name in ("MIN_ROWS", "MAX_ROWS"):
            patch.setattr(f"{READERS}.columnar.{name}", max(1, size // 16))
        yield


def comes_back(table: Table, suffix: str, write: Callable[[Path], Any]) -> None:
    """Write and read; records and chunks stay in order where a dataset has one partition."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table.{suffix}")
        write(path)
        for size in (SMALL, 1024 * 1024):
            with chunks_of(size):
                loaded = load(path, schema=table.schema)
            assert loaded.rejects == []
            assert loaded.rows == table.rows


@settings(max_examples=examples(40))
@given(tables(sorted(TYPES)))
def test_parquet(table: Table) -> None:
    comes_back(table, "parquet", table.frame.write_parquet)


@settings(max_examples=examples(40))
@given(tables(sorted(TYPES)))
def test_arrow(table: Table) -> None:
    comes_back(table, "arrow", lambda path: table.frame.write_ipc(path, record_batch_size=3))


@settings(max_examples=examples(40))
@given(tables(sorted(TYPES)), st.sampled_from(["null", "deflate"]))
def test_avro(table: Table, codec: str) -> None:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            fastavro.writer(file, json.loads(table.schema), table.records, codec=codec, sync_interval=SMALL)

    comes_back(table, "avro", write)


@settings(max_examples=examples(40))
@given(tables(IN_CSV), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]))
def test_csv(table: Table, delimiter: str, line_end: str) -> None:
    """What is nothing is written without quotes, and an empty text in them."""

    def write(path: Path) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL, lineterminator=line_end)
        writer.writerow(table.names)
        for row in table.rows:
            values = [shown(value) for value in row]
            cells = ['"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value) for value in values]
            text.write(delimiter.join("" if value is None else cell for value, cell in zip(values, cells, strict=True)))
            text.write(line_end)
        path.write_text(text.getvalue(), encoding="utf-8", newline="")

    def shown(value: Any) -> Any:
        return value.isoformat() if isinstance(value, (date, time)) else value

    with_delimiter = len(table.names) > 1
    if with_delimiter or all(row[0] is not None for row in table.rows):
        comes_back(table, "csv", write)


@settings(max_examples=examples(40))
@given(tables(IN_JSON))
def test_json_lines(table: Table) -> None:
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in table.records)
    comes_back(table, "jsonl", lambda path: path.write_text(lines, encoding="utf-8"))


@settings(max_examples=examples(40))
@given(tables(sorted(TYPES)))
def test_a_schema_is_inferred_that_all_rows_fit(table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.parquet")
        table.frame.write_parquet(path)
        loaded = load(path)
    assert loaded.rejects == []
    assert loaded.rows == table.rows


@settings(max_examples=examples(40))
@given(tables(IN_CSV))
def test_a_schema_is_inferred_from_text_that_all_rows_fit(table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        table.frame.write_csv(path, quote_style="necessary")
        loaded = load(path)
    assert loaded.rejects == []
    assert len(loaded.rows) == len(table.rows)
