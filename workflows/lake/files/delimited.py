"""CSV, TSV and the like, by ranges of bytes: RFC 4180, with any delimiter, quoted line ends among it."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from workflows.lake.files.chunks import (
    CHUNK_BYTES,
    MAX_RECORD_BYTES,
    Batch,
    Chunk,
    Reject,
    check_columns,
    explaining,
    not_utf8,
)
from workflows.lake.files.errors import BadFile

DELIMITERS = ",;\t|"
HEADER_BYTES = 1024 * 1024

_QUOTED = re.compile(rb'"[^"]*"')


@dataclass(frozen=True)
class Delimited:
    """A file of delimited values, with a header.

    Args:
        path: where it is; UTF-8.
        name: for messages.
        delimiter: between values; by default what the header is full of.
        has_quotes: whether quotes enclose values; else they're characters like others.
    """

    path: Path
    name: str
    delimiter: str
    has_quotes: bool
    names: Sequence[str]
    start: int
    is_text = True

    @classmethod
    def open(cls, path: Path, name: str, delimiter: str | None = None, *, has_quotes: bool = True) -> Delimited:
        """Read the header.

        Raises:
            BadFile: if it's none.
        """
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
        bom = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        end = _first_record_end(head[bom:], has_quotes=has_quotes)
        if end is None:
            if len(head) == HEADER_BYTES:
                raise BadFile(f"{name} has no line end in its first {HEADER_BYTES:,} bytes: it's no text of rows")
            end = len(head) - bom
        line = head[bom : bom + end]
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise BadFile(
                f"the header of {name} isn't UTF-8, by byte {error.start}: say what it is, as in --encoding latin-1"
            ) from None
        if "\0" in text:
            raise BadFile(f"the header of {name} has a NUL byte: it's no text of rows")
        names, delimiter = _header(text, name, delimiter, has_quotes=has_quotes)
        check_columns(names, name)
        return cls(path, name, delimiter, has_quotes, names, bom + end)

    def columns(self) -> list[str]:
        """As the header has them."""
        return list(self.names)

    def chunks(self) -> Iterator[Chunk]:
        """Ranges of bytes that end with a record."""
        with self.path.open("rb") as file:
            start, first = self.start, 1
            while True:
                file.seek(start)
                block, size = file.read(CHUNK_BYTES), CHUNK_BYTES
                if not block:
                    return
                while (end := self._end(block, is_last=len(block) < size)) is None:
                    if size >= MAX_RECORD_BYTES or len(block) < size:
                        raise self._endless(block, first)
                    block, size = block + file.read(size), size * 2
                rows = self._count(block[:end])
                yield Chunk(start, start + end, first, rows)
                start, first = start + end, first + rows

    def read(self, chunk: Chunk) -> Batch:
        """A range of bytes; text and nothing else. Rows of too many values or too few are set aside."""
        if not chunk.rows:
            return Batch(self._parse(b"", 0), (), str)
        with self.path.open("rb") as file:
            file.seek(chunk.start)
            data = file.read(chunk.end - chunk.start)
        if self._is_regular(data, chunk.rows):
            return Batch(
                self._parse(data, chunk.rows), range(chunk.first, chunk.first + chunk.rows), _Records(data, self)
            )
        records, numbers, rejects = list[bytes](), list[int](), list[Reject]()
        for number, record in enumerate(_Records(data, self).records, chunk.first):
            try:
                reason = self._wrong(record.decode())
            except UnicodeDecodeError as error:
                rejects.append(not_utf8(number, record, error))
                continue
            if reason is None:
                records.append(record)
                numbers.append(number)
            elif reason:
                rejects.append(Reject(number, None, reason, _shown(record)))
        frame = self._parse(b"\n".join(records) + b"\n" if records else b"", len(records))
        return Batch(frame, numbers, lambda index: _shown(records[index]), rejects)

    def _end(self, block: bytes, *, is_last: bool) -> int | None:
        """Where the last whole record of a block ends."""
        if is_last:
            return None if self.has_quotes and block.count(b'"') % 2 else len(block)
        end = block.rfind(b"\n")
        quotes = block.count(b'"', 0, max(end, 0)) if self.has_quotes else 0
        while end >= 0 and quotes % 2:
            before = block.rfind(b"\n", 0, end)
            quotes -= block.count(b'"', max(before, 0), end)
            end = before
        return None if end < 0 else end + 1

    def _endless(self, block: bytes, first: int) -> BadFile:
        """What is wrong where no record ends."""
        end = self._end(block, is_last=False) or 0
        where = f"{self.name}, row {first + (self._count(block[:end]) if end else 0):,}"
        if self.has_quotes and b'"' in block:
            return BadFile(
                f"{where}: a quote is opened and not closed; if quotes are characters like others here, say --no-quotes"
            )
        return BadFile(f"{where}: it has more than {MAX_RECORD_BYTES:,} bytes")

    def _count(self, data: bytes) -> int:
        bare = self._bare(data)
        return bare.count(b"\n") + (not bare.endswith(b"\n"))

    def _bare(self, data: bytes) -> bytes:
        """Without what is quoted: each line that is left is a record."""
        return _QUOTED.sub(b"", data) if self.has_quotes and b'"' in data else data

    def _is_regular(self, data: bytes, rows: int) -> bool:
        """Whether all is UTF-8, and each record has as many values as the header."""
        try:
            data.decode()
            bare = self._bare(data).decode()
        except UnicodeDecodeError:
            return False
        lines = pl.Series([bare.removesuffix("\n")]).str.split("\n").explode()
        wanted = len(self.names) - 1
        if wanted == 0:
            return self.delimiter not in bare
        return len(lines) == rows and bool((lines.str.count_matches(self.delimiter, literal=True) == wanted).all())

    def _parse(self, data: bytes, rows: int) -> pl.DataFrame:
        schema = {name: pl.String() for name in self.names}
        if not rows:
            return pl.DataFrame(schema=schema)
        with explaining(self.name):
            frame = pl.read_csv(
                io.BytesIO(data),
                has_header=False,
                schema=schema,
                separator=self.delimiter,
                quote_char='"' if self.has_quotes else None,
            )
        if frame.height != rows:
            raise BadFile(
                f"{self.name} has quotes that can't be understood; if they're plain characters, say --no-quotes"
            )
        return frame

    def _wrong(self, text: str) -> str | None:
        """What is wrong with a record; an empty text: it's blank, which is nothing."""
        if not text.strip("\r") and len(self.names) > 1:
            return ""
        try:
            (values,) = csv.reader(
                [text] if "\n" not in text else io.StringIO(text, newline=""),
                delimiter=self.delimiter,
                quoting=csv.QUOTE_MINIMAL if self.has_quotes else csv.QUOTE_NONE,
                strict=True,
            ) or [[""]]
        except ValueError:
            values = [""]
        except csv.Error as error:
            return f"not of the format: {error}"
        if len(values) in (0, 1) and len(self.names) == 1:
            return None
        if len(values) != len(self.names):
            return f"{len(values):,} values, and the header has {len(self.names):,}"
        return None


class _Records:
    """The records of a chunk one by one, for what has to be shown; called with an index."""

    def __init__(self, data: bytes, file: Delimited) -> None:
        self._data, self._file = data, file
        self._found: list[bytes] | None = None

    @property
    def records(self) -> list[bytes]:
        if self._found is None:
            self._found = list(self._split())
        return self._found

    def __call__(self, index: int) -> str:
        return _shown(self.records[index])

    def _split(self) -> Iterator[bytes]:
        lines = self._data.removesuffix(b"\n").split(b"\n")
        if not self._file.has_quotes:
            yield from lines
            return
        waiting: list[bytes] = []
        is_open = False
        for line in lines:
            waiting.append(line)
            is_open ^= bool(line.count(b'"') % 2)
            if not is_open:
                yield b"\n".join(waiting)
                waiting = []
        if waiting:
            yield b"\n".join(waiting)


def _shown(record: bytes) -> str:
    return record.decode(errors="backslashreplace").removesuffix("\r")


def _first_record_end(head: bytes, *, has_quotes: bool) -> int | None:
    end = head.find(b"\n")
    while end >= 0 and has_quotes and head.count(b'"', 0, end) % 2:
        end = head.find(b"\n", end + 1)
    return None if end < 0 else end + 1


def _header(text: str, name: str, delimiter: str | None, *, has_quotes: bool) -> tuple[list[str], str]:
    bare = _QUOTED.sub(b"", text.encode()).decode() if has_quotes else text
    fullest = max(DELIMITERS, key=bare.count)
    chosen = delimiter or (fullest if fullest in bare else ",")
    quoting = csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=chosen, quoting=quoting), [])
    except csv.Error as error:
        raise BadFile(f"the header of {name} can't be read: {error}") from None
    if len(names) == 1 and delimiter is not None and fullest in bare and fullest != delimiter:
        raise BadFile(
            f"the header of {name} is one value when {delimiter!r} parts them; is the delimiter {fullest!r}? "
            f"Leave --delimiter out, or say --delimiter {fullest!r}"
        )
    missing = [number for number, each in enumerate(names, 1) if not each.strip()]
    if not names or missing:
        raise BadFile(f"the header of {name} has no name for column {missing[0] if missing else 1}")
    return names, chosen
