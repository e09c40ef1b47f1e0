"""What a worker has yet to commit, and its commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

import mode
import psycopg
from faust.types import TP

from faust_rabbitmq.cut import Writes
from faust_rabbitmq.ledger import Ledger
from faust_rabbitmq.record import Mark

__all__ = ["Commits"]

logger = mode.get_logger(__name__)


class Commits:
    """The commits of one owner, from an assignment to the next.

    Args:
        ledger: where they go.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.offsets: dict[TP, int] = {}
        """The next offset to read, by source, as it's committed."""
        self._ledger = ledger
        self._epoch = 0
        self._writes = Writes()
        self._wanted: dict[TP, int] = {}
        self._ends: dict[TP, int] = {}
        self._turn = asyncio.Lock()

    async def begin(self, sources: Collection[TP], epoch: int) -> None:
        """Commit under this epoch from now on, and learn where others left these sources."""
        self.end()
        self._epoch = epoch
        self.offsets = await self._ledger.offsets(sources)

    def end(self) -> None:
        """Commit no more."""
        self._writes.clear()
        self._wanted.clear()
        self._ends.clear()
        self.offsets = {}

    @property
    def uncommitted_writes(self) -> int:
        """How many writes to changelogs aren't committed."""
        return self._writes.uncommitted

    def want(self, offsets: Mapping[TP, int]) -> None:
        """Commit these when it's possible."""
        self._wanted.update(offsets)

    async def commit(self) -> bool:
        """Commit what is possible; whether the database took it.

        Raises:
            Fenced: we don't own it any more.
        """
        async with self._turn:
            cut = self._writes.cut(self._wanted, self.offsets)
            if not cut.offsets and not cut.numbers:
                return True
            try:
                await self._ledger.commit(cut, self._epoch)
            except psycopg.Error as error:  # if it did take it, it takes the same again
                logger.warning("Couldn't commit, trying again: %s", error)
                return False
            self.offsets.update(cut.offsets)
            self._writes.committed(cut.numbers)
            return True

    def number(self, changelog: TP, source: TP | None, offset: int) -> tuple[Mark, Callable[[], int]]:
        """The mark of a write, and what to call when it's stored, for an offset that its own isn't before.

        Args:
            changelog: what is written to.
            source: where the event that caused it came from; None: no event did.
            offset: of this event.
        """
        write = self._writes.add(changelog, source, offset)

        def stored() -> int:
            write.is_stored = True
            end = self._ends.get(changelog, 0)
            self._ends[changelog] = end + 1
            return end

        return Mark(self._epoch, write.number), stored

    def begins_at(self, changelog: TP, end: int) -> None:
        """Learn where a changelog ended before we wrote to it."""
        self._ends[changelog] = end
