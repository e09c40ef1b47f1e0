"""Archive files: written whole or not at all, read in whatever format they are."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol, cast

from datapunk.archive.container import ContainerWriter, read_container
from datapunk.archive.json_lines import JsonLinesWriter, read_json_lines
from datapunk.archive.records import FORMAT, Header, Record, Tally, Trailer
from datapunk.errors import ArchiveDamaged, ConfigurationError

STANDARD = "-"  # instead of a file name: standard output or input
COMPRESSION_LEVEL = 3  # of 9; more takes far longer and gains little

_AVRO_MAGIC, _GZIP_MAGIC = b"Obj\x01", b"\x1f\x8b"


class Format(StrEnum):
    """How records are written."""

    JSONL = "jsonl"
    AVRO = "avro"


class Writer(Protocol):
    """Writes the records of one archive."""

    def begin(self, header: Header) -> None:
        """The header, first."""
        ...

    def write(self, record: Record) -> None:
        """A record."""
        ...

    def end(self, trailer: Trailer) -> None:
        """The trailer, last."""
        ...


@contextmanager
def written(name: str, format: Format | None, *, overwrite: bool = False) -> Generator[Writer]:
    """A writer of a new file, which is there under its name only once the block has ended well.

    Args:
        name: `-` for standard output; a `.gz` at the end means compressed.
        format: by default Avro if the name says `.avro`, else JSON lines.
        overwrite: whether a file of this name may be replaced.

    Raises:
        ConfigurationError: if the file can't be written, or is there already.
    """
    if name == STANDARD:
        yield _writer(sys.stdout.buffer, format or Format.JSONL)
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() and not overwrite:
        raise ConfigurationError(f"{path} is there already: choose another name, or say --overwrite")
    suffixes = path.suffixes
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as file:
            inner: IO[bytes] = file
            if suffixes[-1:] == [".gz"]:
                inner = cast("IO[bytes]", gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file, mtime=0))
            yield _writer(inner, format or (Format.AVRO if ".avro" in suffixes else Format.JSONL))
            if inner is not file:
                inner.close()
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _writer(file: IO[bytes], format: Format) -> Writer:
    return ContainerWriter(file) if format is Format.AVRO else JsonLinesWriter(file)


@contextmanager
def opened(name: str) -> Generator[IO[bytes]]:
    """The file, or standard input for `-`.

    Raises:
        ConfigurationError: if it can't be opened.
    """
    if name == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise ConfigurationError(f"{name} can't be read: {error.strerror or error}") from None
    with file:
        yield file


def records_of(file: IO[bytes]) -> Iterator[Record]:
    """The records of an archive. Whoever comes to their end has all, as they were written.

    Args:
        file: in any format, compressed or not.

    Raises:
        ArchiveDamaged: if it's cut off, changed, or no archive.
    """
    tally, trailer, header = Tally(), None, None
    try:
        if _peek(file, 2) == _GZIP_MAGIC:
            file = cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))
        for found in _lines(file):
            if trailer is not None:
                raise ArchiveDamaged("something comes after the trailer: are these two archives in one file?")
            if header is None:
                if not isinstance(found, Header):
                    raise ArchiveDamaged("it doesn't begin with a header")
                if found.format != FORMAT:
                    raise ArchiveDamaged(f"its format is {found.format}, and this code reads {FORMAT}: upgrade it")
                header = found
            elif isinstance(found, Trailer):
                trailer = found
            elif isinstance(found, Header):
                raise ArchiveDamaged("it has two headers: are these two archives in one file?")
            else:
                tally.add(found)
                yield found
        file.read(1)  # what is compressed has a checksum of its own at its end
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveDamaged(f"the compression is cut off or damaged: {error}") from None
    counted = tally.trailer()
    if trailer is None:
        raise ArchiveDamaged(
            f"it's cut off: {counted.events:,} events and {counted.commands:,} commands, and no trailer after them"
        )
    if trailer != counted:
        raise ArchiveDamaged(f"it isn't as it was written: the trailer says {trailer}, and it holds {counted}")


def _lines(file: IO[bytes]) -> Iterator[Header | Record | Trailer]:
    return read_container(file) if _peek(file, 4) == _AVRO_MAGIC else read_json_lines(file)


def _peek(file: IO[bytes], size: int) -> bytes:
    peek = cast("Callable[[int], bytes]", file.peek)  # type: ignore[attr-defined]  # buffered and gzip files have it
    return peek(size)[:size]
