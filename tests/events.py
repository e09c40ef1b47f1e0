"""Events for tests of the store: what is in them doesn't matter there."""

from __future__ import annotations

from uuid import UUID, uuid4

from datapunk.messages.registry import Registry
from datapunk.store.append import AppendBatch
from datapunk.store.events import EventData, InboxEntry
from tests.accounts.events import Deposited
from tests.accounts.module import accounts

OWNER = UUID(int=7)
REGISTRY = Registry.of([accounts])


def event(stream: str, version: int, *, type: str = "test.Happened", data: bytes = b"", tenant: str = "t") -> EventData:
    """One event of a stream."""
    return EventData(tenant, stream, version, type, uuid4(), "fingerprint", data, uuid4(), {"k": "v"})


def entry(
    id: UUID,
    *,
    stream: str = "s",
    versions: tuple[int, int] | None = None,
    reply: bytes = b"ok",
    tenant: str = "t",
) -> InboxEntry:
    """The record of one processed command."""
    first, last = versions or (None, None)
    return InboxEntry(id, tenant, "test.Do", stream, b"hash", reply, first, last)


def batch(*events: EventData, **more: object) -> AppendBatch:
    """A batch of one module, all from shard 0."""
    return AppendBatch("test", OWNER, events, [0] * len(events), **more)  # type: ignore[arg-type]


def deposits(count: int, *, account: str = "a", first: int = 1) -> AppendBatch:
    """Deposits of one cent each into an account, as the engine would have stored them."""
    return batch(*(deposited(account, version) for version in range(first, first + count)))


def deposited(account: str, version: int, *, cents: int = 1, tenant: str = "default") -> EventData:
    """One deposit, as the engine would have stored it."""
    return EventData(
        tenant=tenant,
        stream=f"accounts.account/{account}",
        version=version,
        type=Deposited.message_type,
        id=uuid4(),
        schema=REGISTRY.fingerprint(Deposited),
        data=REGISTRY.codec(Deposited).encode_binary(Deposited(cents=cents, balance=version)),
        causation=uuid4(),
        metadata={},
    )
