"""Where files come from: paths, patterns, URLs and buckets, packed or not; at the end of it all, plain files in UTF-8.

What can't be read from the middle (packed, from the network, in another encoding) is written to a spool file first.
So a download or a packed file that is cut off is known before its first row is sent.
"""

from __future__ import annotations

import codecs
import glob
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from workflows.lake.files.buckets import fetch_object, find_objects, is_object, is_pattern, key_of
from workflows.lake.files.errors import BadFile, FileChanged, unreadable, unwritable
from workflows.lake.files.unpacking import packed, unpacked

BLOCK = 1024 * 1024  # bytes
DOWNLOAD_TIMEOUT_S = 60.0  # of silence
# What text in other encodings begins with, by the encoding's name.
BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
BINARY = (b"PAR1", b"ARROW1", b"Obj\x01")  # what files begin with that aren't text

Fetch = Callable[[str], Generator[bytes]]


@dataclass(frozen=True)
class Opened:
    """A plain file.

    Attributes:
        name: as it was asked for; packed ones without what says so.
        path: where it can be read.
        original: the file that must not change meanwhile.
        state: of the original when it was opened.
    """

    name: str
    path: Path
    original: Path
    state: tuple[int, ...]

    def check_unchanged(self) -> None:
        """See that what was read is what was there at the beginning.

        Raises:
            FileChanged: if the file was written to, or replaced.
        """
        try:
            state = _state(self.original)
        except OSError as error:
            raise FileChanged(f"{self.original} was taken away while it was read: {error.strerror}") from None
        if state != self.state:
            raise FileChanged(
                f"{self.original} changed while it was read; load it again once whoever writes it has ended"
            )


def find(sources: Sequence[str]) -> list[str]:
    """The files that paths, patterns and URLs stand for, in order.

    Raises:
        BadFile: if a path or pattern leads to nothing.
    """
    found: list[str] = []
    for source in sources:
        if is_object(source) and is_pattern(source):
            found += find_objects(source)
            continue
        if is_url(source) or Path(source).exists() or not glob.has_magic(source):
            found.append(source)
            continue
        matches = sorted(
            match
            for match in glob.glob(source, recursive=True)  # noqa: PTH207  # of any root
            if not Path(match).is_dir()
        )
        if not matches:
            raise BadFile(f"no file is like {source}")
        found += matches
    return found


def is_url(source: str) -> bool:
    """Whether it's to be downloaded."""
    return urlsplit(source).scheme in ("http", "https", "s3")


@contextmanager
def opened(source: str, encoding: str | None = None, fetch: Fetch | None = None) -> Generator[Opened]:
    """A file as a plain one, for as long as the block.

    Args:
        source: a path or a URL.
        encoding: of its text; by default UTF-8, or what a byte order mark says.
        fetch: how URLs are read; by default by this process.

    Raises:
        BadFile: if it can't be read or unpacked.
        NoRoom: if there's no room for the spool file.
    """
    with tempfile.TemporaryDirectory(prefix="datapunk-", ignore_cleanup_errors=True) as folder:
        path, name = Path(source), source
        if is_url(source):
            path = Path(folder, "download")
            name = key_of(source) if is_object(source) else unquote(urlsplit(source).path)
            _spool(path, (fetch or download)(source))
        try:
            with path.open("rb") as file:
                original, state = path, _state(path)
                head = file.read(8)
                if not head:
                    raise BadFile(f"{source} is empty: it has 0 bytes, not even a header")
                if kind := packed(head):
                    path, name = Path(folder, "unpacked"), name.removesuffix(Path(name).suffix)
                    file.seek(0)
                    _spool(path, unpacked(file, kind, source, state[0]))
        except OSError as error:  # of opening it: the others are told by whoever meets them
            raise unreadable(source, error) from None
        with path.open("rb") as file:
            head = file.read(8)
        encoding = None if head.startswith(BINARY) else encoding or BYTE_ORDER_MARKS.get(head[:2])
        if encoding is not None and codecs.lookup(encoding).name != "utf-8":
            plain = Path(folder, "utf-8")
            _spool(plain, _transcoded(path, encoding, source))
            path = plain
        whole = Opened(name, path, original, state)
        whole.check_unchanged()
        yield whole


def download(url: str) -> Generator[bytes]:
    """What is behind a URL, in blocks; redirections are followed.

    Raises:
        BadFile: if it can't be had, or not all of it.
    """
    if is_object(url):
        yield from fetch_object(url)
        return
    try:
        with urllib.request.build_opener().open(url, timeout=DOWNLOAD_TIMEOUT_S) as answer:
            expected, got = answer.headers.get("Content-Length"), 0
            while block := answer.read(BLOCK):
                got += len(block)
                yield block
    except (urllib.error.URLError, OSError) as error:
        raise BadFile(f"{url} can't be read: {getattr(error, 'reason', None) or error}") from None
    if expected is not None and got != int(expected):
        raise BadFile(f"{url} is cut off: {got:,} of {int(expected):,} bytes came; try again")


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _spool(path: Path, blocks: Iterator[bytes]) -> None:
    try:
        with path.open("xb") as file:
            for block in blocks:
                file.write(block)
    except OSError as error:
        raise unwritable(f"the spool file {path}; TMPDIR says where it lies", error) from None


def _transcoded(path: Path, encoding: str, source: str) -> Iterator[bytes]:
    decoder, position = codecs.getincrementaldecoder(encoding)(), 0
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise BadFile(
                    f"{source} isn't {encoding}: {error.reason} at byte {position + error.start:,} or before"
                ) from None
            yield text.encode(errors="surrogatepass")
            position += len(block)
            if not block:
                return
