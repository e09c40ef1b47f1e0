"""Temporal killed again and again under load: every workflow ends, and does what it does once."""

from __future__ import annotations

import asyncio

from temporalio.client import Client as TemporalClient
from temporalio.service import RPCError

from datapunk.client import Client
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect as connect_to_store
from datapunk.store.read import read_stream
from datapunk.temporal.calling import workflow_id
from datapunk.temporal.connection import connect
from datapunk.worker import prepare
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.accounts.workflows.reward import REWARD, RewardFirstDeposit
from tests.own_stack import Place
from tests.working import eventually, worker_process

ACCOUNTS, KILLS = 30, 2
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


async def _is_over(temporal: TemporalClient, account: str) -> bool:
    """Whether a workflow has ended well."""
    id = workflow_id(RewardFirstDeposit.__name__, "default", account)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await temporal.get_workflow_handle_for(RewardFirstDeposit.run, id).result() == 100 + REWARD
    except RPCError:  # not started yet, or nobody there to ask
        return False
