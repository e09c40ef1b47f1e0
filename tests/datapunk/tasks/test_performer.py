"""Tasks are performed, tried again, postponed or buried: on a real broker, by Dramatiq's own worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from prometheus_client import REGISTRY

from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.tasks.encoding import AvroEncoder, message_of
from datapunk.tasks.performer import Performer
from datapunk.tasks.performing import Failed, Patience, Postponed, Tasks, performs
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.accounts.tasks import SendStatement
from tests.working import DEADLINE_S, eventually

bank = replace(accounts, tasks="tests.datapunk.tasks.test_performer:Statements")
registry = Registry.of([bank])
Act = Callable[[SendStatement], Awaitable[None]]


class Statements(Tasks):
    """Does as a test says, and remembers."""

    module = "accounts"
    patience = Patience(attempts=3, first_s=0.01, longest_s=0.1, life_s=600, limit_s=60)

    def __init__(self, settings: Settings, act: Act) -> None:
        super().__init__(settings, registry, [bank])
        self.act = act
        self.began: list[str] = []
        self.given_up: list[tuple[SendStatement, str]] = []
        self.is_open = False

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    @performs(SendStatement)
    async def send(self, task: SendStatement) -> None:
        assert self.is_open
        self.began.append(task.account)
        await self.act(task)

    async def gave_up(self, task: SendStatement, reason: str) -> None:
        self.given_up.append((task, reason))


@dataclass
class Bank:
    """Made by `banking`."""

    statements: Statements
    channel: aio_pika.abc.AbstractChannel
    done: list[str] = field(default_factory=list)

    async def send(self, *tasks: str) -> None:
        """Have tasks performed."""
        for account in tasks:
            message = message_of("accounts", SendStatement(account=account))
            await self.publish(AvroEncoder(registry).encode(message.asdict()))

    async def publish(self, body: bytes) -> None:
        await self.channel.default_exchange.publish(aio_pika.Message(body, delivery_mode=2), "accounts.tasks")

    async def dead(self) -> AbstractIncomingMessage:
        """The next dead letter."""
        queue = await self.channel.get_queue("accounts.dead")

        async def look() -> AbstractIncomingMessage | None:
            return await queue.get(no_ack=True, fail=False)

        return await eventually(look, "a dead letter")

    async def until_begun(self, count: int) -> list[str]:
        async def look() -> list[str] | None:
            return self.statements.began if len(self.statements.began) >= count else None

        return await eventually(look, f"{count} attempts")


@asynccontextmanager
async def banking(settings: Settings, act: Act, patience: Patience | None = None) -> AsyncIterator[Bank]:
    """A bank whose statements are sent as `act` says."""
    await prepare([bank], settings)
    statements = Statements(settings.model_copy(update={"task_threads": 4}), act)
    statements.patience = patience or statements.patience
    stop = asyncio.Event()
    running = asyncio.create_task(Performer([statements], statements.settings, registry).run(stop))
    try:
        async with await aio_pika.connect(settings.broker_url) as connection:
            yield Bank(statements, await connection.channel())
    finally:
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)
    assert not statements.is_open


def measured(status: str) -> float:
    labels = {"service": "accounts.tasks", "endpoint": "accounts.SendStatement", "status": status}
    return REGISTRY.get_sample_value("request_duration_seconds_count", labels) or 0


async def test_tasks_are_performed_and_measured(settings: Settings) -> None:
    done: list[str] = []

    async def act(task: SendStatement) -> None:
        done.append(task.account)

    before = measured("done")
    async with banking(settings, act) as bank:
        await bank.send("a", "b", "c")
        await bank.until_begun(3)
    assert sorted(done) == ["a", "b", "c"]
    assert measured("done") - before == 3


async def test_a_task_that_spends_its_attempts_becomes_a_dead_letter(settings: Settings) -> None:
    async def act(_: SendStatement) -> None:
        raise Failed("no_ink", "there's no ink")

    async with banking(settings, act) as bank:
        await bank.send("a")
        dead = await bank.dead()
        assert len(bank.statements.began) == 3
        assert dead.headers["dead-reason"] == "no_ink"
        assert dead.headers["dead-message"] == "3 attempts, the last: there's no ink"
        assert "dead-traceback" not in dead.headers

        async def told() -> bool:
            return bank.statements.given_up == [(SendStatement(account="a"), "no_ink")]

        await eventually(told, "it was told")
        bank.statements.began.clear()
        await bank.publish(dead.body)  # whoever redrives it
        await bank.dead()
        assert len(bank.statements.began) == 3


async def test_a_defect_becomes_a_dead_letter_with_its_traceback(settings: Settings) -> None:
    async def act(_: SendStatement) -> None:
        raise ZeroDivisionError("as told")

    async with banking(settings, act) as bank:
        await bank.send("a")
        dead = await bank.dead()
    assert dead.headers["dead-reason"] == "task_failed"
    assert "ZeroDivisionError: as told" in str(dead.headers["dead-traceback"])


async def test_what_is_postponed_counts_as_no_attempt(settings: Settings) -> None:
    async def act(_: SendStatement) -> None:
        if len(bank.statements.began) <= 5:
            raise Postponed("not yet", 0.01)

    async with banking(settings, act) as bank:
        await bank.send("a")
        await bank.until_begun(6)
    assert bank.statements.given_up == []


async def test_what_is_postponed_for_too_long_is_given_up(settings: Settings) -> None:
    async def act(_: SendStatement) -> None:
        raise Postponed("not yet", 0.01)

    async with banking(settings, act, replace(Statements.patience, life_s=0.5)) as bank:
        await bank.send("a")
        dead = await bank.dead()
    assert dead.headers["dead-reason"] == "task_failed"


async def test_a_task_that_takes_too_long_is_cut_off(settings: Settings) -> None:
    cut_off = asyncio.Event()

    async def act(_: SendStatement) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    async with banking(settings, act, Patience(attempts=1, limit_s=0.2)) as bank:
        await bank.send("a")
        dead = await bank.dead()
    assert cut_off.is_set()
    assert "TimeLimitExceeded" in str(dead.headers["dead-message"])


@pytest.mark.parametrize("body", [b"hello", b"{}"])
async def test_what_is_no_task_is_kept_as_it_came(settings: Settings, body: bytes) -> None:
    async def act(_: SendStatement) -> None:
        raise AssertionError

    async with banking(settings, act) as bank:
        await bank.publish(body)
        dead = await bank.dead()
    assert dead.body == body
    assert dead.routing_key == "accounts.by_broker"
