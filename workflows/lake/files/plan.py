"""A file made ready to be loaded: looked through once, so that what is wrong is known before a row is sent."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID, uuid5

import msgspec
import polars as pl

from workflows.lake.files.chunks import Batch, Chunk, Reader, Reject
from workflows.lake.files.inference import Inference
from workflows.lake.files.reading import Format, reader_of
from workflows.lake.files.records import Portion, Records, Target
from workflows.lake.files.rejects import Rejects
from workflows.lake.files.sources import Opened

NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # for names that are URLs, RFC 9562
NOTHING = Chunk(0, 0, 1, 0)  # of a file without rows, which has columns all the same

THREADS = 2  # that read and check; polars uses all cores within each, yet not all of the time
MAX_READ = 128 * 1024 * 1024  # bytes of rows that were read for the schema, and are kept for the check
MAX_KEPT = 96 * 1024 * 1024  # bytes of rows that were checked

OnRows = Callable[[int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How files are read.

    Attributes:
        format: by default as the file tells.
        delimiter: of CSV; by default what the header is full of.
        has_quotes: whether quotes in CSV enclose values.
        encoding: of text; by default UTF-8, or what a byte order mark says.
        nulls: texts that stand for null, in every column.
        ignored: columns that are left out.
    """

    format: Format | None = None
    delimiter: str | None = None
    has_quotes: bool = True
    encoding: str | None = None
    nulls: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass
class Plan:
    """A file that is open, and its parts.

    Attributes:
        file: what it is.
        reader: what reads it.
        options: how.
        chunks: its parts.
        digest: SHA-256 of what is in it.
    """

    file: Opened
    reader: Reader
    options: Options
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    digest: str = ""
    _read: dict[Chunk, Batch] = field(default_factory=dict[Chunk, Batch])
    _checked: dict[Chunk, pl.DataFrame] = field(default_factory=dict[Chunk, pl.DataFrame])
    _checked_for: Target | None = None

    @classmethod
    def of(cls, file: Opened, options: Options) -> Plan:
        """Find the parts.

        Raises:
            BadFile: if the file is damaged, or not what it's taken for.
        """
        reader = reader_of(file, options.format, delimiter=options.delimiter, has_quotes=options.has_quotes)
        with file.path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        plan = cls(file, reader, options, list(reader.chunks()), digest)
        file.check_unchanged()
        return plan

    @property
    def rows(self) -> int:
        """How many it has, those among them that can't be read."""
        return sum(chunk.rows for chunk in self.chunks)

    def infer(self, inference: Inference, on_rows: OnRows, most: int | None = None) -> bool:
        """Let the schema be inferred from it.

        Args:
            inference: what infers.
            on_rows: is told how many rows were looked at.
            most: rows to look at.

        Returns:
            Whether it saw them all.
        """
        kept, seen, looked_at = 0, 0, list[Chunk]()
        for chunk in self.chunks or [NOTHING]:
            if most is not None and seen >= most:
                break
            looked_at.append(chunk)
            seen += chunk.rows
        with closing(_ahead(self.reader.read, looked_at)) as batches:
            for chunk, batch in batches:
                kept += int(batch.frame.estimated_size()) + (chunk.end - chunk.start)  # its text is there, too
                if kept <= MAX_READ:
                    self._read[chunk] = batch
                inference.look(batch)
                on_rows(chunk.rows)
        return seen == self.rows

    def load_id(self, target: Target, tenant: str, again: str = "") -> UUID:
        """The same for the same rows into the same dataset: a load that is repeated adds nothing."""
        options = msgspec.json.encode(
            (self.options.delimiter, self.options.has_quotes, self.options.nulls, self.options.ignored, again)
        ).decode()
        what = (tenant, target.dataset, target.schema, target.key, target.partitions, self.digest, options)
        return uuid5(NAMESPACE, msgspec.json.encode(what).decode())

    def records(self, target: Target, load: UUID) -> Records:
        """What makes records of its rows.

        Raises:
            BadFile: if columns and fields don't match.
        """
        return Records(
            target,
            load,
            self.reader.columns(),
            is_text=self.reader.is_text,
            nulls=self.options.nulls,
            ignored=self.options.ignored,
        )

    def check(self, target: Target, rejects: Rejects, on_rows: OnRows, *, keep: bool = False) -> None:
        """Look at every row, and set aside those that don't fit.

        Args:
            target: what they must fit.
            rejects: where the others go.
            on_rows: is told how many rows were looked at.
            keep: whether to keep rows of a small file in memory until they're sent.

        Raises:
            BadFile: if the file is damaged, or changes.
        """
        records, kept = self.records(target, NAMESPACE), 0
        self._checked, self._checked_for = {}, target

        def check(chunk: Chunk) -> tuple[pl.DataFrame, list[Reject]]:
            return records.checked(self._read.pop(chunk, None) or self.reader.read(chunk))

        with closing(_ahead(check, self.chunks)) as checked:
            for chunk, (frame, wrong) in checked:
                kept += int(frame.estimated_size())
                if keep and kept <= MAX_KEPT:
                    self._checked[chunk] = frame
                rejects.add(self.file.name, wrong)
                on_rows(chunk.rows)
        self.file.check_unchanged()

    def portions(self, target: Target, load: UUID, chunks: Sequence[Chunk] | None = None) -> Iterator[list[Portion]]:
        """The commands' worth of each part.

        Raises:
            BadFile: if the file is damaged, or changes.
        """
        records = self.records(target, load)
        for chunk in self.chunks if chunks is None else chunks:
            frame = self._checked.pop(chunk, None) if target == self._checked_for else None
            if frame is None:
                frame, _ = records.checked(self.reader.read(chunk))
            self.file.check_unchanged()
            yield records.portions_of(chunk, frame)


def _ahead(work: Callable[[Chunk], T], chunks: Sequence[Chunk]) -> Generator[tuple[Chunk, T]]:
    """What comes of each part, in order; threads are some parts ahead."""
    waiting: deque[tuple[Chunk, Future[T]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for chunk in chunks:
                waiting.append((chunk, pool.submit(work, chunk)))
                if len(waiting) > THREADS:
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
