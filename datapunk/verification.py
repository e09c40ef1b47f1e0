"""Checks a whole store: that history has no gaps, can be read, and that what is derived from it agrees.

Every event is read once, stream by stream. Each stream's events are chained by SHA-256; the hash of all of
history is the sum of the streams' (modulo 2^256), so that it doesn't depend on the order in which they're read.
Two stores hold the same history, positions and all, exactly if the hashes are equal.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.actor import Actor
from datapunk.errors import MessageError, SchemaError
from datapunk.messages.codec import AVRO_BINARY, Codec, codec_of_text
from datapunk.messages.message import Event
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.state import state_codec
from datapunk.store.canonical import canonical, one_moment
from datapunk.store.events import RecordedEvent, SnapshotData
from datapunk.store.read import MAX_BYTES
from datapunk.store.statements import statement

EVENTS_AT_ONCE = 5000  # fetched from the server; fewer where they'd have more than `MAX_BYTES`
SNAPSHOTS_AT_ONCE = 100
SAMPLE = 10  # of so many snapshots one is compared with a replay
PROGRESS_EVERY = 1000  # events

_MODULUS = 1 << 256


class Problem(StrEnum):
    """What can be wrong."""

    VERSION_GAP = "version_gap"
    HEAD_DIFFERS = "head_differs"
    POSITION_ORDER = "position_order"
    POSITION_TWICE = "position_twice"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNDECODABLE = "undecodable"
    NOT_APPLIED = "not_applied"
    SNAPSHOT_DIFFERS = "snapshot_differs"
    SNAPSHOT_BEYOND = "snapshot_beyond"
    COMMAND_WITHOUT_EVENTS = "command_without_events"
    UNPUBLISHED_WITHOUT_EVENT = "unpublished_without_event"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, where, and how."""

    problem: Problem
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class StreamHash:
    """One actor's history: the last link of its chain stands for all of it."""

    tenant: str
    stream: str
    version: int
    sha256: str


@dataclass(slots=True)
class Report:
    """What was looked at.

    Attributes:
        events: how many.
        streams: how many actors they happened to.
        snapshots: how many were compared with a replay.
        skipped_snapshots: how many were not: outside the sample, of another shape, or of a module that isn't here.
        commands: records of processed commands.
        findings: how many things are wrong.
        sha256: of all of history.
    """

    events: int = 0
    streams: int = 0
    snapshots: int = 0
    skipped_snapshots: int = 0
    commands: int = 0
    findings: int = 0
    sha256: str = ""


class Verifier:
    """Checks one store.

    Args:
        conn: in autocommit; nothing is written.
        registry: decodes events of installed modules; their schemas alone do for others.
        modules: which are installed.
        every_snapshot: compare each with a replay, instead of one in `SAMPLE`.
        on_finding: told at once what is wrong.
        on_stream: told the hash of each stream.
        on_progress: told how far it is, in events.
    """

    def __init__(
        self,
        conn: AsyncConnection[Any],
        registry: Registry,
        modules: Collection[Module],
        *,
        every_snapshot: bool = False,
        on_finding: Callable[[Finding], None],
        on_stream: Callable[[StreamHash], None] = lambda stream: None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._conn = conn
        self._registry = registry
        self._actors = {f"{module.name}.{actor.kind}": actor for module in modules for actor in module.actors}
        self._every_snapshot = every_snapshot
        self._on_finding = on_finding
        self._on_stream = on_stream
        self._on_progress = on_progress
        self._report = Report()
        self._codecs: dict[str, Codec[Any] | None] = {}
        self._texts: dict[str, str] = {}
        self._sum = 0
        self._total = 0

    async def verify(self) -> Report:
        """Look at everything, as it was at one moment."""
        conn = self._conn
        async with one_moment(conn):
            cursor = await conn.execute(statement("count_history"))
            row = await cursor.fetchone()
            assert row is not None  # counts
            self._total, self._report.commands = row
            cursor = await conn.execute("select fingerprint, text from schemas")
            self._texts = dict(await cursor.fetchall())
            await self._check_streams()
            await self._check_rows("verify_streams", Problem.HEAD_DIFFERS)
            await self._check_rows("verify_positions", Problem.POSITION_TWICE)
            await self._check_rows("verify_snapshots", Problem.SNAPSHOT_BEYOND)
            await self._check_rows("verify_inbox", Problem.COMMAND_WITHOUT_EVENTS)
            await self._check_rows("verify_outbox", Problem.UNPUBLISHED_WITHOUT_EVENT)
        self._on_progress(self._total, self._total)
        self._report.sha256 = f"{self._sum:064x}"
        return self._report

    async def _check_rows(self, name: str, problem: Problem) -> None:
        """Statements that find what is wrong by themselves: a row each, of where and how."""
        async for where, detail in self._rows(name):
            self._find(problem, where, detail)

    async def _check_streams(self) -> None:
        snapshots = self._snapshots()
        try:
            snapshot = await anext(snapshots, None)
            stream: _Stream | None = None
            async for event in self._events():
                if stream is None or (stream.tenant, stream.name) != (event.tenant, event.stream):
                    self._end(stream)
                    stream = self._begin(event)
                    if snapshot is not None and (snapshot.tenant, snapshot.stream) == (stream.tenant, stream.name):
                        stream.expect(snapshot, is_compared=self._is_in_sample(snapshot))
                        snapshot = await anext(snapshots, None)
                self._check(stream, event)
                self._report.events += 1
                if self._report.events % PROGRESS_EVERY == 0:
                    self._on_progress(self._report.events, self._total)
            self._end(stream)
        finally:
            await snapshots.aclose()

    def _begin(self, event: RecordedEvent) -> _Stream:
        kind, _, id = event.stream.partition("/")
        return _Stream(event.tenant, event.stream, self._actors.get(kind), id)

    def _end(self, stream: _Stream | None) -> None:
        if stream is None:
            return
        self._report.streams += 1
        self._sum = (self._sum + int.from_bytes(stream.link)) % _MODULUS
        self._on_stream(StreamHash(stream.tenant, stream.name, stream.version, stream.link.hex()))
        if stream.snapshot is not None:
            self._report.skipped_snapshots += 1

    def _check(self, stream: _Stream, event: RecordedEvent) -> None:
        where = f"{event.stream} version {event.version} (tenant {event.tenant}, position {event.position})"
        if event.version != stream.version + 1:
            self._find(Problem.VERSION_GAP, where, f"version {stream.version + 1} should come here")
        if event.position <= stream.position:
            self._find(Problem.POSITION_ORDER, where, f"the version before it is at position {stream.position}")
        stream.version, stream.position = event.version, event.position
        stream.link = hashlib.sha256(stream.link + canonical(event)).digest()
        message = self._decode(event, where)
        if stream.actor is None:
            return
        if not isinstance(message, Event):
            stream.actor = None  # from here on its state isn't known
            return
        try:
            stream.actor.apply(message)
        except Exception as error:  # a module's code
            self._find(Problem.NOT_APPLIED, where, f"{type(stream.actor).__name__} fails on it: {error!r}")
            stream.actor = None
            return
        if stream.snapshot is not None and stream.snapshot.version == event.version:
            self._compare(stream, stream.actor, stream.snapshot)

    def _decode(self, event: RecordedEvent, where: str) -> object:
        """The event, or none if it can't be read."""
        try:
            if event.type in self._registry.current:
                return self._registry.decode(event.type, event.data, AVRO_BINARY, event.schema)
            if event.schema not in self._codecs:
                text = self._texts.get(event.schema)
                self._codecs[event.schema] = None if text is None else codec_of_text(text)
            codec = self._codecs[event.schema]
            if codec is not None:
                return codec.decode_binary(event.data)
            self._find(Problem.UNKNOWN_SCHEMA, where, f"{event.type} with schema {event.schema}, which isn't kept")
        except (MessageError, SchemaError) as error:
            is_unknown = error.code == "unknown_schema"
            self._find(Problem.UNKNOWN_SCHEMA if is_unknown else Problem.UNDECODABLE, where, str(error))
        return None

    def _compare(self, stream: _Stream, actor: Actor, snapshot: SnapshotData) -> None:
        codec = state_codec(type(actor))
        if snapshot.state_version != codec.version:
            return  # of another shape: it's counted as skipped, as the engine skips it
        stream.snapshot = None
        self._report.snapshots += 1
        where = f"snapshot of {stream.name} version {snapshot.version} (tenant {stream.tenant})"
        restored = type(actor)(actor.id)
        try:
            codec.restore(restored, snapshot.state, snapshot.version)
        except msgspec.DecodeError as error:
            self._find(Problem.SNAPSHOT_DIFFERS, where, f"it can't be read: {error}")
            return
        differing = [name for name in actor.state_fields if getattr(actor, name) != getattr(restored, name)]
        if differing:
            self._find(Problem.SNAPSHOT_DIFFERS, where, f"a replay has another {', '.join(differing)}")

    def _is_in_sample(self, snapshot: SnapshotData) -> bool:
        name = f"{snapshot.tenant}\0{snapshot.stream}".encode()
        return self._every_snapshot or zlib.crc32(name) % SAMPLE == 0

    def _find(self, problem: Problem, where: str, detail: str) -> None:
        self._report.findings += 1
        self._on_finding(Finding(problem, where, detail))

    async def _events(self) -> AsyncGenerator[RecordedEvent]:
        """Page by page: a cursor of the server knows no limit in bytes, and events may be large."""
        page = {"tenant": "", "stream": "", "version": -1, "limit": EVENTS_AT_ONCE, "bytes": MAX_BYTES}
        while True:
            async with self._conn.cursor(row_factory=args_row(RecordedEvent), binary=True) as cursor:
                await cursor.execute(statement("verify_events"), page, prepare=False)  # planned for these values
                events = await cursor.fetchall()
            if not events:
                return
            for event in events:
                yield event
            last = events[-1]
            page |= {"tenant": last.tenant, "stream": last.stream, "version": last.version}

    async def _snapshots(self) -> AsyncGenerator[SnapshotData]:
        """In the order of the streams."""
        async with self._conn.cursor(name="snapshots", row_factory=args_row(SnapshotData)) as cursor:
            cursor.itersize = SNAPSHOTS_AT_ONCE
            await cursor.execute(statement("verify_snapshots_in_order"), binary=True)
            async for snapshot in cursor:
                yield snapshot

    async def _rows(self, name: str) -> AsyncGenerator[Sequence[Any]]:
        async with self._conn.cursor(name=name) as cursor:
            await cursor.execute(statement(name))
            async for row in cursor:
                yield row


class _Stream:
    """One actor's history so far.

    Attributes:
        link: the last of the chain.
        actor: with the state that follows from the events; none if that isn't known or isn't needed.
        snapshot: to be compared when its version is reached.
    """

    def __init__(self, tenant: str, name: str, kind: type[Actor] | None, id: str) -> None:
        self.tenant = tenant
        self.name = name
        self.link = hashlib.sha256(f"{tenant}\0{name}".encode()).digest()
        self.version = self.position = 0
        self._kind, self._id = kind, id
        self.actor: Actor | None = None
        self.snapshot: SnapshotData | None = None

    def expect(self, snapshot: SnapshotData, *, is_compared: bool) -> None:
        """A snapshot comes with this stream."""
        self.snapshot = snapshot
        if is_compared and self._kind is not None:
            self.actor = self._kind(self._id)
