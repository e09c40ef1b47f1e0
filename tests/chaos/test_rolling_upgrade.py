"""A new release of a module, with another version of its schemas, takes over while the old one works."""

from __future__ import annotations

import signal

from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import read_all
from datapunk.worker import prepare
from tests.accounts import events as old_events
from tests.accounts.commands import Deposit
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.chaos.next_accounts import events as new_events
from tests.chaos.next_accounts.module import next_accounts
from tests.chaos.next_accounts.upcasters import ONLY_CURRENCY
from tests.chaos.owners import owned_by
from tests.working import worker_process

NEXT = ("tests.chaos.next_accounts.module:next_accounts",)
MOST_EVENTS = 1_000_000


async def test_an_upgrade_under_load_and_a_step_back_lose_and_double_nothing(settings: Settings) -> None:
    """The old release reads what the new one wrote, too: else there'd be no working beside it, nor a step back."""
    await prepare([accounts], settings)
    history = History(settings, headers={"schema": Registry.of([accounts]).fingerprint(Deposit)})
    await history.subscribe()
    async with under_load(history) as load:
        async with worker_process(settings) as old:
            await load.progress()
            async with worker_process(settings, arguments=NEXT) as hasty:
                await owned_by(2, settings)
                await load.progress()
                hasty.send_signal(signal.SIGTERM)
                assert await hasty.wait() == 0
            await owned_by(1, settings)
            await load.progress()
            async with worker_process(settings, arguments=NEXT):
                await owned_by(2, settings)
                old.send_signal(signal.SIGTERM)
                assert await old.wait() == 0
                await load.progress()
        async with worker_process(settings, arguments=NEXT):
            await load.progress()
    async with worker_process(settings, arguments=NEXT):
        await history.check()


async def test_events_of_both_releases_are_read_by_both(settings: Settings) -> None:
    await prepare([accounts], settings)
    history = History(settings, headers={"schema": Registry.of([accounts]).fingerprint(Deposit)})
    for release in ((), NEXT):
        async with worker_process(settings, arguments=release), under_load(history) as load:
            await load.progress()
    old, new = Registry.of([accounts]), Registry.of([next_accounts])
    async with await connect(settings.database_url) as conn:
        events, _ = await read_all(conn, 0, MOST_EVENTS)
        await old.learn_of(conn, events)
        await new.learn_of(conn, events)
    assert len({event.schema for event in events}) == 2
    for event in events:
        seen = old.decode(event.type, event.data, AVRO_BINARY, event.schema)
        meant = new.decode(event.type, event.data, AVRO_BINARY, event.schema)
        assert isinstance(seen, old_events.Deposited)
        assert isinstance(meant, new_events.Deposited)
        assert (seen.cents, seen.balance) == (meant.cents, meant.balance)
        assert meant.currency == ONLY_CURRENCY
