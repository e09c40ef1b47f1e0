"""What people are told when a command fails: one message that says what to do, instead of a traceback."""

from __future__ import annotations

import psycopg

from datapunk.errors import DatapunkError, QueryFailed, StoreError


def explained(error: Exception) -> str | None:
    """`<code>: <message>`; None for what isn't known, and so is a defect of ours."""
    if isinstance(error, QueryFailed):
        return f"{error.error_code}: {error}"
    if isinstance(error, DatapunkError):
        return f"{error.code}: {error}"
    if isinstance(error, psycopg.errors.UndefinedTable):
        return f"{StoreError.code}: the database isn't prepared yet; `datapunk run` does that when it starts"
    if isinstance(error, psycopg.OperationalError):
        return f"{StoreError.code}: the database can't be reached: {error}; is it up? (`datapunk status`)"
    return None
