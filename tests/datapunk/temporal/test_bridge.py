"""Events start and signal workflows, each once; workflows send commands, each once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from datapunk.client import Client
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.projection import Recorded
from datapunk.settings import Settings
from datapunk.store.connection import connect as connect_to_store
from datapunk.store.events import RecordedEvent
from datapunk.store.followers import follower_position
from datapunk.store.read import read_stream, safe_position
from datapunk.temporal.bridge import follower_name
from datapunk.temporal.calling import Caller, workflow_id
from datapunk.temporal.connection import connect
from datapunk.temporal.reactions import Reaction, same_actor
from datapunk.testing.platform import Platform, working
from datapunk.worker import prepare
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.events import Deposited
from tests.accounts.module import accounts
from tests.accounts.workflows.reward import REWARD, RewardFirstDeposit
from tests.accounts.workflows.tally import Tally, TallyDeposits
from tests.proxy import proxy_to
from tests.working import eventually, worker_process

PATIENCE_S = 60.0


@pytest.fixture
def modules() -> list[Module]:
    return [accounts]


@pytest.fixture
async def temporal(settings_with_temporal: Settings) -> TemporalClient:
    return await connect(settings_with_temporal, Registry.of([accounts]))


async def reward_of(temporal: TemporalClient, account: str) -> WorkflowHandle[RewardFirstDeposit, int]:
    await _started(temporal, account, RewardFirstDeposit.__name__)
    id = workflow_id(RewardFirstDeposit.__name__, "default", account)
    return temporal.get_workflow_handle_for(RewardFirstDeposit.run, id)


async def tally_of(temporal: TemporalClient, account: str) -> WorkflowHandle[TallyDeposits, Tally]:
    await _started(temporal, account, TallyDeposits.__name__)
    id = workflow_id(TallyDeposits.__name__, "default", account)
    return temporal.get_workflow_handle_for(TallyDeposits.run, id)


async def _started(temporal: TemporalClient, account: str, workflow: str) -> None:
    """Until it's found by what it's about."""
    query = f"DatapunkActor = 'accounts.account/{account}' and WorkflowType = '{workflow}'"

    async def is_found() -> bool:
        return [each async for each in temporal.list_workflows(query)] != []

    await eventually(is_found, f"a {workflow} is started")


async def caught_up(settings: Settings, workflow: type) -> None:
    """Until a workflow's bridge has seen all events there are."""
    async with await connect_to_store(settings.database_url) as conn:
        end = await safe_position(conn)

        async def is_at_the_end() -> bool:
            return await follower_position(conn, follower_name("accounts", workflow.__name__)) >= end

        await eventually(is_at_the_end, "the bridge has seen all events")


async def test_events_start_and_signal_a_workflow_that_sends_a_command_and_asks_a_query(
    platform_with_workflows: Platform, temporal: TemporalClient
) -> None:
    await platform_with_workflows.send(OpenAccount(owner="Ann"), "1")
    await platform_with_workflows.send(Deposit(cents=100), "1")
    reward = await reward_of(temporal, "1")
    async with asyncio.timeout(PATIENCE_S):
        assert await reward.result() == 100 + REWARD


async def test_a_signal_may_start_a_workflow_which_gets_its_events_in_order_and_an_actors_no(
    platform_with_workflows: Platform, temporal: TemporalClient
) -> None:
    for cents in (3, 1, 2):
        await platform_with_workflows.send(Deposit(cents=cents), "1")
    handle = await tally_of(temporal, "1")
    async with asyncio.timeout(PATIENCE_S):
        tally = await handle.result()
    assert [each.event.cents for each in tally.deposits] == [3, 1, 2]
    assert [each.version for each in tally.deposits] == [1, 2, 3]
    assert tally.refused == "negative"


async def test_events_that_are_read_again_change_nothing(
    modules: list[Module], settings_with_temporal: Settings, temporal: TemporalClient
) -> None:
    async with working(modules, settings_with_temporal, with_workflows=True) as client:
        await client.send(Deposit(cents=1), "waiting")
        await client.send(Deposit(cents=2), "waiting")
        for _ in range(3):
            await client.send(Deposit(cents=1), "over")
        waiting, over = await tally_of(temporal, "waiting"), await tally_of(temporal, "over")
        async with asyncio.timeout(PATIENCE_S):
            await over.result()
        await caught_up(settings_with_temporal, TallyDeposits)
    async with await connect_to_store(settings_with_temporal.database_url) as conn:
        await conn.execute("update followers set position = 0")
    async with working(modules, settings_with_temporal, with_workflows=True):
        await caught_up(settings_with_temporal, TallyDeposits)
    signals = [
        event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        for event in (await waiting.fetch_history()).events
    ]
    assert sum(signals) == 2
    runs = [each async for each in temporal.list_workflows(f"WorkflowId = '{over.id}'")]
    assert len(runs) == 1


async def test_while_temporal_is_away_commands_go_on_and_what_waits_is_picked_up_after(
    modules: list[Module], settings_with_temporal: Settings, temporal: TemporalClient
) -> None:
    async with proxy_to(f"grpc://{settings_with_temporal.temporal_address}") as proxy:
        through = settings_with_temporal.model_copy(update={"temporal_address": proxy.url.rpartition("@")[2]})
        async with working(modules, through, with_workflows=True) as client:
            await client.send(OpenAccount(owner="Ann"), "before")
            await reward_of(temporal, "before")
            await proxy.disconnect()
            await client.send(OpenAccount(owner="Ben"), "meanwhile")
            await client.send(Deposit(cents=5), "before")
            await proxy.connect()
            async with asyncio.timeout(PATIENCE_S):
                assert await (await reward_of(temporal, "before")).result() == 5 + REWARD
            await reward_of(temporal, "meanwhile")


async def test_a_worker_that_starts_without_temporal_waits_for_it(
    modules: list[Module], settings_with_temporal: Settings, temporal: TemporalClient
) -> None:
    async with proxy_to(f"grpc://{settings_with_temporal.temporal_address}") as proxy:
        await proxy.disconnect()
        through = settings_with_temporal.model_copy(update={"temporal_address": proxy.url.rpartition("@")[2]})
        async with working(modules, through, with_workflows=True) as client:
            await client.send(OpenAccount(owner="Ann"), "1")
            await client.send(Deposit(cents=5), "1")
            await proxy.connect()
            async with asyncio.timeout(PATIENCE_S):
                assert await (await reward_of(temporal, "1")).result() == 5 + REWARD


async def test_what_a_killed_worker_was_at_happens_once(
    modules: list[Module], settings_with_temporal: Settings, temporal: TemporalClient
) -> None:
    """kill -9 between the workflow's command and Temporal's knowing of it, among others: there's no telling where."""
    await prepare(modules, settings_with_temporal)
    names = [str(number) for number in range(12)]
    async with (
        worker_process(settings_with_temporal, arguments=["tests.accounts.module:accounts", "workflows"]) as first,
        Client(settings_with_temporal, Registry.of(modules)) as client,
    ):
        for name in names:
            await client.send(OpenAccount(owner=name), name)
            await client.send(Deposit(cents=100), name)
        handles = [await reward_of(temporal, name) for name in names]
        first.kill()
        await first.wait()
        async with worker_process(settings_with_temporal, arguments=["tests.accounts.module:accounts", "workflows"]):
            async with asyncio.timeout(2 * PATIENCE_S):
                balances = [await handle.result() for handle in handles]
    assert balances == [100 + REWARD] * len(names)
    async with await connect_to_store(settings_with_temporal.database_url) as conn:
        for name in names:
            assert len(await read_stream(conn, "default", f"accounts.account/{name}")) == 3


async def test_a_signal_is_not_dropped_because_its_namespace_is_missing(
    temporal_namespace: str, settings_with_temporal: Settings
) -> None:
    lost = settings_with_temporal.model_copy(update={"temporal_namespace": f"{temporal_namespace}-gone"})
    temporal = await connect(lost, Registry.of([accounts]))
    caller = Caller(temporal, "accounts", TallyDeposits.__name__)
    event = RecordedEvent(
        tenant="default",
        stream="accounts.account/1",
        version=1,
        type="accounts.Deposited",
        id=uuid4(),
        schema="",
        data=b"",
        causation=uuid4(),
        metadata={},
        position=1,
        at=datetime.now(UTC),
    )
    known = Recorded(Deposited(cents=1, balance=1), 1, "default", "1", 1, event.at)
    with pytest.raises(RPCError, match="not found"):
        await caller.react("any", Reaction(Deposited, same_actor, signal="deposited"), event, known)
