"""What every reader gives: chunks by name, and the rows of one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import polars as pl

from workflows.lake.files.errors import BadFile

CHUNK_BYTES = 4 * 1024 * 1024  # of text
MAX_RECORD_BYTES = 16 * 1024 * 1024  # of text; a record must fit into a message
MAX_COLUMNS = 1000  # what a dataset bears
MAX_CELLS = 800_000  # of a chunk in a format with columns


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a file that can be read again alone.

    Attributes:
        start: where it begins: a byte or a row, as the format has it.
        end: where it ends.
        first: the number of its first row, from 1.
        rows: how many it has.
    """

    start: int
    end: int
    first: int
    rows: int

    @property
    def name(self) -> str:
        """The same for the same part."""
        return f"{self.start}-{self.end}"


class Reject(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row that was set aside, a line of the reject file.

    Attributes:
        row: its number, from 1.
        column: the first that doesn't fit; none: it's the row.
        reason: what is wrong.
        original: its text, as it stands in the file.
        file: which.
        raw: its bytes, if they're no text.
    """

    row: int
    column: str | None
    reason: str
    original: str
    file: str = ""
    raw: bytes | None = None


@dataclass
class Batch:
    """The rows of a chunk.

    Attributes:
        frame: their values, as the format has them; text has nothing but text.
        numbers: of the rows, from 1.
        original: the text of the row at an index of the frame, as it stands in the file.
        rejects: rows that aren't in the frame, since they couldn't be read.
    """

    frame: pl.DataFrame
    numbers: Sequence[int]
    original: Callable[[int], str]
    rejects: list[Reject] = field(default_factory=list[Reject])


class Reader(Protocol):
    """Reads one file."""

    is_text: bool  # whether values come as text, of which one can't tell what they mean

    def columns(self) -> list[str] | None:
        """The names of its columns; none: they're known only when all is read."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Its parts in order.

        Raises:
            BadFile: if it's damaged.
        """
        ...

    def read(self, chunk: Chunk) -> Batch:
        """The rows of a part.

        Raises:
            BadFile: if it's damaged.
        """
        ...


def not_utf8(row: int, record: bytes, error: UnicodeDecodeError) -> Reject:
    """A row of text that is none."""
    reason = f"not UTF-8: byte 0x{record[error.start]:02x} at {error.start}"
    return Reject(row, None, reason, record.decode(errors="backslashreplace").removesuffix("\r"), raw=record)


@contextmanager
def explaining(name: str) -> Generator[None]:
    """Turn what polars says of a damaged file into a message of ours."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise BadFile(f"{name} is damaged, or not what it's taken for: {_first_line(error)}") from None
    except OSError as error:
        raise BadFile(f"{name} is damaged, or can't be read: {_first_line(error)}") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of polars; it's no Exception
            raise
        raise BadFile(f"{name} holds something that can't be read: {_first_line(error)}") from None


def check_columns(names: Sequence[str], name: str) -> None:
    """Refuse names that can't be told apart, and more of them than a dataset can have.

    Raises:
        BadFile: saying which.
    """
    if len(names) > MAX_COLUMNS:
        raise BadFile(f"{name} has {len(names):,} columns, and a dataset has at most {MAX_COLUMNS:,}")
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise BadFile(f"{name} has several columns called {', '.join(map(repr, twice))}: rename them in the file")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
