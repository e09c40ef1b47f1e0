"""What fails is tried again, leaves others alone, and ends among the dead letters."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from starlette.responses import Response

from datapunk.settings import Settings
from schemas.nexus.commands import RedriveDeadLetter
from schemas.nexus.queries import DeadLetterFound, DeadLetterPage, FindDeadLetters, GetDeadLetter
from tests.receiving import Received, Receiver, take
from tests.tasks.nexus.hooking import Hooks, hooked_up
from tests.working import DEADLINE_S, eventually


async def refuse(_: Received) -> Response:
    return Response(status_code=500)


async def test_a_refused_delivery_is_tried_again_under_the_same_id(settings: Settings, receiver: Receiver) -> None:
    async def refuse_twice(_: Received) -> Response:
        return Response(status_code=500 if len(receiver.received) < 3 else 204)

    receiver.answer = refuse_twice
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(receiver.url)
        await hooks.deposit(1)
        await receiver.until_taken(1)
        summary = await hooks.until(delivered=1)
    assert len({each.id for each in receiver.received}) == 1
    assert (summary.failed, summary.dead, summary.last_failure) == (2, 0, "it answered 500")


async def test_a_delivery_that_spent_its_attempts_is_a_dead_letter_and_can_be_made_again(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPUNK_WEBHOOKS_ATTEMPTS", "2")
    receiver.answer = refuse
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(receiver.url)
        (outcome,) = await hooks.deposit(1)
        summary = await hooks.until(dead=1)
        assert (summary.failed, summary.delivered) == (2, 0)
        dead = await dead_letter(hooks)
        letter = dead.letter
        assert (letter.reason, letter.message) == ("webhook_failed", "2 attempts, the last: it answered 500")
        assert (letter.type, letter.tenant) == ("nexus.DeliverEvent", "default")
        assert (letter.exchange, letter.routing_key) == ("", "nexus.tasks")
        assert msgspec.json.decode(dead.body)["args"][0]["task"]["position"] == outcome.position

        await hooks.send(RedriveDeadLetter(by="ada", why="perhaps"), str(dead.summary.id))
        await until(hooks, "Parked", "Redriven", "FailedAgain")
        assert (await hooks.until(dead=2)).failed == 4  # it had all its attempts again
        receiver.answer = take
        await hooks.send(RedriveDeadLetter(by="ada", why="it works again"), str(dead.summary.id))
        (request,) = await receiver.until_taken(1)
        await until(hooks, "Parked", "Redriven", "FailedAgain", "Redriven", "Resolved")
    assert request.event["position"] == str(outcome.position)


async def until(hooks: Hooks, *steps: str) -> None:
    """Wait until this has happened to the only dead letter."""

    async def look() -> bool:
        found = await dead_letter(hooks)
        return [step.what.removeprefix("DeadLetter") for step in found.history] == list(steps)

    await eventually(look, ", ".join(steps))


async def dead_letter(hooks: Hooks) -> DeadLetterFound:
    """The only one."""

    async def look() -> DeadLetterFound | None:
        page = await hooks.client.ask(FindDeadLetters(), timeout_s=DEADLINE_S)
        assert isinstance(page, DeadLetterPage)
        if not page.letters:
            return None
        assert len(page.letters) == 1
        found = await hooks.client.ask(GetDeadLetter(id=page.letters[0].id), timeout_s=DEADLINE_S)
        assert isinstance(found, DeadLetterFound)
        return found

    return await eventually(look, "a dead letter is kept")


async def test_a_breaker_leaves_a_failing_endpoint_alone_and_closes_once_it_works(
    settings: Settings, receiver: Receiver, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"LANE": "1", "BREAKER_FAILURES": "3", "BREAKER_REST_S": "1", "ATTEMPTS": "4"}
    for name, value in limits.items():
        monkeypatch.setenv(f"DATAPUNK_WEBHOOKS_{name}", value)
    receiver.answer = refuse
    database = settings.database_url.rpartition("/")[2]
    opened, closed = changes("opened"), changes("closed")

    async def state() -> str:
        async with Redis.from_url(redis_url) as redis:
            found = await redis.get(f"cbr::nexus.webhooks:{database}:default/hook")
        return msgspec.json.decode(found)["state"] if found else ""

    async def is_open() -> bool:
        return await state() == "opened"

    async def is_closed() -> bool:
        return await state() == "closed"

    async with hooked_up(settings) as hooks:
        await hooks.subscribe(receiver.url)
        await hooks.deposit(10)
        await eventually(is_open, "the breaker is open")
        assert len(receiver.received) == 3
        receiver.answer = take
        await receiver.until_taken(10)
        await eventually(is_closed, "the breaker is closed")
        summary = await hooks.until(delivered=10)
    assert (summary.failed, summary.dead) == (3, 0)
    assert (changes("opened") - opened, changes("closed") - closed) == (1, 1)


def changes(state: str) -> float:
    """How many breakers changed to `state` in this process."""
    return REGISTRY.get_sample_value("breaker_changes_total", {"service": "nexus.tasks", "state": state}) or 0
