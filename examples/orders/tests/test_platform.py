"""The whole: commands in, events stored, answers out, on real servers."""

from __future__ import annotations

from datapunk.testing import Ids, Platform

from orders.commands import CreateOrder, ShipOrder
from orders.events import OrderCreated
from orders.queries import ListOrders, OrderList


async def test_what_was_created_is_listed(platform: Platform) -> None:
    created = await platform.send(CreateOrder(description="The first"), "1")
    assert created.status == "Accepted"

    answer = await platform.ask(ListOrders())
    assert isinstance(answer, OrderList)
    assert [(each.id, each.description) for each in answer.orders] == [("1", "The first")]


async def test_a_command_that_is_sent_twice_happens_once(platform: Platform, ids: Ids) -> None:
    id = ids.next()
    for _ in range(2):
        await platform.send(CreateOrder(description="The first"), "1", message_id=id)

    events = await platform.events("orders.order/1")
    assert events == [OrderCreated(description="The first")]


async def test_the_list_tells_who_has_an_order(platform: Platform) -> None:
    await platform.send(CreateOrder(description="The first"), "1")
    await platform.send(ShipOrder(carrier="DHL", weight=3), "1")

    answer = await platform.ask(ListOrders())
    assert isinstance(answer, OrderList)
    assert [each.carrier for each in answer.orders] == ["DHL"]
