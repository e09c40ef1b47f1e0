"""The actor, by given, when, then."""

from __future__ import annotations

from datapunk.testing import given

from orders.commands import CreateOrder, ShipOrder
from orders.events import OrderCreated, OrderShipped
from orders.order import Order

CREATE = CreateOrder(description="The first")
CREATED = OrderCreated(description="The first")
SHIP = ShipOrder(carrier="DHL", weight=3)
SHIPPED = OrderShipped(carrier="DHL", weight=3)


def test_an_order_is_created() -> None:
    given(Order).when(CREATE).then(CREATED)


def test_an_order_is_created_once() -> None:
    given(Order, CREATED).when(CREATE).rejects("order_exists")


def test_an_order_has_a_description() -> None:
    given(Order).when(CreateOrder(description=" ")).rejects("description_missing")


def test_an_order_is_shipped() -> None:
    given(Order, CREATED).when(SHIP).then(SHIPPED)


def test_what_was_not_created_is_not_shipped() -> None:
    given(Order).when(SHIP).rejects("order_unknown")


def test_a_parcel_weighs_something() -> None:
    given(Order, CREATED).when(ShipOrder(carrier="DHL", weight=0)).rejects("weight_invalid")


def test_shipping_twice_with_one_carrier_changes_nothing() -> None:
    given(Order, CREATED, SHIPPED).when(SHIP).then()


def test_an_order_that_is_on_its_way_is_not_shipped_with_another_carrier() -> None:
    given(Order, CREATED, SHIPPED).when(ShipOrder(carrier="UPS", weight=3)).rejects("order_shipped")
