"""Rows that were set aside: counted, limited, and written to a file for whoever mends them."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO
from uuid import uuid4

import msgspec

from workflows.lake.files.chunks import Reject
from workflows.lake.files.errors import BadFile, TooManyBadRows, unwritable

SHOWN = 3  # of them in a message

_decoder = msgspec.json.Decoder(Reject)


def most_bad(text: str, rows: int) -> int:
    """How many rows may be bad, of so many: `100`, or `0.5%`.

    Raises:
        BadFile: if it's neither.
    """
    try:
        number = float(text.removesuffix("%"))
        if number < 0 or (text.endswith("%") and number > 100) or number != number:
            raise ValueError
        return int(rows * number / 100) if text.endswith("%") else int(text)
    except ValueError:
        raise BadFile(
            f"--max-bad is a number of rows or a share of them, as in 100 or 0.5%, and not {text!r}"
        ) from None


class Rejects:
    """The bad rows of some files, a JSON object a line; the file is whole or not there.

    Args:
        path: where it is in the end, if there are any.
        kept: how many of the first are kept in memory.
        is_shown: whether people can look into it.
        numbers: of rows that were set aside before: what they were then.
    """

    def __init__(
        self, path: Path, kept: int = SHOWN, *, is_shown: bool = True, numbers: Sequence[int] | None = None
    ) -> None:
        self._path, self._kept, self._is_shown, self._numbers = path, kept, is_shown, numbers
        self._growing = path.with_name(f".{path.name}.{uuid4().hex}")
        self._file: IO[bytes] | None = None
        self.count = 0
        self.first: list[Reject] = []

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._growing.unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Reject]:
        """All of them, once they're kept."""
        if self.count:
            with self._path.open("rb") as lines:
                yield from map(_decoder.decode, lines)

    def add(self, file: str, rejects: Sequence[Reject]) -> None:
        """Write some.

        Raises:
            NoRoom: if the disk is full.
        """
        if not rejects:
            return
        told = [self._told(file, reject) for reject in rejects]
        self.count += len(told)
        self.first += told[: self._kept - len(self.first)]
        lines = b"".join(msgspec.json.encode(reject) + b"\n" for reject in told)
        with self._writing():
            if self._file is None:
                self._file = self._growing.open("xb", buffering=0)
            if self._file.write(lines) != len(lines):
                raise OSError(errno.ENOSPC, "disk full")

    def keep(self) -> None:
        """Let the file be there. Whoever dies before leaves the one of an earlier time.

        Raises:
            NoRoom: if the disk is full.
        """
        if self._file is None:
            return
        with self._writing():
            os.fsync(self._file.fileno())
            self._file.close()
            self._growing.replace(self._path)
        self._file = None

    def _told(self, file: str, reject: Reject) -> Reject:
        row = reject.row if self._numbers is None else self._numbers[reject.row - 1]
        return msgspec.structs.replace(reject, row=row, file=file)

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(str(self._path), error) from None

    def check(self, most: int, rows: int) -> None:
        """Keep them, and see that there aren't too many.

        Raises:
            TooManyBadRows: telling of the first.
        """
        self.keep()
        if self.count <= most:
            return
        shown = "".join(
            f"\n  row {reject.row:,}{f', column {reject.column}' if reject.column else ''}: {reject.reason}"
            for reject in self.first[:SHOWN]
        )
        where = f"\nAll of them are in {self._path}" if self._is_shown else ""
        raise TooManyBadRows(
            f"{self.count:,} of {rows:,} rows don't fit, and {most:,} may (--max-bad); nothing was loaded{shown}{where}"
        )
