"""What is sent in gzip means what it means without."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapunk.errors import OversizedMessage, UndecodableMessage
from datapunk.messages.compression import GZIP, WORTHWHILE, compressed, decompressed
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from tests.accounts.commands import OpenAccount
from tests.accounts.module import accounts
from tests.raw import RawClient, raw_client
from tests.working import working

REGISTRY = Registry.of([accounts])
bodies = st.binary(max_size=3000)


@given(bodies)
def test_a_body_comes_back(body: bytes) -> None:
    assert decompressed(compressed(body), GZIP, len(body)) == body
    assert gzip.decompress(compressed(body)) == body
    assert decompressed(gzip.compress(body), "GZIP", len(body)) == body


@given(bodies, st.data())
def test_what_is_cut_off_is_refused(body: bytes, data: st.DataObject) -> None:
    whole = compressed(body)
    with pytest.raises(UndecodableMessage):
        decompressed(whole[: data.draw(st.integers(0, len(whole) - 1))], GZIP, len(body))


@given(st.binary(min_size=1, max_size=3000))
def test_no_more_is_unpacked_than_may_be(body: bytes) -> None:
    with pytest.raises(OversizedMessage):
        decompressed(compressed(body), GZIP, len(body) - 1)


@pytest.mark.parametrize("encoding", [None, "", "utf-8", "identity"])
def test_what_names_no_compression_changes_nothing(encoding: str | None) -> None:
    assert decompressed(b"body", encoding, 4) == b"body"


@pytest.fixture
async def raw(settings: Settings) -> AsyncIterator[RawClient]:
    async with working([accounts], settings), raw_client(settings) as client:
        yield client


async def test_a_retry_is_the_same_command_however_it_is_compressed(raw: RawClient) -> None:
    body = b'{"owner":"Ann"}'
    id, outcomes = str(uuid4()), list[Outcome]()
    for packed, encoding in ((gzip.compress(body, 1), GZIP), (gzip.compress(body, 9), GZIP), (body, None)):
        await raw.publish(
            "accounts.commands",
            OpenAccount.message_type,
            packed,
            headers={"actor-id": "a"},
            message_id=id,
            content_encoding=encoding,
        )
        outcomes.append(await raw.outcome(REGISTRY))
    assert [(outcome.status, outcome.version) for outcome in outcomes] == [(Status.Accepted, 1)] * 3


async def test_the_client_compresses_large_commands(settings: Settings) -> None:
    owner = "Ann" * WORTHWHILE
    async with working([accounts], settings) as client, raw_client(settings) as raw:
        queue = await raw.channel.declare_queue(exclusive=True)
        await queue.bind("accounts.commands", OpenAccount.message_type)
        assert (await client.send(OpenAccount(owner=owner), "a")).status is Status.Accepted
        seen = await queue.get()
    assert seen is not None
    assert seen.content_encoding == GZIP
    assert len(seen.body) < len(owner) / 100
