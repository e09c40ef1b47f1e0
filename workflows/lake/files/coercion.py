"""Columns as a file has them, made into what the schema wants: a column at a time, and never a value changed silently.

Text becomes numbers, times and so on; numbers become wider ones, or narrower where nothing is lost. What doesn't fit
is found by what became null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from workflows.lake.files.fields import Field
from workflows.lake.files.nesting import nested

# What stands for nothing where no text is meant; in texts it's a text like others.
NO_VALUE = ("", "NA", "N/A", "n/a", "NULL", "null", "None", "NaN", "nan", "\\N", "-")
TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
ZONED_FORMAT, LOCAL_FORMATS = "%Y-%m-%dT%H:%M:%S%.f%#z", ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
FIRST, LAST = date(1, 1, 1), date(9999, 12, 31)
MAX_INDEXED_BYTES = 2_000  # what an index of Lake bears


@dataclass(frozen=True, slots=True)
class Fault:
    """Values of a column that can't be stored.

    Attributes:
        mask: which.
        reason: why, for people.
    """

    mask: pl.Series
    reason: str


def coerced(
    field: Field, raw: pl.Series, *, is_text: bool = False, nulls: Sequence[str] = (), is_indexed: bool = False
) -> tuple[pl.Series, list[Fault]]:
    """A column as the schema wants it, and what of it doesn't fit.

    Args:
        field: what is wanted.
        raw: the column as it was read.
        is_text: whether the file has nothing but text.
        nulls: texts that stand for null, in every column.
        is_indexed: whether there's a limit on how long a value is.
    """
    if raw.dtype == pl.Null:
        raw = raw.cast(field.dtype)
    elif raw.dtype in (pl.Categorical, pl.Enum):
        raw = raw.cast(pl.String)
    if nulls and raw.dtype == pl.String:
        raw = raw.set(raw.is_in(list(nulls)), None)
    if is_text and field.kind == "string" and not field.is_nullable:
        raw = raw.fill_null("")  # of nothing between two delimiters
    values = _converted(field, raw)
    if values.null_count() > raw.null_count() and raw.dtype == pl.String:
        raw = raw.str.strip_chars()
        raw = raw.set(raw.is_in(NO_VALUE), None)
        values = _converted(field, raw)
    faults: list[Fault] = []
    if values.null_count() > raw.null_count():
        faults.append(Fault(raw.is_not_null() & values.is_null(), f"not {_article(field.kind)}"))
    if not field.is_nullable and values.null_count():
        faults.append(Fault(raw.is_null(), "no value, and the schema wants one"))
    for mask, reason in _constraints(field, raw, values, is_indexed):
        mask = mask.fill_null(False)
        if mask.any():
            faults.append(Fault(mask, reason))
    return values, faults


def to_timestamp(raw: pl.Series, unit: str = "us") -> pl.Series:
    """ISO 8601 with an offset or Z, as an instant; null for what is none."""
    return raw.str.replace(" ", "T", literal=True).str.to_datetime(
        ZONED_FORMAT, time_unit=unit, time_zone="UTC", strict=False
    )


def to_local_timestamp(raw: pl.Series, unit: str = "us") -> pl.Series:
    """ISO 8601 without an offset; null for what isn't."""
    text = raw.str.replace(" ", "T", literal=True)
    first, second = (text.str.to_datetime(form, time_unit=unit, strict=False) for form in LOCAL_FORMATS)
    return first if first.null_count() == raw.null_count() else first.zip_with(first.is_not_null(), second)


def to_date(raw: pl.Series) -> pl.Series:
    """ISO 8601; null for what is no date."""
    return raw.str.to_date("%Y-%m-%d", strict=False)


def to_boolean(raw: pl.Series) -> pl.Series:
    """True and false by their usual names; null for what is neither."""
    lowered = raw.str.to_lowercase()
    return lowered.is_in(TRUE).set(~lowered.is_in((*TRUE, *FALSE)), None)


def _converted(field: Field, raw: pl.Series) -> pl.Series:
    """The column in its type, with null for what doesn't fit."""
    if raw.dtype == field.dtype and not field.is_nested:
        return raw
    nothing = pl.Series(raw.name, [None], dtype=field.dtype).new_from_index(0, len(raw))
    if field.is_nested:  # polars would make a list or a structure of anything
        is_alike = isinstance(raw.dtype, (pl.List, pl.Array) if field.kind == "array" else pl.Struct)
        return nested(field, raw, _part) if is_alike or raw.dtype == pl.String else nothing
    if raw.dtype == pl.String:
        return _from_text(field, raw)
    if field.dtype == pl.String:
        return raw.cast(pl.String) if raw.dtype.is_integer() or raw.dtype in (pl.Boolean, pl.Date) else nothing
    if field.dtype == pl.Boolean:
        return raw.cast(pl.Boolean).set(~raw.is_in([0, 1]), None) if raw.dtype.is_integer() else nothing
    if field.dtype.is_integer():
        return _to_integer(field, raw) if raw.dtype.is_numeric() else nothing
    if field.dtype.is_numeric():
        return raw.cast(field.dtype, strict=False) if raw.dtype.is_numeric() else nothing
    if field.dtype.is_temporal() and raw.dtype.is_integer():  # as Avro has them
        scale = 1_000_000 if field.kind == "time-millis" else 1_000 if field.kind == "time-micros" else 1
        physical = pl.Int32 if field.dtype == pl.Date else pl.Int64
        return (raw.cast(pl.Int64, strict=False) * scale).cast(physical, strict=False).cast(field.dtype, strict=False)
    if isinstance(field.dtype, pl.Datetime) and isinstance(raw.dtype, pl.Datetime):
        return _to_instant(field.dtype, raw)
    return nothing


def _from_text(field: Field, raw: pl.Series) -> pl.Series:
    match field.kind:
        case "boolean":
            return to_boolean(raw)
        case "int" | "long":
            values = raw.cast(field.dtype, strict=False)
            if values.null_count() == raw.null_count():
                return values
            return values.zip_with(values.is_not_null(), _to_integer(field, raw.cast(pl.Float64, strict=False)))
        case "date":
            return to_date(raw)
        case "time-millis" | "time-micros":
            return raw.str.to_time("%H:%M:%S%.f", strict=False)
        case "timestamp-millis" | "timestamp-micros" | "local-timestamp-millis" | "local-timestamp-micros":
            assert isinstance(field.dtype, pl.Datetime)  # by its table
            convert = to_local_timestamp if field.kind.startswith("local") else to_timestamp
            fine = convert(raw)
            return fine if field.dtype.time_unit == "us" else _to_instant(field.dtype, fine)
        case "decimal":
            assert isinstance(field.dtype, pl.Decimal)  # by its table
            fits = raw.str.contains(rf"^[+-]?[0-9]*\.?[0-9]{{0,{field.dtype.scale}}}0*$")
            return raw.set(~fits, None).cast(field.dtype, strict=False)
        case "bytes" | "fixed":
            return raw.str.decode("base64", strict=False)
        case _:
            return raw.cast(field.dtype, strict=False)


def _to_integer(field: Field, raw: pl.Series) -> pl.Series:
    """Whole numbers that fit; null for others."""
    values = raw.cast(field.dtype, strict=False)
    return values if raw.dtype.is_integer() else values.set((values.cast(raw.dtype) != raw).fill_null(False), None)


def _to_instant(dtype: pl.Datetime, raw: pl.Series) -> pl.Series:
    """In another unit, where nothing is lost; null for others. What has no zone is taken as UTC."""
    unit = dtype.time_unit
    if dtype.time_zone and raw.dtype.time_zone:  # type: ignore[attr-defined]  # a Datetime
        raw = raw.dt.convert_time_zone("UTC")
    else:
        raw = raw.dt.replace_time_zone(dtype.time_zone)
    values = raw.dt.cast_time_unit(unit)
    back = values.dt.cast_time_unit(raw.dtype.time_unit)  # type: ignore[attr-defined]
    return values.set((back != raw).fill_null(False), None)


def _part(field: Field, raw: pl.Series) -> tuple[pl.Series, pl.Series]:
    """A part of a list or a structure, and which of it don't fit."""
    values, faults = coerced(field, raw)
    is_bad = pl.Series([False]).new_from_index(0, len(raw))
    for fault in faults:
        is_bad |= fault.mask
    return values, is_bad


def _constraints(field: Field, raw: pl.Series, values: pl.Series, is_indexed: bool) -> Sequence[tuple[pl.Series, str]]:
    found: list[tuple[pl.Series, str]] = []
    if values.dtype == pl.String:
        found.append((values.str.contains("\0", literal=True), "a NUL character, which can't be stored"))
        if field.kind == "uuid":
            found.append((~values.str.contains(UUID_PATTERN), "not a uuid"))
        elif field.kind == "enum":
            found.append((~values.is_in(field.node["symbols"]), f"not one of {', '.join(field.node['symbols'])}"))
    if field.kind == "fixed":
        found.append((values.bin.size() != field.node["size"], f"not {field.node['size']} bytes"))
    if values.dtype.is_float():
        found.append((~values.is_finite(), "no finite number"))
    if values.dtype == pl.Date:
        found.append(((values < FIRST) | (values > LAST), "a year beyond 1 to 9999"))
    if isinstance(values.dtype, pl.Datetime):
        years = values.dt.year()
        found.append(((years < 1) | (years > 9999), "a year beyond 1 to 9999"))
    if values.dtype == pl.Time and field.kind == "time-millis":
        found.append((values.cast(pl.Int64) % 1_000_000 != 0, "finer than milliseconds"))
    if values.dtype == pl.Time and field.kind == "time-micros":
        found.append((values.cast(pl.Int64) % 1_000 != 0, "finer than microseconds"))
    if is_indexed and values.dtype in (pl.String, pl.Binary):
        size = values.str.len_bytes() if values.dtype == pl.String else values.bin.size()
        found.append((size > MAX_INDEXED_BYTES, f"more than {MAX_INDEXED_BYTES:,} bytes in a field with an index"))
    return found


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"
