"""The schema of a file that has none we can use: from its values if they're text, else from its own types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import polars as pl

from workflows.lake.files.chunks import Batch
from workflows.lake.files.coercion import (
    NO_VALUE,
    UUID_PATTERN,
    to_date,
    to_local_timestamp,
    to_timestamp,
)
from workflows.lake.files.errors import BadFile

EXACT_DIGITS = 15  # of whole numbers that a double has exactly, in any case
MAX_EXACT = 10**EXACT_DIGITS


def _is_boolean(values: pl.Series) -> bool:
    return bool(values.str.to_lowercase().is_in(("true", "false")).all())


def _is_long(values: pl.Series) -> bool:
    """Whole numbers as they'd be written again: 007 and +1 are texts, since they'd come back otherwise."""
    numbers = values.cast(pl.Int64, strict=False)
    return numbers.null_count() == 0 and bool((numbers.cast(pl.String) == values).all())


def _is_double(values: pl.Series) -> bool:
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() or not numbers.is_finite().all() or values.str.contains(r"^[+ ]|^-?0[0-9]| $").any():
        return False
    whole = numbers.filter(~values.str.contains("[.eE]"))
    return whole.is_empty() or bool((whole.abs() < MAX_EXACT).all())


def _is_all(convert: Callable[[pl.Series], pl.Series]) -> Callable[[pl.Series], bool]:
    return lambda values: convert(values.head(100)).null_count() == 0 and convert(values).null_count() == 0


def _is_uuid(values: pl.Series) -> bool:
    return bool(values.str.contains(UUID_PATTERN).all())


# The types that text may turn out to be, the narrowest first.
TEXT_KINDS: Mapping[str, tuple[Callable[[pl.Series], bool], Any]] = {
    "boolean": (_is_boolean, "boolean"),
    "long": (_is_long, "long"),
    "double": (_is_double, "double"),
    "date": (_is_all(to_date), {"type": "int", "logicalType": "date"}),
    "timestamp": (_is_all(to_timestamp), {"type": "long", "logicalType": "timestamp-micros"}),
    "local timestamp": (_is_all(to_local_timestamp), {"type": "long", "logicalType": "local-timestamp-micros"}),
    "uuid": (_is_uuid, {"type": "string", "logicalType": "uuid"}),
}


def _still_possible(candidates: Sequence[str], values: pl.Series) -> list[str]:
    """Of the types that all values so far have, those that these have, too."""
    if candidates[0] == "long" and values.str.len_bytes().max() < EXACT_DIGITS and _is_long(values):  # type: ignore[operator]
        return [kind for kind in candidates if kind in ("long", "double")]  # of these, all are both
    return [kind for kind in candidates if TEXT_KINDS[kind][0](values)]


@dataclass
class _TextColumn:
    candidates: list[str] = field(default_factory=lambda: list(TEXT_KINDS))
    has_null: bool = False
    has_no_value: bool = False
    has_value: bool = False

    def look(self, column: pl.Series) -> None:
        self.has_null |= column.null_count() > 0
        if not self.candidates:
            return
        values = column.drop_nulls()
        is_nothing = values.is_in(NO_VALUE)
        if is_nothing.any():
            self.has_no_value = True
            values = values.filter(~is_nothing)
        if len(values):
            self.has_value = True
            self.candidates = _still_possible(self.candidates, values)

    def type(self) -> tuple[Any, bool]:
        if not self.has_value or not self.candidates:
            return "string", self.has_null
        return TEXT_KINDS[self.candidates[0]][1], self.has_null or self.has_no_value


class Inference:
    """Looks at batches, and says what schema all of them fit.

    Args:
        name: of the record.
        is_text: whether values come as text.
        nulls: texts that stand for null.
    """

    def __init__(self, name: str, *, is_text: bool, nulls: Sequence[str] = (), ignored: Sequence[str] = ()) -> None:
        self._name, self._is_text, self._nulls = name, is_text, list(nulls)
        self._ignored = set(ignored)
        self._texts: dict[str, _TextColumn] = {}
        self._empty: pl.DataFrame | None = None
        self._nullable: set[str] = set()
        self._rows = 0

    def look(self, batch: Batch) -> None:
        """Take a batch into account."""
        frame = batch.frame.drop(self._ignored, strict=False)
        if self._is_text:
            for column in frame:
                if self._nulls:
                    column = column.set(column.is_in(self._nulls), None)
                self._texts.setdefault(column.name, _TextColumn()).look(column)
            return
        if self._empty is not None:
            self._nullable |= set(self._empty.columns) ^ set(frame.columns)
        self._nullable |= {column.name for column in frame if column.null_count()}
        self._empty = frame.clear() if self._empty is None else _widened(self._empty, frame.clear())

    def schema(self, *, is_whole: bool, never_null: Sequence[str | None] = ()) -> str:
        """The schema, as JSON text.

        Args:
            is_whole: whether all of the file was seen; else what wasn't null so far may be yet.
            never_null: fields that mustn't be null, as a key.

        Raises:
            BadFile: if there's none.
        """
        if self._is_text:
            types = {name: column.type() for name, column in self._texts.items()}
        else:
            frame = self._empty if self._empty is not None else pl.DataFrame()
            types = {
                name: (_avro(dtype, name, f"{self._name}_{name}"), name in self._nullable)
                for name, dtype in frame.schema.items()
            }
        if not types:
            raise BadFile("the file has no columns")
        fields: list[dict[str, Any]] = []
        taken: dict[str, str] = {}
        for column, (avro, is_nullable) in types.items():
            name = field_name(column)
            if taken.setdefault(name.lower(), column) != column:
                raise BadFile(f"the columns {taken[name.lower()]!r} and {column!r} would both be the field {name}")
            described: dict[str, Any] = {"name": name, "type": avro}
            if (is_nullable or not is_whole or avro == "null") and name not in never_null:
                described |= {"type": ["null", "string" if avro == "null" else avro], "default": None}
            if name != column:
                described["doc"] = column
            fields.append(described)
        record = {"type": "record", "name": field_name(self._name), "fields": fields}
        return msgspec.json.format(msgspec.json.encode(record)).decode()


def _widened(known: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """The columns of both, of types that have the values of both.

    Raises:
        BadFile: if there's no such type.
    """
    for name, dtype in more.schema.items():
        before = known.schema.get(name, dtype)
        kinds = {type(each) if each.is_nested() else None for each in (before, dtype) if each != pl.Null}
        if len(kinds) > 1:
            raise BadFile(f"column {name} changes its type midway, from {before} to {dtype}")
    try:
        return pl.concat([known, more], how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise BadFile(f"columns change their types midway: {str(error).splitlines()[0]}") from None


def field_name(column: str) -> str:
    """A name that Avro and Lake take: letters, digits and underscores, no underscore first."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_")
    return name if name and not name[0].isdigit() else f"c_{name}".rstrip("_")


def _avro(dtype: pl.DataType, name: str, full: str) -> Any:
    match dtype:
        case pl.Null():
            return "null"
        case pl.Boolean():
            return "boolean"
        case pl.Float32():
            return "float"
        case pl.Float64():
            return "double"
        case pl.String() | pl.Categorical() | pl.Enum():
            return "string"
        case pl.Binary():
            return "bytes"
        case pl.Date():
            return {"type": "int", "logicalType": "date"}
        case pl.Time():
            return {"type": "long", "logicalType": "time-micros"}
        case pl.Datetime():
            unit = "millis" if dtype.time_unit == "ms" else "micros"
            return {"type": "long", "logicalType": f"{'' if dtype.time_zone else 'local-'}timestamp-{unit}"}
        case pl.Decimal():
            return {"type": "bytes", "logicalType": "decimal", "precision": dtype.precision, "scale": dtype.scale}
        case pl.List() | pl.Array():
            return {"type": "array", "items": _optional(_avro(dtype.inner, name, full))}  # type: ignore[arg-type]
        case pl.Struct():
            fields = [
                {"name": part.name, "type": _optional(_avro(part.dtype, part.name, f"{full}_{part.name}"))}  # type: ignore[arg-type]
                for part in dtype.fields
            ]
            return {"type": "record", "name": field_name(full), "fields": fields}
        case _ if dtype.is_integer():
            return "int" if dtype in (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16) else "long"
        case _:
            raise BadFile(f"column {name}: values of the type {dtype} can't be loaded")


def _optional(avro: Any) -> Any:
    return ["null", "string" if avro == "null" else avro]
