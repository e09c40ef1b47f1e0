"""The inbox against a dictionary: a command counts once, for as long as it's remembered, and is answered as before."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from datapunk.actor_cache import ActorCache
from datapunk.broker.deliveries import Delivery
from datapunk.broker.properties import Properties
from datapunk.errors import ConnectionLost
from datapunk.incoming import Incoming, Intake
from datapunk.messages.outcome import Outcome, Status
from datapunk.settings import load_settings
from datapunk.settling import Settler
from datapunk.store.connection import connect
from datapunk.store.inbox import prune
from datapunk.store.leases import Fence
from tests.accounts.module import accounts
from tests.events import OWNER, REGISTRY
from tests.state_machine import MachineOnServers, run_on_servers

TENANTS, ACCOUNTS = ("ours", "theirs"), ("a", "b")
IDS = [UUID(int=number) for number in range(1, 5)]  # of either tenant
DAY = timedelta(days=1)
REUSED = "command_id_reused"


@dataclass(frozen=True)
class Sent:
    """A deposit, under an id of its tenant's."""

    key: tuple[str, UUID]
    account: str
    cents: int  # less than none is rejected


keys = st.tuples(st.sampled_from(TENANTS), st.sampled_from(IDS))
one_sent = st.builds(Sent, keys, st.sampled_from(ACCOUNTS), st.integers(-1, 1))
batches = st.lists(one_sent, min_size=1, max_size=6)


class Remembered(MachineOnServers):
    """What is in the inbox, and what comes of a batch, is as in the dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.conn = self.run(connect(self.settings.database_url))
        self.known: dict[tuple[str, UUID], tuple[Sent, Outcome]] = {}
        self.aged: set[tuple[str, UUID]] = set()
        self.versions: Counter[tuple[str, str]] = Counter()  # of accounts
        self.crash_at = ""
        self.settler = self.a_process()

    def a_process(self) -> Settler:
        """One that remembers nothing itself."""
        return Settler(
            "accounts",
            REGISTRY,
            ActorCache(accounts, REGISTRY, capacity=10, snapshot_every=3),
            connect=lambda: connect(self.settings.database_url, writer=True),
            shard_of=lambda incoming: 0,
            fence_of=lambda shards: Fence("accounts.shards", OWNER),
            owner=OWNER,
            at=self._at,
        )

    def _at(self, point: str) -> None:
        if point == self.crash_at:
            raise ConnectionLost("as told")

    @initialize()
    def begin(self) -> None:
        self.run(self.conn.execute("truncate events, streams, inbox, outbox, snapshots"))  # type: ignore[arg-type]

    @rule(batch=batches)
    def settle(self, batch: list[Sent]) -> None:
        commands = [self._incoming(sent) for sent in batch]
        for sent, said in zip(batch, self._outcomes(commands), strict=True):
            self._check(sent, said)

    @rule(batch=batches, point=st.sampled_from(["before_commit", "after_commit"]))
    def crash(self, batch: list[Sent], point: str) -> None:
        """Then it's delivered again, to another process."""
        self.crash_at = point
        with suppress(ConnectionLost):  # what is all in the inbox commits nothing
            self.run(self.settler.settle([self._incoming(sent) for sent in batch]))
        self.crash_at = ""
        self.run(self.settler.close())
        self.settler = self.a_process()
        self.settle(batch)

    @precondition(lambda self: self.known)
    @rule(times=st.integers(1, 3), which=st.integers(0, 99))
    def send_again(self, times: int, which: int) -> None:
        sent, _ = list(self.known.values())[which % len(self.known)]
        self.settle([sent] * times)

    @precondition(lambda self: self.known)
    @rule(which=st.sets(st.integers(0, 7)), is_pruned=st.booleans())
    def grow_old(self, which: set[int], is_pruned: bool) -> None:
        keys = sorted(self.known)
        for tenant, id in {keys[number % len(keys)] for number in which}:
            aging = "update inbox set at = at - interval '2 days' where tenant = %s and id = %s"
            self.run(self.conn.execute(aging, (tenant, id)))
            self.aged.add((tenant, id))
        if is_pruned:
            assert self.run(prune(self.conn, DAY)) == len(self.aged)
            for key in self.aged:  # from now on it's a new command
                del self.known[key]
            self.aged.clear()

    @invariant()
    def the_inbox_is_the_dictionary(self) -> None:
        cursor = self.run(self.conn.execute("select tenant, id, stream, last_version from inbox"))
        rows = {(row[0], row[1]): row[2:] for row in self.run(cursor.fetchall())}
        assert rows == {
            key: (f"accounts.account/{sent.account}", reply.version if reply.status is Status.Accepted else None)
            for key, (sent, reply) in self.known.items()
        }

    @invariant()
    def each_command_had_its_effect_once(self) -> None:
        counted = "select tenant, split_part(stream, '/', 2), count(*) from events group by 1, 2"
        rows = self.run(self.run(self.conn.execute(counted)).fetchall())
        assert {(row[0], row[1]): row[2] for row in rows} == dict(+self.versions)

    def _check(self, sent: Sent, said: Outcome | str) -> None:
        """What is said of a command is what the dictionary says, or what a new one leads to."""
        if sent.key in self.known:
            before, reply = self.known[sent.key]
            assert said == (reply if before == sent else REUSED)
            return
        self.versions[sent.key[0], sent.account] += sent.cents >= 0
        version = self.versions[sent.key[0], sent.account]
        assert isinstance(said, Outcome), said
        assert (said.status, said.version) == (Status.Rejected if sent.cents < 0 else Status.Accepted, version)
        self.known[sent.key] = (sent, said)

    def _incoming(self, sent: Sent) -> Incoming:
        properties = Properties(
            type="accounts.Deposit",
            message_id=str(sent.key[1]),
            content_type="application/avro+json",
            headers={"actor-id": sent.account, "tenant": sent.key[0]},
        )
        channel = cast(Any, None)  # nobody acknowledges it
        body = b'{"cents":%d}' % sent.cents
        delivery = Delivery(channel, "0", 1, False, "accounts.commands", "accounts.Deposit", properties, body)
        incoming = Intake(accounts, REGISTRY, self.settings).read(delivery, datetime.now(UTC))
        assert isinstance(incoming, Incoming)
        return incoming

    def _outcomes(self, commands: list[Incoming]) -> list[Outcome | str]:
        """A reply for each, or the code under which it was refused."""
        said: dict[int, Outcome | str] = {}
        for committed in self.run(self.settler.settle(commands)):
            said |= {id(reply.command.delivery): reply.outcome for reply in committed.decided.replies}
            said |= {id(refused.delivery): refused.code for refused in committed.decided.refused}
        return [said[id(incoming.delivery)] for incoming in commands]

    def teardown(self) -> None:
        self.run(self.settler.close())
        self.run(self.conn.close())


def test_the_inbox_does_what_its_model_does(database_url: str) -> None:
    settings = load_settings().model_copy(update={"database_url": database_url})
    run_on_servers(Remembered, settings, usually=20, steps=15)
