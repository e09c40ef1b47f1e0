"""`datapunk lake`: files into datasets and out of them, and how long records stay. Commands load what reads files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datapunk.cli.messaging import Json, Tenant

if TYPE_CHECKING:
    from workflows.lake.files.reading import Format

app = typer.Typer(no_args_is_help=True, help="Load files into datasets, and write datasets to files.")


@app.callback()
def lake() -> None:
    """Load files into datasets, and write datasets to files."""


@app.command()
def load(
    dataset: Annotated[str, typer.Argument(help="The dataset's id; it's created if it isn't there.")],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Paths, patterns (quoted), http(s) and s3 URLs."),
    ],
    format: Annotated[
        str | None,
        typer.Option(help="csv, tsv, jsonl, parquet, arrow or avro; by default as the file itself tells."),
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The Avro schema of a new dataset; by default it's inferred.")
    ] = None,
    show_schema: Annotated[
        bool, typer.Option("--show-schema", help="Print the schema that is inferred, and do no more.")
    ] = False,
    save_schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the schema there, to be edited and given as --schema.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, and load none.")] = False,
    key: Annotated[str | None, typer.Option(help="Of a new dataset: the field that identifies a record.")] = None,
    indexes: Annotated[
        list[str] | None, typer.Option("--index", help="Of a new dataset: a field to index; repeatable.")
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, max=64, help="Of a new dataset: how many.")] = 4,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="ROWS", help="Infer the schema from so many rows of each file; by default from all."
        ),
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV; by default what the header is full of.")] = None,
    no_quotes: Annotated[
        bool, typer.Option("--no-quotes", help="In CSV, quotes are characters like others, and enclose nothing.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Of text, as in latin-1; by default UTF-8, or what a byte order mark says.")
    ] = None,
    nulls: Annotated[
        list[str] | None, typer.Option("--null", help="A text that stands for no value, everywhere; repeatable.")
    ] = None,
    ignored: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="A column to leave out; repeatable.")
    ] = None,
    max_bad: Annotated[
        str, typer.Option(metavar="N|P%", help="How many rows may be set aside; with more, nothing is loaded.")
    ] = "0",
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where rows go that were set aside; by default DATASET.rejects.jsonl."),
    ] = None,
    again: Annotated[
        str, typer.Option(metavar="NAME", help="Load a file that was loaded before once more, under this name.")
    ] = "",
    background: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Let workers load the file (one, a path that they see), as an ingestion of this id."
        ),
    ] = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Load files into a dataset: CSV, TSV, JSON lines, Parquet, Arrow IPC, Avro; plain, gzip, zstd, bzip2, xz or zip.

    All rows are checked before the first is sent. Rows are there exactly once, whatever fails meanwhile: run the
    command again to go on. A file that was loaded already adds nothing.
    """
    from workflows.lake.files.errors import require_polars

    require_polars()
    from workflows.lake.files.loading import Load, NewDataset, Report
    from workflows.lake.files.plan import Options

    _check_text(delimiter, encoding)
    options = Options(_format(format), delimiter, not no_quotes, encoding, tuple(nulls or ()), tuple(ignored or ()))
    new = NewDataset(schema, key, tuple(indexes or ()), partitions, sample)
    load = Load(dataset, files, options, new, max_bad, rejects or Path(f"{dataset}.rejects.jsonl"), tenant, again)
    with Report(as_json=as_json) as report:
        if background is not None:
            asyncio.run(load.request(background, report))
        elif show_schema:
            load.show_schema(report, save_schema)
        else:
            asyncio.run(load.run(report, save_schema, dry_run=dry_run))


@app.command()
def dump(
    dataset: Annotated[str, typer.Argument(help="The dataset's id.")],
    file: Annotated[
        str,
        typer.Argument(
            help="Where to, a path or s3://bucket/key; its end tells the format, and .gz or .zst that it's packed."
        ),
    ],
    format: Annotated[
        str | None, typer.Option(help="csv, tsv, jsonl, parquet, arrow or avro; by default as the name tells.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Only such rows, as in 'celsius >= 1.5'; repeatable, all must hold."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it's there.")] = False,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Write a dataset's rows to a file: CSV, TSV, JSON lines, Parquet, Arrow IPC or Avro, in constant memory.

    The rows are of one moment, and the file is whole or not there. `lake load` reads it back.
    """
    from workflows.lake.files.errors import require_polars

    require_polars()
    from workflows.lake.files.dumping import dump as dump_rows

    dump_rows(dataset, file, _format(format), where or (), tenant, overwrite=overwrite, as_json=as_json)


@app.command()
def retain(
    dataset: Annotated[str, typer.Argument(help="The dataset's id.")],
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="How many days records are kept.")] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="A date or timestamp of theirs, from which on that counts; by default from when they came.",
        ),
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Keep records for ever from now on.")] = False,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Say how long a dataset's records are kept: older ones go from its tables, while workflows run.

    Events stay, with the records in them: exports have them, and so does time travel.
    """
    from workflows.lake.retaining import retain as set_retention

    if forever == (days is not None):
        raise typer.BadParameter("say either --days N or --forever")
    asyncio.run(set_retention(dataset, days, by, tenant, as_json=as_json))


def _format(name: str | None) -> Format | None:
    from workflows.lake.files.reading import Format

    try:
        return None if name is None else Format(name)
    except ValueError:
        raise typer.BadParameter(f"--format is one of {', '.join(Format)}") from None


def _check_text(delimiter: str | None, encoding: str | None) -> None:
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii()):
        raise typer.BadParameter("--delimiter is one character of ASCII, and no quote or line end")
    try:
        "".encode(encoding or "utf-8")
    except LookupError:
        raise typer.BadParameter(f"there's no encoding {encoding!r}") from None
