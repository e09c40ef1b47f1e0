"""What can be wrong with a file."""

from __future__ import annotations

import errno
import re

from datapunk.errors import ConfigurationError, DatapunkError

_ERRNO_OF_POLARS = re.compile(r"\(os error (\d+)\)")  # whose errors have it in their text alone


class BadFile(DatapunkError):
    """A file can't be loaded as it is; the message says where it's wrong, and what to do."""

    code = "bad_file"


class TooManyBadRows(BadFile):
    """More rows don't fit the schema than may be set aside."""

    code = "too_many_bad_rows"


class FileChanged(BadFile):
    """The file was written to while it was read: load it again, once whoever writes it has ended."""

    code = "file_changed"


class NoRoom(DatapunkError):
    """The disk is full where something must be written."""

    code = "no_room"


class PolarsMissing(ConfigurationError):
    """The library that reads and writes files isn't installed."""


class S3Missing(ConfigurationError):
    """The library that speaks to buckets isn't installed."""


def require_polars() -> None:
    """See that the extra is there.

    Raises:
        PolarsMissing: saying how to install it.
    """
    try:
        import polars  # noqa: F401  # whether it's there
        import zstandard  # noqa: F401
    except ImportError:
        raise PolarsMissing("files are read by polars, which isn't installed: pip install 'datapunk[files]'") from None


def unreadable(name: str, error: OSError) -> BadFile:
    """A file that the system doesn't hand out, as people should hear of it."""
    if isinstance(error, IsADirectoryError):
        return BadFile(f"{name} is a directory: name its files, as in '{name}/*.csv'")
    return BadFile(f"{name} can't be read: {error.strerror or error}")


def unwritable(name: str, error: OSError) -> DatapunkError:
    """The same for what is to be written."""
    in_text = _ERRNO_OF_POLARS.search(str(error))
    number = error.errno or (int(in_text[1]) if in_text else 0)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom(f"no room left to write {name}")
    return ConfigurationError(f"{name} can't be written: {error.strerror or error}")
