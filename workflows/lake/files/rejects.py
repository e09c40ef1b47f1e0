"""Rows that were set aside: counted, limited, and written to a file for whoever mends them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from workflows.lake.files.chunks import Reject
from workflows.lake.files.errors import BadFile, TooManyBadRows, unwritable

SHOWN = 3  # of them in a message


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
    """The bad rows of some files.

    Args:
        path: where they're written to, a JSON object a line; it's there only if there are any. None: they're counted.
        kept: how many of the first are kept in memory.
    """

    def __init__(self, path: Path | None, kept: int = SHOWN) -> None:
        self._path, self._kept = path, kept
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

    def add(self, file: str, rejects: Sequence[Reject]) -> None:
        """Write some.

        Raises:
            NoRoom: if the disk is full.
        """
        if not rejects:
            return
        self.count += len(rejects)
        self.first += rejects[: self._kept - len(self.first)]
        if self._path is None:
            return
        lines = b"".join(msgspec.json.encode(msgspec.structs.replace(reject, file=file)) + b"\n" for reject in rejects)
        try:
            if self._file is None:
                self._file = self._path.open("wb", buffering=0)  # what is told to be there is there
            if self._file.write(lines) != len(lines):
                raise OSError(errno.ENOSPC, "disk full")
        except OSError as error:
            raise unwritable(str(self._path), error) from None

    def check(self, most: int, rows: int) -> None:
        """See that there aren't too many.

        Raises:
            TooManyBadRows: telling of the first.
        """
        if self.count <= most:
            return
        shown = "".join(
            f"\n  row {reject.row:,}{f', column {reject.column}' if reject.column else ''}: {reject.reason}"
            for reject in self.first[:SHOWN]
        )
        where = f"\nAll of them are in {self._path}" if self._path is not None else ""
        raise TooManyBadRows(
            f"{self.count:,} of {rows:,} rows don't fit, and {most:,} may (--max-bad); nothing was loaded{shown}{where}"
        )
