"""How a channel counts confirms, without a broker: the orders in which they may come are many."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands as amqp
from pamqp import frame

from datapunk.broker.channel import Channel
from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.errors import ConnectionLost, PublishRefused


def _channel(published: int) -> Channel:
    channel = Channel(Link("test"), 1)
    for _ in range(published):
        channel.publish("", "queue", Properties(), b"")
    return channel


async def _state(channel: Channel, tag: int) -> str:
    waiting = asyncio.ensure_future(channel.confirmed(tag))
    await asyncio.sleep(0)
    if not waiting.done():
        waiting.cancel()
        return "waits"
    return "refused" if isinstance(waiting.exception(), PublishRefused) else "confirmed"


@st.composite
def _settlements(draw: st.DrawFn) -> tuple[int, list[tuple[int, bool, bool]]]:
    """Acks and nacks that a broker may send for so many messages: (tag, multiple, refused)."""
    published = draw(st.integers(1, 30))
    open_tags = set(range(1, published + 1))
    sent: list[tuple[int, bool, bool]] = []
    while open_tags and draw(st.booleans() if sent else st.just(True)):
        tag = draw(st.sampled_from(sorted(open_tags)))
        multiple, refused = draw(st.booleans()), draw(st.integers(0, 5)) == 0
        sent.append((tag, multiple, refused))
        open_tags -= {other for other in open_tags if other <= tag} if multiple else {tag}
    return published, sent


@given(_settlements())
def test_a_message_counts_as_confirmed_exactly_when_it_and_all_before_it_are(
    case: tuple[int, list[tuple[int, bool, bool]]],
) -> None:
    published, settlements = case

    async def run() -> None:
        channel = _channel(published)
        refused: set[int] = set()
        open_tags = set(range(1, published + 1))
        for tag, multiple, is_refusal in settlements:
            settled = {other for other in open_tags if other <= tag} if multiple else {tag}
            open_tags -= settled
            refused |= settled if is_refusal else set()
            channel.on_confirm(tag, multiple, is_refusal)
        for tag in range(1, published + 1):
            if any(other <= tag for other in refused):
                assert await _state(channel, tag) == "refused"
            elif any(other <= tag for other in open_tags):
                assert await _state(channel, tag) == "waits"
            else:
                assert await _state(channel, tag) == "confirmed"

    asyncio.run(run())


async def test_a_multiple_refusal_reaches_whoever_waits_for_a_message_before_its_tag() -> None:
    channel = _channel(5)
    waiting = asyncio.ensure_future(channel.confirmed(2))
    await asyncio.sleep(0)
    channel.on_confirm(5, multiple=True, refused=True)
    with pytest.raises(PublishRefused):
        await waiting


async def test_who_is_cancelled_while_an_answer_arrives_is_cancelled_all_the_same() -> None:
    channel = _channel(0)
    asking = asyncio.ensure_future(channel.ask(amqp.Basic.Qos()))
    await asyncio.sleep(0)
    channel.on_method(amqp.Basic.QosOk())
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_broker_that_does_not_answer_a_method_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapunk.broker.channel.ANSWER_TIMEOUT_S", 0.01)
    channel = _channel(0)
    with pytest.raises(ConnectionLost, match=r"didn't answer Basic\.Qos"):
        await channel.ask(amqp.Basic.Qos())
    with pytest.raises(ConnectionLost, match=r"didn't answer Basic\.Qos"):
        channel.flush()


async def test_a_broker_that_blocks_publishers_is_known_until_it_goes_on() -> None:
    link = Link("test")
    link.data_received(frame.marshal(amqp.Connection.Blocked(reason="low on memory"), 0))
    assert link.blocked.is_set()
    link.data_received(frame.marshal(amqp.Connection.Unblocked(), 0))
    assert not link.blocked.is_set()
