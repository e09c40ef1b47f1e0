"""Objects in buckets of S3, or of what speaks like it: found by patterns, read and written in constant memory.

Who we are is told by the environment alone (`AWS_ACCESS_KEY_ID`, … or a role of the machine), never by a message.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from datapunk.errors import ConfigurationError
from workflows.lake.files.errors import BadFile, FileChanged, S3Missing
from workflows.lake.settings import LakeSettings

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME = "s3://"
BLOCK = 8 * 1024 * 1024  # bytes that are asked for at a time
RETRIES = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
MAGIC = "*?["
MAX_TOLD = 300  # characters of what a server says


def is_object(source: str) -> bool:
    """Whether it's in a bucket."""
    return source.startswith(SCHEME)


def key_of(source: str) -> str:
    """What an object is called in its bucket: `towns/a.csv` for `s3://data/towns/a.csv`."""
    return source.removeprefix(SCHEME).partition("/")[2]


def is_pattern(source: str) -> bool:
    """Whether it may stand for several objects."""
    return any(letter in key_of(source) for letter in MAGIC)


def find_objects(pattern: str) -> list[str]:
    """The objects that a pattern stands for, in order; `*` is no part of a path, and not several.

    Raises:
        BadFile: if it leads to nothing.
    """
    key, bucket = key_of(pattern), pattern.removeprefix(SCHEME).partition("/")[0]
    first_magic = min(key.find(letter) for letter in MAGIC if letter in key)
    folder = key[:first_magic].rpartition("/")[0]
    with _explaining(pattern) as obstore:
        pages = obstore.list(_store(pattern), prefix=folder or None)
        keys = [each["path"] for page in pages for each in page]
    found = sorted(each for each in keys if PurePosixPath(f"/{each}").match(f"/{key}"))
    if not found:
        raise BadFile(f"no object is like {pattern}")
    return [f"{SCHEME}{bucket}/{each}" for each in found]


def fetch_object(source: str) -> Generator[bytes]:
    """What is in an object, in blocks: all of one version of it.

    Raises:
        FileChanged: if it's written anew meanwhile.
        BadFile: if it can't be had.
    """
    store, key = _store(source), key_of(source)
    with _explaining(source) as obstore:
        found = obstore.head(store, key)
    for start in range(0, found["size"], BLOCK):
        end = min(start + BLOCK, found["size"])
        with _explaining(source) as obstore:
            block = obstore.get(store, key, options={"range": (start, end), "if_match": found["e_tag"]}).bytes()
        yield bytes(block)


def must_be_free(target: str) -> None:
    """See that there's no such object yet.

    Raises:
        ConfigurationError: if there is.
        BadFile: if the bucket can't be asked.
    """
    with _explaining(target) as obstore:
        try:
            obstore.head(_store(target), key_of(target))
        except FileNotFoundError:
            return
    raise ConfigurationError(f"{target} is there already: choose another name, or say --overwrite")


def put_object(target: str, file: Path) -> None:
    """Make an object of a file; it's there when all of it is.

    Raises:
        BadFile: if the bucket doesn't take it.
    """
    with _explaining(target) as obstore:
        obstore.put(_store(target), key_of(target), file)


def _store(source: str) -> S3Store:
    bucket, _, key = source.removeprefix(SCHEME).partition("/")
    if not bucket or not key:
        raise BadFile(f"{source}: an object is named like s3://bucket/key")
    endpoint = LakeSettings().s3_endpoint
    options: dict[str, Any] = {}
    if endpoint is not None:
        options = {"endpoint": endpoint, "client_options": {"allow_http": endpoint.startswith("http:")}}
    with _explaining(source):
        from obstore.store import S3Store

        return S3Store(bucket, retry_config=RETRIES, **options)  # type: ignore[arg-type]


@contextmanager
def _explaining(source: str) -> Generator[Any]:
    """The library, whose errors become ours."""
    try:
        import obstore
        from obstore.exceptions import BaseError, PreconditionError
    except ImportError:
        raise S3Missing("s3:// needs obstore, which isn't installed: pip install 'datapunk[files,s3]'") from None
    try:
        yield obstore
    except PreconditionError:
        raise FileChanged(f"{source} was written anew while it was read; load it again") from None
    except FileNotFoundError:
        raise BadFile(f"{source} can't be read: there's no such object, or bucket") from None
    except (BaseError, OSError, ValueError) as error:
        raise BadFile(f"{source}: {(str(error).splitlines() or ['?'])[0][:MAX_TOLD]}") from None
