"""A pipeline's operators, one after the other, and the ids of what comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast
from uuid import UUID, uuid5

from pipelines.stream.operators.event_time import TimeOf, Watermarks
from pipelines.stream.operators.record import Batch, Failed, Late, Operator, Record, Sides

MAIN = "main"  # the name of a pipeline's own source; joins give theirs to what they join
NAMESPACE = UUID("5f0f1f0e-6a58-5a35-9d0a-0d3c8b1d8b52")


class Join(Operator, Protocol):
    """A step that has an input of its own."""

    def absorb(self, batch: Batch, sides: Sides) -> list[Record]:
        """Handle a batch of that input; what comes of it goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Output:
    """A record that left a pipeline.

    Attributes:
        id: the same whenever the same input is processed again, by any process, in batches of any size.
        record: itself.
    """

    id: UUID
    record: Record


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a batch brought out, each with an id of its own."""

    results: list[Output]
    late: list[tuple[UUID, Late]]
    failed: list[tuple[UUID, Failed]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where outputs are from: their ids depend on it.

    Attributes:
        pipeline: its id.
        version: of its definition.
        partition: of its input.
    """

    pipeline: str
    version: int
    partition: int


class Stopped(Exception):
    """A record failed, and its pipeline is told to stop at that.

    Attributes:
        failed: the record, and why.
    """

    def __init__(self, failed: Failed) -> None:
        super().__init__(f"step {failed.step}, offset {failed.record.offset}: {failed.reason}")
        self.failed = failed


class Chain:
    """All of a pipeline in one partition. It does no I/O: who feeds it commits state, outputs and offsets together.

    Args:
        origin: for ids.
        watermarks: of its inputs.
        times: how to read a record's time, by input; where none is given, records bring theirs.
        operators: its steps.
        joins: by the name of an input, the number of the step that takes it.
        stops: raise at the first record that fails, and write nothing.
    """

    def __init__(
        self,
        origin: Origin,
        watermarks: Watermarks,
        times: Mapping[str, TimeOf | None],
        operators: Sequence[Operator],
        joins: Mapping[str, int],
        *,
        stops: bool = False,
    ) -> None:
        self._origin, self._watermarks, self._times = origin, watermarks, times
        self._operators, self._joins = operators, joins
        self._stops = stops

    @property
    def watermark(self) -> int:
        """No record older than this is expected, in µs."""
        return self._watermarks.watermark

    def process(self, records: Iterable[Record], input: str = MAIN) -> Outputs:
        """Handle consecutive records of one input.

        Raises:
            Stopped: if one failed, and it's told to stop; make a new chain from the state to go on.
        """
        sides = Sides()
        batch = self._watermarks.stamp(input, records, self._times.get(input), sides)
        step = self._joins.get(input)
        made = self._through(batch, sides) if step is None else self._from_the_side(batch, step, sides)
        return self._settle(made, sides, input)

    def fill(self, records: Iterable[Record], input: str) -> Outputs:
        """Take rows of a table in: they have no part in event time."""
        sides = Sides()
        cast(Join, self._operators[self._joins[input]]).absorb(Batch(list(records)), sides)
        return self._settle([], sides, input)

    def advance(self, watermark: int, offset: int, input: str = MAIN) -> Outputs:
        """An input says that it's complete up to there: it's idle, or it ended (`END`)."""
        sides = Sides()
        batch = self._watermarks.advance(input, watermark, offset)
        return self._settle(self._through(batch, sides), sides, input)

    def _through(self, batch: Batch, sides: Sides) -> list[Record]:
        for operator in self._operators:
            batch = operator.process(batch, sides)
        return batch.records

    def _from_the_side(self, batch: Batch, step: int, sides: Sides) -> list[Record]:
        """A join takes the records; windows before it see the watermark move, and let results out to it."""
        made: list[Record] = []
        for piece in _pieces(batch):
            current = piece.followed_by([])
            for operator in self._operators[:step]:
                current = operator.process(current, sides)
            delay = piece.before - current.before  # of the pipeline's records on their way here
            arrived = [
                Record(each.key, each.value, each.time, each.offset, each.watermark - delay) for each in piece.records
            ]
            join = cast(Join, self._operators[step])
            pairs = join.absorb(Batch(arrived, current.before, current.moves), sides)
            current = join.process(current, sides)
            current.records = pairs + current.records
            for operator in self._operators[step + 1 :]:
                current = operator.process(current, sides)
            made += current.records
        return made

    def _settle(self, records: list[Record], sides: Sides, input: str) -> Outputs:
        if self._stops and sides.failed:
            raise Stopped(sides.failed[0])
        for operator in self._operators:
            operator.flush()
        self._watermarks.flush()
        return self._named(records, sides, input)

    def _named(self, records: Iterable[Record], sides: Sides, input: str) -> Outputs:
        counts: defaultdict[tuple[str, int, str], int] = defaultdict(int)
        origin = f"{self._origin.pipeline}/{self._origin.version}/{input}/{self._origin.partition}"

        def name(kind: str, record: Record) -> UUID:
            place = (kind, record.offset, record.part)
            number = counts[place]
            counts[place] = number + 1
            return uuid5(NAMESPACE, f"{origin}/{kind}/{record.offset}/{record.part}/{number}")

        return Outputs(
            [Output(name("result", record), record) for record in records],
            [(name(f"late/{late.step}", late.record), late) for late in sides.late],
            [(name(f"failed/{failed.step}", failed.record), failed) for failed in sides.failed],
        )


def _pieces(batch: Batch) -> Iterator[Batch]:
    """The batch cut behind each record that moves the watermark: what follows from the move comes after it."""
    before, records = batch.before, list[Record]()
    moves = iter(batch.moves)
    move = next(moves, None)
    for record in batch.records:
        records.append(record)
        if move is not None and record.offset == move[1]:
            yield Batch(records, before, [move])
            before, records = move[0], []
            move = next(moves, None)
    if records:
        yield Batch(records, before)
