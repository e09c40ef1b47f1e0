"""Shards against a model in memory: whatever is sent, whoever owns them, whatever breaks.

Commands pile up while nobody works; `let it work` waits for all of them, and compares everything that anybody can
see with the model: replies, dead letters, stored and published events.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

import datapunk.shard
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.outcome import Outcome, Status
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import read_stream
from datapunk.worker import prepare
from tests.accounts.events import AccountOpened, Deposited
from tests.accounts.module import accounts
from tests.events import REGISTRY
from tests.owning import SHARDED, Owner
from tests.raw import PATIENCE_S, RawClient, raw_client
from tests.state_machine import MachineOnServers, run_on_servers
from tests.working import eventually

ACCOUNTS = ("a", "b", "c")
POINTS = (
    *("before_commit", "after_commit", "after_publish", "after_confirm", "before_ack"),
    *("epoch_begun", "after_recovery", "handing_over", "handed_over"),
)
OPEN, DEPOSIT, MISBEHAVE = "accounts.OpenAccount", "accounts.Deposit", "accounts.Misbehave"
ACCIDENTS: dict[str, Callable[[Owner, Any], Coroutine[Any, Any, None]]] = {
    "killed": lambda owner, conn: owner.kill(conn),
    "taken for dead": lambda owner, conn: owner.count_as_dead(conn),  # and works on for a while
    "cut from the broker": lambda owner, conn: owner.cut(owner.broker),
    "cut from the database": lambda owner, conn: owner.cut(owner.database),
}
# What to send, and what is wrong with it, if the actor isn't even asked, or fails.
GOOD = [(OPEN, b'{"owner":"Ada"}'), (DEPOSIT, b'{"cents":1}'), (DEPOSIT, b'{"cents":7}'), (DEPOSIT, b'{"cents":-1}')]
BAD = {
    (DEPOSIT, b"\x00?"): "undecodable",
    (DEPOSIT, b'{"cents":"one"}'): "undecodable",
    (MISBEHAVE, b'{"how":"decide"}'): "handler_failed",
    (MISBEHAVE, b'{"how":"apply"}'): "handler_failed",
}

owners = st.sampled_from([0, 1])
accounts_ = st.sampled_from(ACCOUNTS)
bodies = st.lists(st.sampled_from([*GOOD, *BAD]), min_size=1, max_size=4)
Said = tuple[Status, str, int]  # status, code, version


@dataclass
class Sent:
    """One message, under a correlation id of its own, by which its reply is known."""

    id: str
    account: str
    type: str
    body: bytes
    expected: Said
    replies: list[Outcome] = field(default_factory=list[Outcome])


@dataclass
class Account:
    """What an account should be."""

    owner: str | None = None
    balance: int = 0
    events: list[tuple[str, AccountOpened | Deposited]] = field(default_factory=list[Any])  # causation, event

    def decide(self, id: str, type: str, body: bytes) -> Said:
        """As the actor should."""
        command: Any = REGISTRY.decode(type, body, "application/avro+json", None)
        if type == OPEN:
            if self.owner is not None:
                return Status.Rejected, "account_exists", len(self.events)
            self.owner = command.owner
            self.events.append((id, AccountOpened(owner=command.owner)))
        else:
            if command.cents < 0:
                return Status.Rejected, "negative", len(self.events)
            self.balance += command.cents
            self.events.append((id, Deposited(cents=command.cents, balance=self.balance)))
        return Status.Accepted, "", len(self.events)


class Sharded(MachineOnServers):
    """Each confirmed command has its effect once and in order, and its sender hears of it."""

    raw: RawClient
    events: asyncio.Queue[Any]
    conn: Any
    examples = 0

    @classmethod
    async def enter(cls, stack: AsyncExitStack) -> None:
        await prepare([accounts], cls.settings)
        cls.conn = await stack.enter_async_context(await connect(cls.settings.database_url))
        cls.raw = await stack.enter_async_context(raw_client(cls.settings))
        cls.events = await cls.raw.follow("accounts")

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        self.owners: list[Owner | None] = [None, None]
        self.accounts = {self._name(account): Account() for account in ACCOUNTS}
        self.is_waiting = False
        self.sent: dict[str, Sent] = {}  # by correlation id
        self.decided: dict[str, Sent] = {}  # by command id: those that the inbox knows
        self.seen: Counter[str] = Counter()  # the last version of each account that was published
        self.dead: Counter[tuple[str, bytes, str]] = Counter()

    def _name(self, account: str) -> str:
        """Of an actor that no other run has used."""
        return f"{account}{self.examples}"

    # --- what is sent

    @initialize(account=accounts_, wanted=bodies)
    def begin(self, account: str, wanted: list[tuple[str, bytes]]) -> None:
        self.send(account, wanted)

    @rule(account=accounts_, wanted=bodies)
    def send(self, account: str, wanted: list[tuple[str, bytes]]) -> None:
        for type, body in wanted:
            self.run(self._send(str(uuid4()), self._name(account), type, body))

    @precondition(lambda self: self.decided)
    @rule(which=st.integers(0, 99), times=st.integers(1, 3))
    def send_again(self, which: int, times: int) -> None:
        for _ in range(times):
            self.run(self._send_again(list(self.decided.values())[which % len(self.decided)]))

    async def _send_again(self, old: Sent) -> None:
        await self._send(old.id, old.account, old.type, old.body)

    @precondition(lambda self: self.decided)
    @rule(which=st.integers(0, 99))
    def send_another_one_under_its_id(self, which: int) -> None:
        old = list(self.decided.values())[which % len(self.decided)]
        self.run(self._send(old.id, old.account, DEPOSIT, b'{"cents":1000}'))

    async def _send(self, id: str, account: str, type: str, body: bytes) -> None:
        before = self.decided.get(id)
        code = BAD.get((type, body)) or ("command_id_reused" if before and before.body != body else None)
        if code is not None:
            expected = Status.Failed, code, 0
        elif before is not None:
            expected = before.expected
        else:
            expected = self.accounts[account].decide(id, type, body)
        sent = Sent(id, account, type, body, expected)
        if code is None:
            self.decided.setdefault(id, sent)
        correlation_id = str(uuid4())
        self.sent[correlation_id] = sent
        await self.raw.publish(
            "accounts.commands",
            type,
            body,
            message_id=id,
            headers={"actor-id": account},
            correlation_id=correlation_id,
        )

    # --- who works, and what goes wrong

    @rule(which=owners)
    def start(self, which: int) -> None:
        if self.owners[which] is None:
            self.owners[which] = self.run(Owner.start(self.settings, REGISTRY))

    @precondition(lambda self: any(self.owners))
    @rule(which=owners)
    def stop(self, which: int) -> None:
        owner = self._owner(which)
        self.run(owner.stop())
        self._forget(owner)

    @rule(which=owners, how=st.sampled_from([*POINTS, *ACCIDENTS]), account=accounts_, wanted=bodies, then=bodies)
    def suffer(
        self, which: int, how: str, account: str, wanted: list[tuple[str, bytes]], then: list[tuple[str, bytes]]
    ) -> None:
        """Something breaks among what is sent; at one of the points: when the engine gets there the next time."""
        if not any(self.owners):
            self.start(which)
        owner = self._owner(which)
        self.send(account, wanted)
        if how in POINTS:
            owner.crash_at = how
        else:
            self.run(ACCIDENTS[how](owner, self.conn))
            if how == "killed":
                self._forget(owner)
        self.send(account, then)

    def _owner(self, which: int) -> Owner:
        owner = self.owners[which] or self.owners[1 - which]
        assert owner is not None  # a precondition
        return owner

    def _forget(self, owner: Owner) -> None:
        self.owners = [None if one is owner else one for one in self.owners]

    # --- what is seen

    @rule()
    def let_it_work(self) -> None:
        if not any(self.owners):
            self.start(which=0)
        self.is_waiting = True
        self.run(self._let_it_work())
        self.is_waiting = False

    async def _let_it_work(self) -> None:
        await self._send_markers()
        # Replies aren't confirmed: those that were on a connection that was cut are asked for again.
        for sent in [sent for sent in self.sent.values() if not sent.replies and sent.expected[0] is not Status.Failed]:
            await self._send_again(sent)
        await self._send_markers()
        self._check_replies()
        await self._check_stored()
        await eventually(self._are_published, "every event published", PATIENCE_S)
        await eventually(self._are_dead, "every bad one among the dead letters", PATIENCE_S)

    async def _send_markers(self) -> None:
        """One more to each account: once they're answered, so is everything before them."""
        known = set(self.sent)
        for account in self.accounts:
            await self._send(str(uuid4()), account, DEPOSIT, b'{"cents":1}')
        markers = [self.sent[id] for id in set(self.sent) - known]
        async with asyncio.timeout(PATIENCE_S):
            while not all(marker.replies for marker in markers):
                message = await self.raw.replies.get()
                outcome = REGISTRY.decode(message.type or "", message.body, message.content_type, None)
                assert isinstance(outcome, Outcome)
                if message.correlation_id in self.sent:  # else it's another run's
                    self.sent[message.correlation_id].replies.append(outcome)

    def _check_replies(self) -> None:
        of_command: dict[tuple[str, Said], list[Outcome]] = {}
        for sent in self.sent.values():
            for reply in sent.replies:
                said = (reply.status, reply.code, reply.version)
                assert said == sent.expected, f"{sent.type} {sent.body!r} to {sent.account}: {reply}"
                of_command.setdefault((sent.id, said), []).append(reply)
            assert sent.replies or sent.expected[0] is Status.Failed, f"{sent} was never answered"
        for replies in of_command.values():
            assert all(reply == replies[0] for reply in replies)

    async def _check_stored(self) -> None:
        for name, account in self.accounts.items():
            stored = await read_stream(self.conn, "default", f"accounts.account/{name}")
            assert [one.version for one in stored] == list(range(1, len(stored) + 1))
            decoded = [REGISTRY.decode(one.type, one.data, AVRO_BINARY, one.schema) for one in stored]
            assert [(str(one.causation), event) for one, event in zip(stored, decoded, strict=True)] == account.events

    async def _are_published(self) -> bool:
        """At least once; those seen for the first time come in each account's order."""
        while not self.events.empty():
            message = self.events.get_nowait()
            name, version = message.headers["actor-id"], message.headers["version"]
            if name in self.accounts:
                assert version <= self.seen[name] + 1
                self.seen[name] = max(self.seen[name], version)
        return all(self.seen[name] == len(account.events) for name, account in self.accounts.items())

    async def _are_dead(self) -> bool:
        """With their original bytes, at least once for each time they were sent; and nothing else is."""
        queue = await self.raw.channel.get_queue("accounts.dead", ensure=False)
        while (dead := await queue.get(no_ack=True, fail=False)) is not None:
            if dead.headers["actor-id"] in self.accounts:  # else it's another run's
                self.dead[dead.message_id or "", dead.body, str(dead.headers["dead-reason"])] += 1
        bad = [sent for sent in self.sent.values() if sent.expected[0] is Status.Failed]
        wanted = Counter((sent.id, sent.body, sent.expected[1]) for sent in bad)
        assert not set(self.dead) - set(wanted)
        return all(self.dead[one] >= times for one, times in wanted.items())

    def teardown(self) -> None:
        try:
            if not self.is_waiting:  # else it has waited in vain
                self.let_it_work()
        finally:
            for owner in self.owners:
                if owner is not None:
                    self.run(owner.stop())


def test_shards_do_what_their_model_does(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datapunk.shard, "RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(datapunk.shard, "RETRY_MOST_S", 0.1)
    settings = settings.model_copy(update={"heartbeat_s": 0.1, **SHARDED})
    run_on_servers(Sharded, settings, usually=15, steps=15)
