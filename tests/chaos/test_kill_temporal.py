"""Temporal killed again and again under load, or away for a while: every workflow ends, and does what it does once."""

from __future__ import annotations

import asyncio

from temporalio.client import Client as TemporalClient
from temporalio.service import RPCError

from actors.nexus.module import nexus
from datapunk.client import Client
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect as connect_to_store
from datapunk.store.read import read_stream
from datapunk.temporal.calling import workflow_id
from datapunk.temporal.connection import connect
from datapunk.worker import prepare
from schemas.nexus.commands import DiscardDeadLetter
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.accounts.workflows.reward import REWARD, RewardFirstDeposit
from tests.actors.nexus.letters import Letters
from tests.own_stack import Place
from tests.working import eventually, worker_process
from workflows.nexus.dead_letter import DeadLetterWorkflow

ACCOUNTS, KILLS, LETTERS = 30, 2, 10
PATIENCE_S = 120.0


async def test_every_workflow_ends_once_though_temporal_is_killed(
    place: Place, settings_of_own_temporal: Settings
) -> None:
    settings = settings_of_own_temporal
    await prepare([accounts], settings)
    names = [str(number) for number in range(ACCOUNTS)]
    async with (
        worker_process(settings, arguments=["tests.accounts.module:accounts", "workflows"]),
        Client(settings, Registry.of([accounts])) as client,
    ):
        for part in range(KILLS):
            for name in names[part::KILLS]:
                await client.send(OpenAccount(owner=name), name)
                await client.send(Deposit(cents=100), name)
            await asyncio.to_thread(place.kill, "temporal")
        temporal = await connect(settings, Registry.of([accounts]))
        for name in names:
            await eventually(lambda id=name: _is_over(temporal, id), f"workflow {name} ends", PATIENCE_S)
    async with await connect_to_store(settings.database_url) as conn:
        for name in names:
            events = await read_stream(conn, "default", f"accounts.account/{name}")
            assert [event.type for event in events] == [
                "accounts.AccountOpened",
                "accounts.Deposited",
                "accounts.Deposited",
            ]


async def test_every_dead_letter_has_its_workflow_once_though_temporal_is_away_when_it_comes(
    place: Place, settings_of_own_temporal: Settings
) -> None:
    settings = settings_of_own_temporal
    await prepare([accounts, nexus], settings)
    modules = "tests.accounts.module:accounts,actors.nexus.module:nexus"
    async with (
        worker_process(settings, arguments=[modules, "workflows"]),
        Letters.speaking(settings) as letters,
    ):
        server = place.part("temporal").processes[-1].process()
        assert server is not None
        for part in range(2):
            for n in range(LETTERS):
                await letters.raw.deposit(f"a{n}", 1, body=b"%d %d" % (part, n))
            found = await letters.parked((part + 1) * LETTERS)  # the second time with nobody there to start workflows
            server.suspend()
        await asyncio.to_thread(place.kill, "temporal")
        temporal = await connect(settings, Registry.of([nexus]))
        for each in found:
            await letters.client.send(DiscardDeadLetter(by="ada"), str(each.id))
            await eventually(lambda id=each.id: _is_discarded(temporal, str(id)), f"letter {each.id} ends", PATIENCE_S)
        assert (await temporal.count_workflows()).count == 2 * LETTERS


async def _is_discarded(temporal: TemporalClient, letter: str) -> bool:
    id = workflow_id(DeadLetterWorkflow.__name__, "default", letter)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return (await temporal.get_workflow_handle_for(DeadLetterWorkflow.run, id).result()).state == "discarded"
    except RPCError:  # not started yet, or nobody there to ask
        return False


async def _is_over(temporal: TemporalClient, account: str) -> bool:
    """Whether a workflow has ended well."""
    id = workflow_id(RewardFirstDeposit.__name__, "default", account)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await temporal.get_workflow_handle_for(RewardFirstDeposit.run, id).result() == 100 + REWARD
    except RPCError:  # not started yet, or nobody there to ask
        return False
