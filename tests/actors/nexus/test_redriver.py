"""What is published again is handled once, or comes back to where it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from datapunk.errors import QueryFailed
from datapunk.messages.outcome import Outcome, Status
from datapunk.settings import Settings
from schemas.nexus.commands import DiscardDeadLetter, EditDeadLetter, RedriveDeadLetter
from schemas.nexus.types import DeadLetterState
from tests.accounts.commands import OpenAccount
from tests.accounts.queries import Balance, GetBalance
from tests.actors.nexus.letters import Letters, keeping
from tests.raw import raw_client
from tests.working import eventually, worker_process

GOOD = b'{"cents":5}'
NAMES = "tests.accounts.module:accounts,actors.nexus.module:nexus"


@pytest.fixture
async def letters(settings: Settings) -> AsyncIterator[Letters]:
    async with keeping(settings) as letters:
        yield letters


async def send(letters: Letters, command: Any, id: UUID) -> Outcome:
    outcome = await letters.client.send(command, str(id))
    assert outcome.status is Status.Accepted, outcome
    return outcome


async def balance(letters: Letters, account: str, after: int | None = None) -> Balance:
    found = await letters.client.ask(GetBalance(account=account), after_position=after)
    assert isinstance(found, Balance)
    return found


def steps(found: Any) -> list[str]:
    return [step.what.removeprefix("DeadLetter") for step in found.history]


async def test_an_edit_that_mends_a_message_is_applied_once_however_often_it_is_redriven(letters: Letters) -> None:
    await letters.raw.deposit("a", 1, body=b'{"cents":"five"}')
    (summary,) = await letters.parked()
    await send(letters, EditDeadLetter(body=GOOD, by="ada", why="a number"), summary.id)
    await send(letters, RedriveDeadLetter(by="ada"), summary.id)
    await send(letters, RedriveDeadLetter(by="ada"), summary.id)
    found = await letters.reaches(summary.id, DeadLetterState.Resolved)
    await letters.raw.deposit("a", 1)
    await eventually(lambda: deposited(letters, "a", 6), "both deposits")
    assert steps(found)[:2] == ["Parked", "Edited"]
    assert (await balance(letters, "a")).deposits == 2
    assert found.edit is not None
    assert (found.edit.body, found.body) == (GOOD, b'{"cents":"five"}')


async def deposited(letters: Letters, account: str, cents: int) -> bool:
    try:
        return (await balance(letters, account)).cents == cents
    except QueryFailed:  # nothing was
        return False


async def test_what_is_still_wrong_comes_back_to_where_it_was(letters: Letters) -> None:
    await letters.raw.deposit("a", 1, body=b"?")
    (summary,) = await letters.parked()
    await send(letters, RedriveDeadLetter(by="ada"), summary.id)
    found = await letters.reaches(summary.id, DeadLetterState.Parked)
    if steps(found) == ["Parked"]:
        found = await eventually(lambda: with_steps(letters, summary.id, 3), "three steps")
    assert steps(found) == ["Parked", "Redriven", "FailedAgain"]
    assert len(await letters.find()) == 1


async def with_steps(letters: Letters, id: UUID, count: int) -> Any:
    found = await letters.get(id)
    return found if len(found.history) >= count else None


async def test_what_its_actor_says_no_to_is_resolved_by_that(letters: Letters) -> None:
    await letters.raw.deposit("a", 1, body=b"?")
    (summary,) = await letters.parked()
    await send(letters, EditDeadLetter(body=b'{"cents":-1}'), summary.id)
    await send(letters, RedriveDeadLetter(), summary.id)
    found = await letters.reaches(summary.id, DeadLetterState.Resolved)
    assert found.history[-1].why == "Rejected: negative: a deposit isn't negative"


async def test_an_edit_may_give_another_type_and_actor(letters: Letters) -> None:
    await letters.raw.publish("accounts.commands", "accounts.Steal", GOOD, headers={"actor-id": "a"})
    (summary,) = await letters.parked()
    await send(letters, EditDeadLetter(type="accounts.Deposit", actor="b"), summary.id)
    await send(letters, RedriveDeadLetter(), summary.id)
    await letters.reaches(summary.id, DeadLetterState.Resolved)
    await eventually(lambda: deposited(letters, "b", 5), "the deposit")


async def test_what_went_round_the_entrance_is_let_in(letters: Letters) -> None:
    await letters.raw.publish("", "accounts.commands.0", GOOD, headers={"actor-id": "a"}, type="accounts.Deposit")
    (summary,) = await letters.parked()
    await send(letters, RedriveDeadLetter(), summary.id)
    await letters.reaches(summary.id, DeadLetterState.Resolved)


async def test_a_reused_id_is_not_taken_for_the_command_that_has_it(letters: Letters) -> None:
    id = await letters.raw.deposit("a", 1)
    await letters.raw.deposit("a", 2, message_id=id)
    (summary,) = await letters.parked()
    assert summary.reason == "command_id_reused"
    await send(letters, RedriveDeadLetter(), summary.id)
    found = await eventually(lambda: with_steps(letters, summary.id, 3), "three steps")
    assert steps(found) == ["Parked", "Redriven", "FailedAgain"]
    await send(letters, EditDeadLetter(body=b'{"cents":2}'), summary.id)  # which gives it an id of its own
    await send(letters, RedriveDeadLetter(), summary.id)
    await letters.reaches(summary.id, DeadLetterState.Resolved)
    await eventually(lambda: deposited(letters, "a", 3), "both deposits")


async def test_what_is_no_command_is_resolved_once_a_queue_takes_it(letters: Letters) -> None:
    await letters.raw.publish(
        "accounts.commands", "accounts.Deposit", GOOD, headers={"actor-id": "a"}, reply_to="late.reply"
    )
    await eventually(lambda: deposited(letters, "a", 5), "the deposit")
    await letters.raw.deposit("a", 1)  # the engine looks at what came back with the next batch at the latest
    (summary,) = await letters.parked()
    assert summary.reason == "reply_unroutable"
    await send(letters, RedriveDeadLetter(), summary.id)
    found = await eventually(lambda: with_steps(letters, summary.id, 3), "three steps")
    assert found.history[-1].why.startswith("unroutable: no queue took it")
    queue = await letters.raw.channel.declare_queue("late.reply", exclusive=True)
    await send(letters, RedriveDeadLetter(), summary.id)
    await letters.reaches(summary.id, DeadLetterState.Resolved)
    assert b"Accepted" in (await queue.get()).body


async def test_what_was_for_a_module_that_is_gone_holds_up_nobody(letters: Letters) -> None:
    headers = {"dead-reason": "poison", "dead-exchange": "gone.commands", "dead-routing-key": "gone.Do"}
    await letters.raw.publish("datapunk.dead", "accounts.poison", b"?", headers=headers, type="gone.Do")
    await letters.raw.deposit("a", 1, body=b"?")
    parked = {each.type: each.id for each in await letters.parked(2)}
    await send(letters, RedriveDeadLetter(), parked["gone.Do"])
    await send(letters, EditDeadLetter(body=GOOD), parked["accounts.Deposit"])
    await send(letters, RedriveDeadLetter(), parked["accounts.Deposit"])
    await letters.reaches(parked["accounts.Deposit"], DeadLetterState.Resolved)
    found = await eventually(lambda: with_steps(letters, parked["gone.Do"], 3), "three steps")
    assert "there is no exchange gone.commands" in found.history[-1].why


async def test_a_discarded_one_stays_where_it_is(letters: Letters) -> None:
    await letters.raw.deposit("a", 1, body=b"?")
    (summary,) = await letters.parked()
    await send(letters, DiscardDeadLetter(by="ada", why="a test"), summary.id)
    outcome = await letters.client.send(RedriveDeadLetter(), str(summary.id))
    assert outcome.code == "dead_letter_discarded"
    found = await letters.reaches(summary.id, DeadLetterState.Discarded)
    assert [(step.by, step.why) for step in found.history[1:]] == [("ada", "a test")]
    assert json.loads(found.properties)["headers"]["dead-reason"] == "undecodable"


async def test_a_redriver_that_is_killed_publishes_again_and_nothing_takes_effect_twice(settings: Settings) -> None:
    async with keeping(settings) as letters:
        for n in range(10):
            await letters.raw.deposit(f"a{n}", 1, body=b"?")
        parked = await letters.parked(10)
    async with raw_client(settings), worker_process(settings, crash_at="redriver_published", arguments=[NAMES]) as died:
        async with Letters.speaking(settings) as letters:
            for each in parked:
                for command in (EditDeadLetter(body=GOOD), RedriveDeadLetter()):
                    await letters.client.send(command, str(each.id), wait=False)
        assert await asyncio.wait_for(died.wait(), 60) == -9
    async with keeping(settings) as letters:
        for each in parked:
            await letters.reaches(each.id, DeadLetterState.Resolved)
        outcome = await letters.client.send(OpenAccount(owner="Ada"), "last")
        for n in range(10):
            assert await balance(letters, f"a{n}", outcome.position) == Balance(cents=5, deposits=1)
