"""`datapunk lake load`: looks through files, creates the dataset where it's missing, and sends the rows."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from datapunk.cli.messaging import Session, open_session, print_json
from datapunk.client import Client
from datapunk.messages.codec import AVRO_BINARY
from schemas.lake.commands import IngestFile
from schemas.lake.queries import Dataset, GetDataset
from schemas.lake.types import FileFormat, FileOptions
from workflows.lake.files.datasets import create_dataset, find_dataset, inferred_schema, target_of
from workflows.lake.files.errors import BadFile, unreadable, unwritable
from workflows.lake.files.letters import Origin, set_aside
from workflows.lake.files.plan import OnRows, Options, Plan
from workflows.lake.files.records import Target
from workflows.lake.files.rejects import Rejects, most_bad
from workflows.lake.files.sending import Sender, Sent, must_be_accepted
from workflows.lake.files.sources import find, is_url, opened

QUERYABLE_S = 600.0  # for the projections to catch up


@dataclass(frozen=True)
class NewDataset:
    """How a dataset is made that isn't there.

    Attributes:
        schema: a file with its schema; none: it's inferred.
        key: the field that identifies a record.
        indexes: fields to index.
        partitions: how many.
        sample: rows to infer from; none: all.
    """

    schema: Path | None = None
    key: str | None = None
    indexes: tuple[str, ...] = ()
    partitions: int = 4
    sample: int | None = None


class Report:
    """What people see meanwhile, and at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("rows"),
            TimeElapsedColumn(),
        )
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(*columns, console=self._console, redirect_stdout=False)

    def __enter__(self) -> Report:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, what: str, rows: int | None) -> Iterator[OnRows]:
        """A bar for something that is done to so many rows."""
        task = self._progress.add_task(what, total=rows)

        def advance(rows: int) -> None:
            self._progress.advance(task, rows)

        yield advance

    def tell(self, text: str, **values: object) -> None:
        """How it ended: for people, or the values as JSON."""
        self._progress.stop()
        if self._as_json:
            print_json(values)
        else:
            self._console.print(text, markup=False)


@dataclass(frozen=True)
class Load:
    """Files on their way into a dataset.

    Attributes:
        dataset: its id.
        sources: paths, patterns and URLs.
        options: how they're read.
        new: how the dataset is made if it isn't there.
        max_bad: how many rows may be set aside: a number or a share of all.
        rejects: where those go.
        tenant: whose dataset; by default as set.
        again: a name for loading once more what was loaded before.
    """

    dataset: str
    sources: Sequence[str]
    options: Options
    new: NewDataset
    max_bad: str
    rejects: Path
    tenant: str | None = None
    again: str = ""

    def show_schema(self, report: Report, save: Path | None) -> None:
        """Print the schema that a new dataset would have."""
        with ExitStack() as stack:
            schema = self._schema(self._open(stack, report), report, save)
        report.tell("")
        sys.stdout.write(schema + "\n")

    async def run(self, report: Report, save: Path | None, *, dry_run: bool) -> None:
        """The whole of it.

        Raises:
            BadFile: if a file is not fit to be loaded; then nothing of any was.
            LoadFailed: if Lake refuses something.
        """
        began = time.monotonic()
        session = open_session()
        tenant = self.tenant or session.settings.default_tenant
        most_bad(self.max_bad, 0)  # before anything takes long
        with ExitStack() as stack:
            plans = self._open(stack, report)
            rejects = stack.enter_context(Rejects(self.rejects))
            async with _client(session) as client:
                found = await find_dataset(client, self.dataset, tenant)
                target = self._target(found, plans, report, save)
                rows, bad = self._check(target, plans, rejects, report)
                if dry_run:
                    report.tell(
                        f"{rows - rejects.count:,} of {rows:,} rows fit {self.dataset}; nothing was loaded",
                        rows=rows,
                        bad=rejects.count,
                    )
                    return
                if found is None:
                    await create_dataset(client, target, tenant)
                await self._set_aside(client, target, bad, rejects, tenant)
                sent = await self._send(client, target, plans, tenant, rows - rejects.count, report)
                total = await self._total(client, tenant, sent.position)
        seconds = time.monotonic() - began
        where = f"{self.rejects}, and among the dead letters"
        bad_rows = f"; {rejects.count:,} were set aside in {where}" if rejects.count else ""
        report.tell(
            f"{sent.rows:,} rows are in {self.dataset}, in {seconds:.1f} s ({sent.rows / seconds:,.0f} rows/s)"
            f"{bad_rows}. It has {total:,}.",
            dataset=self.dataset,
            rows=sent.rows,
            bad=rejects.count,
            records=total,
            position=sent.position,
            seconds=round(seconds, 3),
        )

    async def request(self, ingestion: str, report: Report) -> None:
        """Let workers do it.

        Raises:
            BadFile: if it's more than one file.
            LoadFailed: if Lake refuses.
        """
        sources = find(self.sources)
        if len(sources) != 1:
            raise BadFile(f"in the background one file is loaded at a time, and these are {len(sources):,}")
        source = sources[0] if is_url(sources[0]) else os.path.abspath(sources[0])  # noqa: ASYNC240, PTH100
        options, new = self.options, self.new
        command = IngestFile(
            dataset=self.dataset,
            source=source,
            options=FileOptions(
                format=FileFormat.AUTO if options.format is None else FileFormat(options.format.value.upper()),
                delimiter=options.delimiter,
                has_quotes=options.has_quotes,
                encoding=options.encoding,
                nulls=list(options.nulls),
                ignored=list(options.ignored),
                max_bad=self.max_bad,
                again=self.again,
                schema=None if new.schema is None else _text(new.schema),
                key=new.key,
                indexes=list(new.indexes),
                partitions=new.partitions,
            ),
        )
        session = open_session()
        async with Client(session.settings, session.registry) as client:
            outcome = await client.send(command, ingestion, tenant=self.tenant)
        must_be_accepted(outcome)
        look = f'datapunk query lake.GetIngestion --data \'{{"ingestion": "{ingestion}"}}\''
        report.tell(f"requested; how far it is: {look}", ingestion=ingestion, position=outcome.position)

    def _open(self, stack: ExitStack, report: Report) -> list[Plan]:
        with report.step("open", None):
            files = [stack.enter_context(opened(source, self.options.encoding)) for source in find(self.sources)]
            return [Plan.of(file, self.options) for file in files]

    def _target(self, found: Dataset | None, plans: Sequence[Plan], report: Report, save: Path | None) -> Target:
        if found is None:
            schema = self._schema(plans, report, save)
            return Target(self.dataset, schema, self.new.key, self.new.partitions, self.new.indexes)
        if self.new.schema is not None and _normal(_text(self.new.schema)) != _normal(found.schema):
            raise BadFile(f"{self.dataset} is there already, with another schema than {self.new.schema}")
        if save is not None:
            _save(save, found.schema)
        return target_of(found)

    def _schema(self, plans: Sequence[Plan], report: Report, save: Path | None) -> str:
        if self.new.schema is not None:
            return _text(self.new.schema)
        with report.step("look", sum(plan.rows for plan in plans)) as advance:
            schema = inferred_schema(self.dataset, plans, self.options, self.new.key, advance, self.new.sample)
        if save is not None:
            _save(save, schema + "\n")
        return schema

    def _check(
        self, target: Target, plans: Sequence[Plan], rejects: Rejects, report: Report
    ) -> tuple[int, list[tuple[Plan, int]]]:
        """Look at all rows; returns how many there are, and how many are bad of each file."""
        rows, bad = sum(plan.rows for plan in plans), list[tuple[Plan, int]]()
        with report.step("check", rows) as advance:
            for plan in plans:
                before = rejects.count
                plan.check(target, rejects, advance, keep=True)
                bad.append((plan, rejects.count - before))
        rejects.check(most_bad(self.max_bad, rows), rows)
        return rows, bad

    async def _set_aside(
        self, client: Client, target: Target, bad: Sequence[tuple[Plan, int]], rejects: Rejects, tenant: str
    ) -> None:
        """Put each file's bad rows among the dead letters, too."""
        rows = iter(rejects)
        for plan, count in bad:
            origin = Origin(str(plan.load_id(target, tenant, self.again)), tenant, target, plan, self.options)
            await set_aside(client, origin, islice(rows, count))

    async def _send(
        self, client: Client, target: Target, plans: Sequence[Plan], tenant: str, rows: int, report: Report
    ) -> Sent:
        with report.step("load", rows) as advance:
            sender = Sender(client, target, tenant, advance)
            for plan in plans:
                await sender.send(plan.portions(target, plan.load_id(target, tenant, self.again)))
        return sender.sent

    async def _total(self, client: Client, tenant: str, position: int) -> int:
        found = await client.ask(
            GetDataset(dataset=self.dataset), tenant=tenant, after_position=position or None, timeout_s=QUERYABLE_S
        )
        assert isinstance(found, Dataset)  # what this query is answered with
        return found.summary.records


def _client(session: Session) -> Client:
    return Client(session.settings, session.registry, content_type=AVRO_BINARY)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(str(path), error) from None
    except UnicodeDecodeError as error:
        raise BadFile(f"{path} isn't UTF-8: {error}") from None


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(str(path), error) from None


def _normal(schema: str) -> object:
    from datapunk.messages.schema import parse_text

    return parse_text(schema).normal.root
