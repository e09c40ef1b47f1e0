"""Lists and structures as a schema wants them: each part like a column of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from workflows.lake.files.fields import Field

Convert = Callable[[Field, pl.Series], tuple[pl.Series, pl.Series]]  # to values, and which don't fit


def nested(field: Field, raw: pl.Series, convert: Convert) -> pl.Series:
    """The column in its type, with null for what doesn't fit.

    Args:
        field: a record or an array.
        raw: lists, structures, or JSON text of them.
        convert: how parts are converted.
    """
    if raw.dtype == pl.String:  # polars would make a list of a number
        raw = raw.set(~raw.str.starts_with("{" if field.kind == "record" else "["), None)
        raw = _decoded(raw, _loose(field))
    return _structures(field, raw, convert) if field.kind == "record" else _lists(field, raw, convert)


def _structures(field: Field, raw: pl.Series, convert: Convert) -> pl.Series:
    is_there = raw.is_not_null()
    is_bad = pl.Series([False]).new_from_index(0, len(raw))
    given = {part.name: raw.struct.field(part.name) for part in raw.dtype.fields}  # type: ignore[attr-defined]
    columns: list[pl.Series] = []
    for part in field.parts:
        column = given.pop(part.name, None)
        if column is None:
            column = pl.Series([None], dtype=part.dtype).new_from_index(0, len(raw))
        values, wrong = convert(part, column)
        columns.append(values.alias(part.name))
        is_bad |= wrong
    for column in given.values():  # which the schema doesn't have
        is_bad |= column.is_not_null()
    values = pl.DataFrame(columns).to_struct(raw.name)
    return _unless(~is_there | is_bad, values)


def _lists(field: Field, raw: pl.Series, convert: Convert) -> pl.Series:
    (item,) = field.parts
    rows = pl.DataFrame({"row": pl.int_range(len(raw), eager=True), "value": raw})
    filled = rows.filter(pl.col("value").list.len() > 0).explode("value")
    values, wrong = convert(item, filled.get_column("value"))
    made = filled.select("row", values.alias("value"), wrong.alias("wrong"))
    lists = made.group_by("row", maintain_order=True).agg("value", pl.col("wrong").any())
    joined = rows.select("row", is_there=pl.col("value").is_not_null()).join(lists, on="row", how="left")
    is_nothing = ~joined.get_column("is_there") | joined.get_column("wrong").fill_null(False)
    empty = pl.Series([[]], dtype=field.dtype).new_from_index(0, len(raw))
    whole = joined.get_column("value")
    return _unless(is_nothing, whole.zip_with(whole.is_not_null(), empty)).alias(raw.name)


def _unless(mask: pl.Series, values: pl.Series) -> pl.Series:
    nothing = pl.Series([None], dtype=values.dtype).new_from_index(0, len(values))
    return nothing.zip_with(mask, values).alias(values.name)


def _loose(field: Field) -> Any:
    """What JSON has of a type: texts where it has no such values."""
    if field.kind == "record":
        return pl.Struct({part.name: _loose(part) for part in field.parts})
    if field.kind == "array":
        return pl.List(_loose(field.parts[0]))
    return pl.String() if field.dtype.is_temporal() else field.dtype


def _decoded(text: pl.Series, dtype: Any) -> pl.Series:
    """From JSON; one by one only if not all are."""
    try:
        return text.str.json_decode(dtype)
    except pl.exceptions.PolarsError:
        pieces: list[pl.Series] = []
        for index in range(len(text)):
            try:
                pieces.append(text[index : index + 1].str.json_decode(dtype))
            except pl.exceptions.PolarsError:
                pieces.append(pl.Series(text.name, [None], dtype=dtype))
        return pl.concat(pieces)
