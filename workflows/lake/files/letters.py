"""Rows that were set aside as commands to load them, which are put among the dead letters: some hundred rows each.

Whoever mends such a letter and redrives it has its rows loaded. Those that are still bad come back in another one.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid5

import msgspec

from datapunk.client import Client
from schemas.lake.commands import IngestRows
from schemas.lake.events import IngestionRequested
from schemas.lake.types import BadRow, FileFormat, FileOptions
from workflows.lake.files.chunks import Reject
from workflows.lake.files.delimited import Delimited
from workflows.lake.files.plan import NAMESPACE, Options, Plan
from workflows.lake.files.records import Target

REASON = "bad_rows"
MAX_ROWS = 1_000  # of a letter
MAX_BYTES = 256 * 1024  # of a letter's rows; a workflow's event must fit into Temporal
MAX_ROW_BYTES = 512 * 1024  # what an ingestion takes with its request: a longer row is told of, and isn't in the letter
MAX_REASONS = 5  # that are told
ALL = "100%"  # of a letter's rows may be set aside again: the others are loaded


@dataclass(frozen=True)
class Origin:
    """What rows were set aside from.

    Attributes:
        name: of the ingestion, or of what stands for it.
        tenant: whose.
        target: where they were to go.
        plan: the file.
        options: how it was read.
    """

    name: str
    tenant: str
    target: Target
    plan: Plan
    options: Options


async def set_aside(client: Client, origin: Origin, rejects: Iterable[Reject]) -> None:
    """Put rows among the dead letters. The same ones again are the same letters.

    Raises:
        BrokerError: if the broker is away.
    """
    for rows in _some(rejects):
        name = f"{origin.name}:{rows[0].row}"
        what = (origin.tenant, origin.target.dataset, origin.plan.digest, name, len(rows))
        id = uuid5(NAMESPACE, msgspec.json.encode(what).decode())
        await client.bury(_command(origin, rows, name), name, id, tenant=origin.tenant, reason=REASON, why=_why(rows))


async def set_aside_again(client: Client, requested: IngestionRequested, ingestion: str, tenant: str, why: str) -> None:
    """Put rows back that were redriven, and that can't be loaded as they are now.

    Raises:
        BrokerError: if the broker is away.
    """
    name = f"{ingestion}:{requested.rows[0].row}"
    command = IngestRows(
        dataset=requested.dataset,
        source=requested.source,
        header=requested.header,
        rows=requested.rows,
        options=requested.options,
    )
    id = uuid5(NAMESPACE, msgspec.json.encode((tenant, name, command)).decode())
    await client.bury(command, name, id, tenant=tenant, reason=REASON, why=why)


def text_of(header: str, rows: Sequence[BadRow]) -> bytes:
    """A file of such rows."""
    lines = [row.original.encode() if row.raw is None else row.raw for row in rows]
    return b"".join(line + b"\n" for line in ([header.encode()] if header else []) + lines)


def _some(rejects: Iterable[Reject]) -> Iterator[list[Reject]]:
    """As many as a letter bears; one that is too long for any comes alone."""
    rows, size = list[Reject](), 0
    for reject in rejects:
        more = _size(reject)
        if rows and (len(rows) == MAX_ROWS or size + more > MAX_BYTES):
            yield rows
            rows, size = [], 0
        rows.append(reject)
        size += more
    if rows:
        yield rows


def _size(reject: Reject) -> int:
    return len(reject.original.encode()) + len(reject.raw or b"")


def _command(origin: Origin, rows: Sequence[Reject], name: str) -> IngestRows:
    reader, options = origin.plan.reader, origin.options
    header, format, delimiter, has_quotes = "", FileFormat.JSONL, None, True
    if isinstance(reader, Delimited):
        format, delimiter, has_quotes = FileFormat.CSV, reader.delimiter, reader.has_quotes
        header = _header(reader)
    return IngestRows(
        dataset=origin.target.dataset,
        source=_where(rows),
        header=header,
        rows=[
            BadRow(row=each.row, column=each.column or "", reason=each.reason, original=each.original, raw=each.raw)
            for each in rows
            if _size(each) <= MAX_ROW_BYTES
        ],
        options=FileOptions(
            format=format,
            delimiter=delimiter,
            has_quotes=has_quotes,
            nulls=list(options.nulls),
            ignored=list(options.ignored),
            max_bad=ALL,
            again=name,  # else what two letters are mended to, if it's the same, would be there once
        ),
    )


def _header(reader: Delimited) -> str:
    if not reader.has_quotes:
        return reader.delimiter.join(reader.names)
    line = io.StringIO()
    csv.writer(line, delimiter=reader.delimiter, lineterminator="").writerow(reader.names)
    return line.getvalue()


def _why(rows: Sequence[Reject]) -> str:
    """How many rows, and why: reasons without the values in them."""
    counts = Counter((row.reason.partition(": ")[0], row.column) for row in rows)
    told = [
        f"{count:,} × {reason}" + (f" ({column})" if column else "")
        for (reason, column), count in counts.most_common(MAX_REASONS)
    ]
    more = ", …" if len(counts) > MAX_REASONS else ""
    is_too_long = _size(rows[0]) > MAX_ROW_BYTES  # then it's alone
    missing = f"; its {_size(rows[0]):,} bytes are too many for a letter" if is_too_long else ""
    return f"{_where(rows)}: {', '.join(told)}{more}{missing}"


def _where(rows: Sequence[Reject]) -> str:
    numbers = f"rows {rows[0].row:,} to {rows[-1].row:,}" if len(rows) > 1 else f"row {rows[0].row:,}"
    return f"{rows[0].file}, {numbers}"
