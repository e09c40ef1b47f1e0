"""What is committed: offsets, and which writes to changelogs count. Both in one transaction, by the owner alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum, auto
from typing import TypedDict

from faust.types import TP

from faust_rabbitmq.cut import Cut
from faust_rabbitmq.database import Database
from faust_rabbitmq.errors import Fenced
from faust_rabbitmq.record import Mark

__all__ = ["Ledger", "Verdict", "Verdicts"]


class _Partitions(TypedDict):
    topics: list[str]
    partitions: list[int]


class Verdict(Enum):
    """What becomes of a write to a changelog."""

    COUNTS = auto()
    IS_VOID = auto()
    """Its writer died, or was fenced, before it committed; whoever came after has done it again."""
    IS_OPEN = auto()
    """Its writer hasn't committed it yet."""


class Verdicts:
    """Which writes count, as of when it was asked for.

    Args:
        numbers: the last that counts, by changelog and epoch.
        epochs: of the owners, by changelog.
    """

    def __init__(self, numbers: dict[tuple[TP, int], int], epochs: dict[TP, int]) -> None:
        self._numbers, self._epochs = numbers, epochs

    def of(self, changelog: TP, mark: Mark | None, own_epoch: int | None = None) -> Verdict:
        """What becomes of a write.

        Args:
            changelog: what was written to.
            mark: the write's; None: it's of a kind that always counts.
            own_epoch: of the asker, if it owns the changelog and hasn't written yet: all that isn't committed is void.
        """
        if mark is None or mark.number <= self._numbers.get((changelog, mark.epoch), 0):
            return Verdict.COUNTS
        current = self._epochs.get(changelog) if own_epoch is None else own_epoch
        return Verdict.IS_OPEN if current is None or mark.epoch >= current else Verdict.IS_VOID


class Ledger:
    """The commits of a group.

    Args:
        database: where they are.
        group: the group's name.
        member: who commits.
    """

    def __init__(self, database: Database, group: str, member: str) -> None:
        self._database, self._group, self._member = database, group, member

    async def commit(self, cut: Cut, epoch: int) -> None:
        """Commit, if all of it is still ours.

        Raises:
            Fenced: it isn't.
            psycopg.Error: the database is away; nothing was committed, or it can't be told.
        """
        held = _parted({*cut.offsets, *cut.numbers})
        async with self._database.transaction() as transaction:
            row = await transaction.row(
                "count_held_leases", group=self._group, member=self._member, epoch=epoch, **held
            )
            if row is None or row[0] != len(held["topics"]):
                raise Fenced(
                    f"{self._member} wanted to commit {len(held['topics'])} partitions under epoch {epoch}, "
                    f"but owns {row[0] if row else 0} of them: others do the rest again"
                )
            if cut.offsets:
                await transaction.run(
                    "upsert_offsets",
                    group=self._group,
                    epoch=epoch,
                    offsets=list(cut.offsets.values()),
                    **_parted(cut.offsets),
                )
            if cut.numbers:
                await transaction.run(
                    "upsert_writes",
                    group=self._group,
                    epoch=epoch,
                    numbers=list(cut.numbers.values()),
                    **_parted(cut.numbers),
                )

    async def offsets(self, tps: Collection[TP]) -> dict[TP, int]:
        """The next offset to read, of partitions of which one was committed."""
        async with self._database.transaction() as transaction:
            rows = await transaction.run("list_offsets", group=self._group, **_parted(tps))
        return {TP(topic, partition): offset for topic, partition, offset in rows}

    async def verdicts(self, changelogs: Collection[TP]) -> Verdicts:
        """Which writes to changelogs count."""
        parted = _parted(changelogs)
        async with self._database.transaction() as transaction:
            writes = await transaction.run("list_writes", group=self._group, **parted)
            leases = await transaction.run("list_lease_epochs", group=self._group, **parted)
        return Verdicts(
            {(TP(topic, partition), epoch): number for topic, partition, epoch, number in writes},
            {TP(topic, partition): epoch for topic, partition, epoch in leases},
        )


def _parted(tps: Iterable[TP]) -> _Partitions:
    listed = list(tps)
    return {"topics": [tp.topic for tp in listed], "partitions": [tp.partition for tp in listed]}
