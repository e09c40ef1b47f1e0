"""Who is in a group, and who owns what.

Members show every second or so that they live. When one comes, goes, or was silent for longer than its lease, a new
generation begins: every member gives up what it has, commits, and says that it's ready; whoever is the last to be so
computes who gets what, and writes it down together with the leases. A lease carries the generation as its epoch, and
only its holder commits: what a member does that was expelled, and doesn't know yet, has no effect.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, Protocol

import psycopg
from faust.types import TP
from psycopg.rows import TupleRow

from faust_rabbitmq.database import Database, Transaction
from faust_rabbitmq.errors import Expelled

__all__ = ["Assigned", "Assignor", "Member", "Membership"]

logger = logging.getLogger(__name__)

_BEATS_A_LEASE = 6
_LOOK_EVERY_S = 0.1  # while a generation begins


class Member(NamedTuple):
    """What a member says of itself."""

    topics: Sequence[str]
    metadata: bytes


@dataclass(frozen=True)
class Assigned:
    """What a member gets."""

    partitions: Sequence[tuple[str, Sequence[int]]]
    """All that it reads, standbys included."""
    metadata: bytes
    """What the assignor tells it beside."""
    leases: frozenset[TP] = frozenset()
    """What nobody else may own."""


class Assignor(Protocol):
    """What computes who gets what."""

    async def __call__(self, members: Mapping[str, Member]) -> Mapping[str, Assigned]:
        """An assignment for every member."""
        ...


class Reactions(Protocol):
    """What a group's member does when told."""

    async def give_up(self) -> None:
        """Stop working on all that was assigned, and commit."""
        ...

    async def take(self, assigned: Assigned, generation: int) -> None:
        """Work on what is assigned."""
        ...


class Membership:
    """One member of a group.

    Args:
        database: where the group is.
        group: its name.
        member: this member's; unique for ever.
        lease_s: how long it may be silent.
        rebalance_s: how long it may take to give up what it has.
        assign: computes an assignment.
        describe: what it says of itself now.
        reactions: what it does when told.
    """

    def __init__(
        self,
        database: Database,
        group: str,
        member: str,
        *,
        lease_s: float,
        rebalance_s: float,
        assign: Assignor,
        describe: Callable[[], Member],
        reactions: Reactions,
    ) -> None:
        self.group, self.member = group, member
        self.epoch = 0
        """The generation whose leases we have; 0: none."""
        self._database = database
        self._lease_s, self._rebalance_s = lease_s, rebalance_s
        self._assign, self._describe, self._reactions = assign, describe, reactions
        self._alive_until = 0.0
        self._ready = 0

    @property
    def is_alive(self) -> bool:
        """Whether nobody can have expelled us: while in doubt, we do nothing."""
        return monotonic() < self._alive_until

    async def join(self) -> None:
        """Become a member."""
        described = self._describe()
        began = monotonic()
        async with self._database.transaction() as transaction:
            await transaction.run("insert_group", group=self.group)
            await transaction.run("lock_group", group=self.group)
            await transaction.run(
                "insert_member",
                group=self.group,
                member=self.member,
                topics=list(described.topics),
                metadata=described.metadata,
            )
            await transaction.run("begin_generation", group=self.group)
        self._alive_until = began + self._lease_s

    async def leave(self) -> None:
        """Be no member any more, so that others needn't wait for the lease to end."""
        async with self._database.transaction() as transaction:
            await transaction.run("lock_group", group=self.group)
            if await transaction.row("delete_member", group=self.group, member=self.member):
                await transaction.run("begin_generation", group=self.group)
        self.epoch = 0

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    async def resubscribe(self) -> None:
        """Begin a generation, since what we say of ourselves has changed."""
        async with self._database.transaction() as transaction:
            await transaction.run("lock_group", group=self.group)
            await transaction.run("begin_generation", group=self.group)

    async def run(self) -> None:
        """Live in the group, until cancelled.

        Raises:
            Expelled: the group went on without us.
        """
        tasks = {asyncio.create_task(self._beat_on()), asyncio.create_task(self._step_on())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _beat_on(self) -> None:
        """Show that we live, while giving up takes its time, too."""
        while True:
            try:
                await self._beat()
            except psycopg.Error as error:
                logger.warning("The group's database is away, trying again: %s", error)
            await asyncio.sleep(self._lease_s / _BEATS_A_LEASE)

    async def _step_on(self) -> None:
        while True:
            is_settled = True
            try:
                is_settled = await self._step()
            except psycopg.Error as error:
                logger.warning("The group's database is away, trying again: %s", error)
            await asyncio.sleep(self._lease_s / _BEATS_A_LEASE if is_settled else _LOOK_EVERY_S)

    async def _beat(self) -> TupleRow:
        began = monotonic()
        async with self._database.transaction() as transaction:
            row = await transaction.row("beat", group=self.group, member=self.member)
        if row is None:
            raise Expelled(
                f"{self.member} wasn't heard of for {self._lease_s:g} s, or didn't give up its partitions within "
                f"{self._rebalance_s:g} s; group {self.group} went on without it"
            )
        self._alive_until = began + self._lease_s
        return row

    async def _step(self) -> bool:
        """Beat, and do what is due; whether nothing is awaited."""
        was_alive = self.is_alive
        generation, assigned, ready, partitions, metadata = await self._beat()
        if was_alive:  # else everybody may seem silent to us who slept, or whose database did
            generation = await self._expire() or generation
        if self._ready < generation:
            await self._reactions.give_up()
            self.epoch = 0
            await self._set_ready(generation)
            return False
        if assigned < generation:
            await self._try_to_assign()
            return False
        if self.epoch < assigned == ready:
            self.epoch = assigned
            await self._reactions.take(Assigned([(t, p) for t, p in partitions], metadata), assigned)
        return True

    async def _expire(self) -> int | None:
        async with self._database.transaction() as transaction:
            gone = await transaction.run(
                "expire_members",
                group=self.group,
                member=self.member,
                lease_s=self._lease_s,
                rebalance_s=self._rebalance_s,
            )
            if not gone:
                return None
            logger.warning("Group %s goes on without %s", self.group, ", ".join(member for (member,) in gone))
            row = await transaction.row("begin_generation", group=self.group)
            return row[0] if row else None

    async def _set_ready(self, generation: int) -> None:
        described = self._describe()
        async with self._database.transaction() as transaction:
            await transaction.run(
                "set_ready",
                group=self.group,
                member=self.member,
                generation=generation,
                topics=list(described.topics),
                metadata=described.metadata,
            )
        self._ready = generation

    async def _try_to_assign(self) -> None:
        async with self._database.transaction() as transaction:
            row = await transaction.row("lock_group", group=self.group)
            members = await transaction.run("list_members", group=self.group)
        if row is None or row[0] == row[1] or any(ready != row[0] for _, ready, _, _ in members):
            return
        assigned = await self._assign({member: Member(topics, metadata) for member, _, topics, metadata in members})
        async with self._database.transaction() as transaction:
            # Who is ready stays so until another generation begins.
            if await transaction.row("lock_group", group=self.group) == row:
                await self._write_down(transaction, assigned, row[0])

    async def _write_down(self, transaction: Transaction, assigned: Mapping[str, Assigned], generation: int) -> None:
        for member, given in assigned.items():
            await transaction.run(
                "assign_member",
                group=self.group,
                member=member,
                partitions=json.dumps([[topic, list(partitions)] for topic, partitions in given.partitions]),
                assignment=given.metadata,
            )
        leases = [(tp, member) for member, given in assigned.items() for tp in given.leases]
        await transaction.run("delete_leases", group=self.group)
        await transaction.run(
            "insert_leases",
            group=self.group,
            epoch=generation,
            topics=[tp.topic for tp, _ in leases],
            partitions=[tp.partition for tp, _ in leases],
            members=[member for _, member in leases],
        )
        await transaction.run("set_assigned", group=self.group)
