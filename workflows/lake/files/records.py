"""A file's rows as the records of commands: checked, in Avro JSON, by partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5
from zlib import crc32

import polars as pl

from workflows.lake.files.chunks import Batch, Chunk, Reject
from workflows.lake.files.coercion import Fault, coerced
from workflows.lake.files.errors import BadFile
from workflows.lake.files.fields import Field, bytes_written, fields_of, written
from workflows.lake.files.inference import field_name

RECORDS = 4_000  # most of a command; Lake takes 5,000
BYTES = 6 * 1024 * 1024  # most of a command; Lake takes 7 MiB
SHOWN = 80  # characters of a value in a reason


@dataclass(frozen=True)
class Target:
    """The dataset that records are for.

    Attributes:
        dataset: its id.
        schema: of its records.
        key: the field that says which partition; none: they take turns.
        partitions: how many.
        indexes: fields whose values are bounded.
    """

    dataset: str
    schema: str
    key: str | None = None
    partitions: int = 1
    indexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Portion:
    """What one command appends.

    Attributes:
        id: of the command: the same for the same rows of the same load.
        partition: where to.
        count: how many records.
        records: a JSON array.
    """

    id: UUID
    partition: int
    count: int
    records: str


class Records:
    """Turns batches of a file into portions.

    Args:
        target: where they go.
        load: what it is a part of; ids derive from it.
        columns: of the file, if they're known before all is read.
        is_text: whether the file has nothing but text.
        nulls: texts that stand for null.
        ignored: columns that no field takes.

    Raises:
        BadFile: if columns and fields don't match.
    """

    def __init__(
        self,
        target: Target,
        load: UUID,
        columns: Sequence[str] | None,
        *,
        is_text: bool = False,
        nulls: Sequence[str] = (),
        ignored: Sequence[str] = (),
    ) -> None:
        self._target, self._load = target, load
        self._is_text, self._nulls, self._ignored = is_text, nulls, frozenset(ignored)
        self._fields = {field.name: field for field in fields_of(target.schema)}
        self._indexed = {*target.indexes, target.key}
        if columns is not None:
            self._match(columns, is_whole=True)

    def portions(self, chunk: Chunk, batch: Batch) -> tuple[list[Portion], list[Reject]]:
        """The rows that fit as portions, and those that don't."""
        frame, rejects = self.checked(batch)
        return self.portions_of(chunk, frame), rejects

    def portions_of(self, chunk: Chunk, frame: pl.DataFrame) -> list[Portion]:
        """Rows that were checked as portions."""
        if frame.is_empty():
            return []
        columns = self._written(frame)
        found: list[Portion] = []
        for partition, share in self._shares(chunk, frame, columns):
            for records, count in _texts(share):
                name = f"{chunk.name}/{partition}/{len(found)}"
                found.append(Portion(uuid5(self._load, name), partition, count, records))
        return found

    def checked(self, batch: Batch) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows that fit, in the types of the schema, and those that don't."""
        by_field = self._match(batch.frame.columns, is_whole=False)
        values: list[pl.Series] = []
        faults: list[tuple[str, Fault]] = []
        for field in self._fields.values():
            column = by_field.get(field.name)
            if column is None:
                if field.has_default:
                    continue
                raw = pl.Series(field.name, [None], dtype=field.dtype).new_from_index(0, batch.frame.height)
            else:
                raw = batch.frame.get_column(column)
            made, wrong = coerced(
                field, raw, is_text=self._is_text, nulls=self._nulls, is_indexed=field.name in self._indexed
            )
            values.append(made.alias(field.name))
            faults += [(column or field.name, fault) for fault in wrong]
        frame = pl.DataFrame(values)
        if not faults:
            return frame, batch.rejects
        bad = pl.select(pl.any_horizontal(*(pl.lit(fault.mask) for _, fault in faults))).to_series()
        rejects = [*batch.rejects, *_rejects(batch, faults)]
        return frame.filter(~bad), sorted(rejects, key=lambda reject: reject.row)

    def _match(self, columns: Sequence[str], *, is_whole: bool) -> dict[str, str]:
        """The column of each field that has one."""
        found: dict[str, str] = {}
        unknown: list[str] = []
        for column in columns:
            if column in self._ignored:
                continue
            name = column if column in self._fields else field_name(column)
            if name in self._fields:
                if name in found:
                    raise BadFile(f"the columns {found[name]!r} and {column!r} are both for the field {name}")
                found[name] = column
            else:
                unknown.append(column)
        if unknown:
            raise BadFile(
                f"{self._target.dataset} has no field for the column{'s' if len(unknown) > 1 else ''} "
                f"{', '.join(map(repr, unknown[:10]))}{', …' if len(unknown) > 10 else ''}; its fields are "
                f"{', '.join(list(self._fields)[:20])}. Say --ignore COLUMN to leave one out"
            )
        missing = [
            field.name
            for field in self._fields.values()
            if field.name not in found and not field.has_default and not field.is_nullable
        ]
        if is_whole and missing:
            raise BadFile(f"no column for {', '.join(missing[:10])}, which {self._target.dataset} must have")
        return found

    def _written(self, frame: pl.DataFrame) -> pl.DataFrame:
        """As JSON has the values."""
        fields = [self._fields[name] for name in frame.columns]
        texts = [bytes_written(field, frame.get_column(field.name)) for field in fields if field.is_bytes]
        return frame.with_columns(texts).select(
            written(_as_text(field), pl.col(field.name)).alias(field.name) for field in fields
        )

    def _shares(self, chunk: Chunk, frame: pl.DataFrame, columns: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """Frames of at most so many records, each for one partition; in the order of the file for each key."""
        partitions = self._target.partitions
        if self._target.key is None or partitions == 1:
            for number, share in enumerate(columns.iter_slices(RECORDS), chunk.first // RECORDS):
                yield number % partitions, share
            return
        keys = frame.get_column(self._target.key).cast(pl.String)
        if self._fields[self._target.key].kind == "uuid":
            keys = keys.str.to_lowercase()
        numbers = pl.Series("", list(map(crc32, map(str.encode, keys)))) % partitions
        for partition in range(partitions):
            for share in columns.filter(numbers == partition).iter_slices(RECORDS):
                yield partition, share


def _as_text(field: Field) -> Field:
    """A field of bytes after they became text."""
    if not field.is_bytes:
        return field
    return Field(field.name, "string", "string", field.is_nullable, field.has_default, field.tag, pl.String())


def _texts(share: pl.DataFrame) -> Iterator[tuple[str, int]]:
    """JSON arrays that fit into commands."""
    if share.is_empty():
        return
    text = share.write_json()
    if len(text) * 4 <= BYTES or len(text.encode()) <= BYTES or share.height == 1:
        yield text, share.height
        return
    half = share.height // 2
    yield from _texts(share[:half])
    yield from _texts(share[half:])


def _rejects(batch: Batch, faults: list[tuple[str, Fault]]) -> Iterator[Reject]:
    """A line for each row that doesn't fit, with the first reason."""
    told: set[int] = set()
    for column, fault in faults:
        for index in fault.mask.arg_true():
            if index in told:
                continue
            told.add(index)
            value = batch.frame.get_column(column)[index] if column in batch.frame.columns else None
            reason = fault.reason if value is None else f"{fault.reason}: {str(value)[:SHOWN]!r}"
            yield Reject(batch.numbers[index], column, reason, batch.original(index))
