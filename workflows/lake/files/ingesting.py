"""What the activities of an ingestion do: open a file once a worker, look through it, send parts of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import msgspec
from temporalio import activity
from temporalio.exceptions import ApplicationError

from datapunk.client import Client
from datapunk.errors import BrokerError, DatapunkError
from datapunk.messages.codec import AVRO_BINARY
from datapunk.temporal import Platform
from schemas.lake.events import IngestionRequested
from schemas.lake.types import FileFormat, FileOptions
from workflows.lake.files.chunks import Chunk, Reject
from workflows.lake.files.datasets import create_dataset, find_dataset, inferred_schema, target_of
from workflows.lake.files.errors import BadFile, FileChanged
from workflows.lake.files.letters import Origin, set_aside, set_aside_again, text_of
from workflows.lake.files.permission import check_source, fetch
from workflows.lake.files.plan import Options, Plan
from workflows.lake.files.reading import Format
from workflows.lake.files.records import Target
from workflows.lake.files.rejects import Rejects, most_bad
from workflows.lake.files.sending import Sender
from workflows.lake.files.sources import Fetch, opened
from workflows.lake.ingest_file import Done, Prepared, Request
from workflows.lake.settings import LakeSettings

CHUNKS = 4  # of a part, 16 MiB of text
MOST_CHUNKS = 20_000  # of a file, 80 GB of text: their places must fit into a workflow
BEAT_S = 3.0  # between two signs of life
KEPT = 2  # files that stay open though nobody uses them
SHOWN = 100  # rejects that are kept in the ingestion's history
SHOWN_OF_ROW = 1_000  # characters


class Ingesting:
    """Opens files that are allowed, and keeps the latest open: what was unpacked needn't be unpacked for each part.

    Args:
        platform: where rows are sent.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._allowed = LakeSettings()
        self._shelf = _Shelf(partial(fetch, allowed_networks=self._allowed.allowed_networks))

    async def look_through(self, request: Request) -> Prepared:
        """Check every row, and create the dataset if it isn't there.

        Raises:
            ApplicationError: not to be tried again, if the file can't be loaded as it is.
            BrokerError: if nobody answers; to be tried again.
        """
        requested, tenant = request.requested, request.tenant
        async with self._working(request) as (client, plan), self._rejects(request, plan) as rejects:
            if len(plan.chunks) > MOST_CHUNKS:
                raise BadFile(f"{requested.source} has more than {MOST_CHUNKS:,} chunks: split it")
            found = await find_dataset(client, requested.dataset, tenant)
            if found is None:
                target = await asyncio.to_thread(_new_target, requested, plan)
            else:
                target = target_of(found)
            await asyncio.to_thread(plan.check, target, rejects, lambda _: None)
            try:
                rejects.check(most_bad(requested.options.max_bad, plan.rows), plan.rows)
            except BadFile as error:
                raise _final(error, rejects.first) from None
            if found is None:
                await create_dataset(client, target, tenant)
            origin = Origin(request.ingestion, tenant, target, plan, _reading(requested.options))
            await set_aside(client, origin, rejects)
        chunks = [[chunk.start, chunk.end, chunk.first, chunk.rows] for chunk in plan.chunks]
        parts = [chunks[start : start + CHUNKS] for start in range(0, len(chunks), CHUNKS)]
        return Prepared(
            target.schema,
            target.key,
            target.partitions,
            list(target.indexes),
            plan.digest,
            plan.rows,
            rejects.count,
            _json(rejects.first),
            parts,
        )

    async def load_part(self, request: Request, prepared: Prepared, chunks: Sequence[Sequence[int]]) -> Done:
        """Send some chunks; those of an earlier attempt that arrived have no second effect.

        Raises:
            ApplicationError: not to be tried again, if the file changed, or Lake refuses its rows.
            BrokerError: if nobody answers; to be tried again.
        """
        requested, tenant = request.requested, request.tenant
        indexes = tuple(prepared.indexes)
        target = Target(requested.dataset, prepared.schema, prepared.key, prepared.partitions, indexes)
        async with self._working(request) as (client, plan):
            if plan.digest != prepared.digest:
                raise FileChanged(f"{requested.source} isn't what it was when it was looked through")
            load = plan.load_id(target, tenant, requested.options.again)
            portions = plan.portions(target, load, [Chunk(*each) for each in chunks])
            sent = await Sender(client, target, tenant, lambda _: None).send(portions)
        return Done(sent.rows, sent.position)

    @asynccontextmanager
    async def _working(self, request: Request) -> AsyncIterator[tuple[Client, Plan]]:
        """While the block runs: signs of life, a client, and the file."""
        client = Client(self._platform.settings, self._platform.registry, content_type=AVRO_BINARY)
        async with _alive(), client:
            try:
                async with self._open(request.requested) as plan:
                    yield client, plan
            except (DatapunkError, ApplicationError) as error:
                if request.requested.rows and not isinstance(error, BrokerError):
                    await set_aside_again(client, request.requested, request.ingestion, request.tenant, str(error))
                raise

    @asynccontextmanager
    async def _rejects(self, request: Request, plan: Plan) -> AsyncIterator[Rejects]:
        """Where bad rows go: a file for people, or else one for as long as the block."""
        rows, folder = request.requested.rows, self._allowed.rejects
        numbers = [row.row for row in rows] if len(rows) == plan.rows else None
        if folder is not None:
            name = f"{quote(request.tenant, safe='')}.{quote(request.ingestion, safe='')}.rejects.jsonl"
            with Rejects(folder / name, SHOWN, numbers=numbers) as rejects:
                yield rejects
            return
        with (
            TemporaryDirectory(prefix="datapunk-", ignore_cleanup_errors=True) as spool,
            Rejects(Path(spool, "rejects.jsonl"), SHOWN, is_shown=False, numbers=numbers) as rejects,
        ):
            yield rejects

    @asynccontextmanager
    async def _open(self, requested: IngestionRequested) -> AsyncIterator[Plan]:
        if requested.rows:
            book = await asyncio.to_thread(_opened_rows, requested)
            with book.stack:
                yield book.plan
            return
        source = check_source(requested.source, self._allowed)
        book = await self._shelf.take(source, _reading(requested.options))
        try:
            yield book.plan
        finally:
            await self._shelf.give_back(book)


@asynccontextmanager
async def _alive() -> AsyncIterator[None]:
    """Tell Temporal that this worker lives; what another attempt wouldn't change is told as such."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT_S)

    beating = asyncio.create_task(beat())
    try:
        yield
    except BrokerError:
        raise
    except DatapunkError as error:
        raise _final(error, []) from error
    finally:
        beating.cancel()


def _final(error: DatapunkError, rejects: Sequence[Reject]) -> ApplicationError:
    return ApplicationError(str(error), _json(rejects), type=error.code, non_retryable=True)


def _json(rejects: Sequence[Reject]) -> str:
    """For people, in a history that bears no long rows."""
    cut = [msgspec.structs.replace(each, original=each.original[:SHOWN_OF_ROW], raw=None) for each in rejects]
    return msgspec.json.encode(cut).decode()


def _new_target(requested: IngestionRequested, plan: Plan) -> Target:
    options = requested.options
    schema = options.schema or inferred_schema(
        requested.dataset, [plan], _reading(options), options.key, lambda _: None
    )
    return Target(requested.dataset, schema, options.key, options.partitions, tuple(options.indexes))


def _reading(options: FileOptions) -> Options:
    return Options(
        None if options.format is FileFormat.AUTO else Format(options.format.value.lower()),
        options.delimiter,
        options.has_quotes,
        options.encoding,
        tuple(options.nulls),
        tuple(options.ignored),
    )


@dataclass
class _Book:
    source: str
    options: Options
    plan: Plan
    stack: ExitStack
    readers: int = 0


class _Shelf:
    """Files that are open, and for how many.

    Args:
        fetch: how URLs are read.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._books: list[_Book] = []
        self._opening = asyncio.Lock()

    async def take(self, source: str, options: Options) -> _Book:
        """A file, opened if it isn't, or if it isn't any more what it was.

        Raises:
            BadFile: if it can't be opened.
        """
        async with self._opening:  # one at a time: two parts of a file begin together
            for book in self._books:
                if (book.source, book.options) == (source, options) and _is_unchanged(book):
                    book.readers += 1
                    return book
            book = await asyncio.to_thread(_opened, source, options, self._fetch)
            book.readers = 1
            self._books.append(book)
            return book

    async def give_back(self, book: _Book) -> None:
        """It's read no more; the oldest that nobody reads are closed."""
        book.readers -= 1
        idle = [each for each in self._books if not each.readers]
        for each in idle[: max(0, len(idle) - KEPT)]:
            self._books.remove(each)
            await asyncio.to_thread(each.stack.close)


def _opened_rows(requested: IngestionRequested) -> _Book:
    """Rows that came with the request, as a file."""
    with ExitStack() as stack:
        spool = stack.enter_context(TemporaryDirectory(prefix="datapunk-", ignore_cleanup_errors=True))
        path, options = Path(spool, "rows"), _reading(requested.options)
        path.write_bytes(text_of(requested.header, requested.rows))
        file = dataclasses.replace(stack.enter_context(opened(str(path))), name=requested.source)
        return _Book(requested.source, options, Plan.of(file, options), stack.pop_all())


def _opened(source: str, options: Options, fetch: Fetch) -> _Book:
    stack = ExitStack()
    try:
        file = stack.enter_context(opened(source, options.encoding, fetch))
        return _Book(source, options, Plan.of(file, options), stack)
    except BaseException:
        stack.close()
        raise


def _is_unchanged(book: _Book) -> bool:
    try:
        book.plan.file.check_unchanged()
    except FileChanged:
        return False
    return True
