"""`datapunk events export` and `import`: history as a file."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datapunk.archive.exporting import OnProgress, Selection
from datapunk.archive.exporting import export as export_history
from datapunk.archive.files import STANDARD, Format, opened, records_of, written
from datapunk.archive.importing import import_records
from datapunk.archive.records import Trailer
from datapunk.cli.messaging import Json, print_json
from datapunk.cli.points import read_point
from datapunk.settings import Settings, load_settings
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate


def export(
    file: Annotated[str, typer.Argument(help="Where to; - is standard output. Ending in .gz: compressed.")],
    format: Annotated[Format | None, typer.Option(help="By default avro for *.avro, else jsonl.")] = None,
    module: Annotated[str | None, typer.Option(help="Only this module's.")] = None,
    streams: Annotated[
        list[str] | None, typer.Option("--stream", help="Only this actor's, as in lake.dataset/weather; repeatable.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's; by default all tenants'.")] = None,
    after: Annotated[str, typer.Option(metavar="POSITION|TIME", help="Only what came after.")] = "0",
    until: Annotated[str | None, typer.Option(metavar="POSITION|TIME", help="Only what came until then.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it's there.")] = False,
    as_json: Json = False,
) -> None:
    """Write history to a file: events, their schemas, and which commands were processed.

    The file is of one moment, whole or not there, and ends with a checksum. Processes may go on working.
    """
    if file == STANDARD and as_json:
        raise typer.BadParameter("--json and standard output would get into each other's way")
    _stop_at_once_when_interrupted()
    selection = Selection(
        read_point(after), None if until is None else read_point(until), module, tenant, tuple(streams or ())
    )
    with _progress("positions") as show, written(file, format, overwrite=overwrite) as writer:
        trailer = asyncio.run(_export(load_settings(), selection, writer, show))
    _tell(trailer, as_json=as_json, done=f"exported to {file}")


def import_(
    file: Annotated[str, typer.Argument(help="What `export` wrote, in any format; - is standard input.")],
    as_json: Json = False,
) -> None:
    """Put exported history into an empty store, as it was; a second time changes nothing.

    Positions, versions, ids and schemas stay. All or nothing: it's only there once the checksum has proved right.
    A store with another history is left alone. Nothing is published again but what hadn't been confirmed.
    """
    _stop_at_once_when_interrupted()
    settings = load_settings()
    with opened(file) as opened_file:
        size = 0 if file == STANDARD else Path(file).stat().st_size
        with _progress("") as show:
            trailer, is_new = asyncio.run(_import(settings, opened_file, size, show))
    _tell(
        trailer, as_json=as_json, done="imported" if is_new else "are all there already; nothing changed", is_new=is_new
    )


async def _export(settings: Settings, selection: Selection, writer: Any, on_progress: OnProgress) -> Trailer:
    async with await connect(settings.database_url) as conn:
        return await export_history(conn, selection, writer, on_progress)


async def _import(settings: Settings, file: IO[bytes], size: int, on_progress: OnProgress) -> tuple[Trailer, bool]:
    def show() -> None:
        if size:
            on_progress(file.tell(), size)

    await migrate(settings.database_url)
    async with await connect(settings.database_url, writer=True) as conn:
        imported = await import_records(conn, records_of(file), show)
    show()
    return imported


def _stop_at_once_when_interrupted() -> None:
    """As it stands, Ctrl-C would wait until a pipe at the other end of which nothing happens gives or takes more."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


def _tell(trailer: Trailer, *, as_json: bool, done: str, **more: Any) -> None:
    if as_json:
        counts = {name: getattr(trailer, name) for name in ("events", "commands", "schemas", "unpublished", "sha256")}
        print_json(counts | more)
        return
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"{trailer.events:,} events and {trailer.commands:,} processed commands {done}\nsha-256 {trailer.sha256}"
    )


@contextmanager
def _progress(unit: str) -> Generator[OnProgress]:
    columns = (
        TextColumn("{task.fields[done]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, redirect_stdout=False) as progress:
        task = progress.add_task("", total=None, done="")

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, done=f"{done:,}/{total:,}" if unit else "")

        yield show
