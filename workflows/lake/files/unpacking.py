"""Packed files: gzip, Zstandard, bzip2, xz, and zip archives of one file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO, Any

import zstandard

from workflows.lake.files.errors import BadFile, unreadable

BLOCK = 1024 * 1024  # bytes
ZSTD_BLOCK = 2048  # bytes, packed: they become 64 MiB at most, which is held in memory at once
# A file that grows more than this while it's unpacked is a trap rather than data, which packs to a tenth or so.
MAX_EXPANSION = 250  # times its size
FREE_EXPANSION = 256 * 1024 * 1024  # bytes, from which on that counts


class Packing(StrEnum):
    """How a file is packed."""

    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZIP = "zip"


MAGIC = {
    b"\x1f\x8b": Packing.GZIP,
    b"\x28\xb5\x2f\xfd": Packing.ZSTD,
    b"BZh": Packing.BZIP2,
    b"\xfd7zXZ\0": Packing.XZ,
    b"PK\x03\x04": Packing.ZIP,
    b"PK\x05\x06": Packing.ZIP,  # without any file
}


def packed(head: bytes) -> Packing | None:
    """How a file is packed that begins so; none: it isn't."""
    return next((packing for magic, packing in MAGIC.items() if head.startswith(magic)), None)


def unpacked(file: IO[bytes], packing: Packing, name: str, size: int) -> Iterator[bytes]:
    """What is in it, in blocks.

    Args:
        file: open at its beginning.
        packing: how it's packed.
        name: for messages.
        size: of the file, in bytes.

    Raises:
        BadFile: if it's cut off, damaged, or expands out of all proportion.
    """
    got = 0
    try:
        for block in _blocks(file, packing, name):
            got += len(block)
            if got > FREE_EXPANSION and got > size * MAX_EXPANSION:
                raise BadFile(
                    f"{name} expands to more than {MAX_EXPANSION} times its size, which no ordinary data does; if it's "
                    "right, unpack it yourself and load that"
                )
            yield block
    except EOFError:
        raise BadFile(f"{name} is cut off: the {packing} data end after {got:,} bytes, before their end mark") from None
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(name, error) from None
        raise BadFile(f"{name} is damaged after {got:,} bytes of {packing} data: {error}") from None


def _blocks(file: IO[bytes], packing: Packing, name: str) -> Iterator[bytes]:
    match packing:
        case Packing.GZIP:
            return _read(gzip.GzipFile(fileobj=file, mode="rb"))
        case Packing.BZIP2:
            return _read(bz2.BZ2File(file))
        case Packing.XZ:
            return _read(lzma.LZMAFile(file))
        case Packing.ZIP:
            return _member(file, name)
        case Packing.ZSTD:
            return _frames(file)


def _read(file: Any) -> Iterator[bytes]:
    read: Callable[[int], bytes] = file.read
    while block := read(BLOCK):
        yield block


def _member(file: IO[bytes], name: str) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.namelist() if not member.endswith("/")]
        if len(members) != 1:
            raise BadFile(f"{name} is a zip archive of {len(members):,} files; one is what can be loaded: unpack it")
        with archive.open(members[0]) as inner:
            yield from _read(inner)


def _frames(file: IO[bytes]) -> Iterator[bytes]:
    """Zstandard by frames: its own reader takes a file that is cut off for one that ends."""
    frame, is_inside = zstandard.ZstdDecompressor().decompressobj(), False
    while block := file.read(ZSTD_BLOCK):
        while block:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            is_inside = True
            yield frame.decompress(block)
            block = frame.unused_data if frame.eof else b""
            is_inside = not frame.eof
    if is_inside:
        raise EOFError
