"""The order, by given, when, then."""

from __future__ import annotations

from datapunk.testing import given
from orders.commands import PlaceOrder, ShipOrder
from orders.events import OrderPlaced, OrderShipped
from orders.order import Order

PLACED = OrderPlaced(customer="Ada", product="tea", quantity=2)


def test_an_order_is_placed() -> None:
    given(Order).when(PlaceOrder(customer="Ada", product="tea", quantity=2)).then(PLACED)


def test_an_order_is_placed_once() -> None:
    given(Order, PLACED).when(PlaceOrder(customer="Bob", product="tea")).rejects("order_exists")


def test_an_order_is_for_something() -> None:
    given(Order).when(PlaceOrder(customer="Ada", product="tea", quantity=0)).rejects("quantity_invalid")


def test_what_was_not_placed_is_not_shipped() -> None:
    given(Order).when(ShipOrder(carrier="DHL")).rejects("order_unknown")


def test_shipping_twice_with_one_carrier_changes_nothing() -> None:
    given(Order, PLACED, OrderShipped(carrier="DHL")).when(ShipOrder(carrier="DHL")).then()


def test_an_order_that_is_on_its_way_is_not_shipped_with_another_carrier() -> None:
    given(Order, PLACED, OrderShipped(carrier="DHL")).when(ShipOrder(carrier="UPS")).rejects("order_shipped")
