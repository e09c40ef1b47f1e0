"""Events arrive at the URLs of subscriptions: signed, at least once, and only those that are wanted."""

from __future__ import annotations

import asyncio

import pytest
from standardwebhooks import Webhook
from starlette.responses import Response

from datapunk.settings import Settings
from schemas.nexus.commands import (
    PauseSubscription,
    ReplaySubscription,
    ResumeSubscription,
    RotateSecret,
    Subscribe,
    Unsubscribe,
)
from tests.accounts.commands import OpenAccount
from tests.management import Management
from tests.receiving import Received, Receiver
from tests.tasks.nexus.hooking import SECRET, dispatching, hooked_up, keep_secret, performing
from tests.working import eventually

OTHER_SECRET = "whsec_" + "b3RoZXIg" * 4


async def test_an_event_arrives_signed_as_the_official_library_wants_it(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(f"{receiver.url}/hook")
        (outcome,) = await hooks.deposit(1)
        (request,) = await receiver.until_taken(1)
    event = Webhook(SECRET).verify(request.body, request.headers)
    assert event == request.event
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert (event["type"], event["subject"]) == ("accounts.Deposited", "accounts.account/a")
    assert (event["position"], event["data"]) == (str(outcome.position), {"cents": 1, "balance": 1})
    assert request.id == event["id"]


async def test_only_events_of_the_pattern_and_the_tenant_arrive(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(f"{receiver.url}/opened", "opened", "accounts.*.AccountOpened")
        await hooks.subscribe(f"{receiver.url}/acme", "acme", "#.Deposited", tenant="acme")
        await hooks.send(OpenAccount(owner="Ada"), "a")
        await hooks.deposit(2, "theirs", tenant="acme")
        await hooks.deposit(1, "ours")
        await hooks.send(OpenAccount(owner="Bob"), "b")
        await receiver.until_taken(4)
    arrived = sorted((each.path, each.event["tenant"], each.event["subject"]) for each in receiver.taken)
    assert arrived == [
        ("/acme", "acme", "accounts.account/theirs"),
        ("/acme", "acme", "accounts.account/theirs"),
        ("/opened", "default", "accounts.account/a"),
        ("/opened", "default", "accounts.account/b"),
    ]


async def test_a_subscription_begins_where_it_says(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        first, second = await hooks.deposit(2)
        await hooks.subscribe(f"{receiver.url}/all", "all", after=0)
        await hooks.subscribe(f"{receiver.url}/second", "second", after=first.position)
        await hooks.subscribe(f"{receiver.url}/new", "new")
        (third,) = await hooks.deposit(1)
        await receiver.until_taken(6)
    expected = {"/all": [first, second, third], "/second": [second, third], "/new": [third]}
    for path, outcomes in expected.items():
        arrived = sorted(int(each.event["position"]) for each in receiver.taken if each.path == path)
        assert arrived == [outcome.position for outcome in outcomes]


async def test_a_replay_brings_the_same_events_again(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(receiver.url)
        outcomes = await hooks.deposit(3)
        first = {each.id for each in await receiver.until_taken(3)}
        receiver.taken.clear()
        await hooks.send(ReplaySubscription(after=outcomes[0].position), "hook")
        again = {each.id for each in await receiver.until_taken(2)}
        assert again < first
        summary = await hooks.until(delivered=5)
    assert summary.position >= outcomes[-1].position


async def test_a_paused_subscription_holds_back_and_loses_nothing(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(f"{receiver.url}/paused", "paused")
        await hooks.subscribe(f"{receiver.url}/other", "other")
        await hooks.send(PauseSubscription(), "paused")
        await hooks.until("paused", state="Paused")
        await hooks.deposit(3)
        await receiver.until_taken(3, "/other")
        assert [each for each in receiver.taken if each.path == "/paused"] == []
        await hooks.send(ResumeSubscription(), "paused")
        await receiver.until_taken(3, "/paused")


async def test_what_waits_to_be_tried_again_is_dropped_once_nobody_wants_it(
    settings: Settings, receiver: Receiver
) -> None:
    async def refuse(_: Received) -> Response:
        return Response(status_code=500)

    receiver.answer = refuse
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(receiver.url)
        await hooks.deposit(1)
        await receiver.until_received(1)
        await hooks.send(Unsubscribe(), "hook")
        management = Management.of(settings.broker_url)

        async def is_empty() -> bool:
            queues = {queue["name"]: queue["messages"] for queue in management.get("queues") if "messages" in queue}
            return queues.get("nexus.tasks") == queues.get("nexus.tasks.DQ") == queues.get("nexus.dead") == 0

        await eventually(is_empty, "nothing waits, and nothing is dead")


async def test_after_a_rotation_both_secrets_sign_for_a_while(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(receiver.url)
        new = await keep_secret(settings, OTHER_SECRET)
        await hooks.send(RotateSecret(secret=new, keep_previous_s=3600), "hook")
        await hooks.summary()
        await hooks.deposit(1)
        (request,) = await receiver.until_taken(1)
        for secret in (SECRET, OTHER_SECRET):
            assert Webhook(secret).verify(request.body, request.headers) == request.event
        third = await keep_secret(settings)
        await hooks.send(RotateSecret(secret=third, keep_previous_s=0), "hook")
        await hooks.summary()
        await hooks.deposit(1)
        (_, request) = await receiver.until_taken(2)
    assert len(request.headers["webhook-signature"].split()) == 1
    assert Webhook(SECRET).verify(request.body, request.headers) == request.event


async def test_a_slow_endpoint_holds_up_no_other(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPUNK_WEBHOOKS_LANE", "2")  # of 8 threads
    monkeypatch.setenv("DATAPUNK_WEBHOOKS_TIMEOUT_S", "60")
    enough = asyncio.Event()

    async def dawdle(request: Received) -> Response:
        if request.path == "/slow":
            await enough.wait()
        return Response(status_code=200)

    receiver.answer = dawdle
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(f"{receiver.url}/slow", "slow")
        await hooks.subscribe(f"{receiver.url}/fast", "fast")
        await hooks.deposit(20)
        await receiver.until_taken(20, "/fast")
        assert len([each for each in receiver.received if each.path == "/slow"]) == 2
        enough.set()
        await receiver.until_taken(20, "/slow")


async def test_only_so_many_deliveries_are_under_way_and_the_rest_waits_in_the_store(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPUNK_WEBHOOKS_WINDOW", "3")
    async with dispatching(settings) as hooks:
        outcomes = await hooks.deposit(10)
        await hooks.subscribe(receiver.url, after=0)
        await hooks.until(position=outcomes[2].position)
        async with performing(settings):
            await receiver.until_taken(10)
            await hooks.until(delivered=10)


async def test_secrets_are_in_no_event_and_no_answer(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        await hooks.subscribe(receiver.url, pattern="#", after=0)
        await hooks.deposit(1)
        await receiver.until_taken(2)
        assert SECRET not in str(await hooks.summary())
    assert all(SECRET.encode() not in each.body for each in receiver.taken)
    assert "nexus.Subscribed" in {each.event["type"] for each in receiver.taken}


async def test_without_its_secret_nothing_is_sent(settings: Settings, receiver: Receiver) -> None:
    async with hooked_up(settings) as hooks:
        theirs = await keep_secret(settings, tenant="acme")
        await hooks.send(Subscribe(url=receiver.url, pattern="accounts.#", secret=theirs), "hook")
        await hooks.deposit(1)

        async def failed() -> bool:
            return (await hooks.summary()).failed > 0

        await eventually(failed, "an attempt failed")
        assert f"there's no secret {theirs}" in str((await hooks.summary()).last_failure)
    assert receiver.received == []
