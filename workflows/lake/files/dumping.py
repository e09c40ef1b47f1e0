"""`datapunk lake dump`: a dataset's rows into a file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from datapunk.settings import load_settings
from workflows.lake.files.buckets import is_object, key_of, must_be_free, put_object
from workflows.lake.files.loading import Report
from workflows.lake.files.reading import Format
from workflows.lake.files.rows import Table, connected
from workflows.lake.files.writing import format_named, write


def dump(
    dataset: str,
    file: str,
    format: Format | None,
    conditions: Sequence[str],
    tenant: str | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """The whole of it.

    Raises:
        StoreError: if there's no such dataset.
        ConfigurationError: if the file can't be written, or a condition makes no sense.
        BadFile: if a bucket doesn't take it.
    """
    chosen = format or format_named(file)[0]
    settings, began, rows = load_settings(), time.monotonic(), 0
    if is_object(file) and not overwrite:
        must_be_free(file)
    with connected(settings.database_url) as conn, Report(as_json=as_json) as report:
        table = Table.find(conn, tenant or settings.default_tenant, dataset)
        with report.step("dump", None) as advance:

            def counted() -> Iterator[pl.DataFrame]:
                nonlocal rows
                for frame in table.frames(conn, conditions):
                    rows += frame.height
                    advance(frame.height)
                    yield frame

            if is_object(file):
                with TemporaryDirectory(prefix="datapunk-", ignore_cleanup_errors=True) as folder:
                    spool = Path(folder, Path(key_of(file)).name)
                    write(str(spool), counted(), table.fields, table.schema, chosen)
                    put_object(file, spool)
            else:
                write(file, counted(), table.fields, table.schema, chosen, overwrite=overwrite)
        seconds = time.monotonic() - began
        report.tell(f"{rows:,} rows are in {file}, in {seconds:.1f} s", rows=rows, seconds=round(seconds, 3))
