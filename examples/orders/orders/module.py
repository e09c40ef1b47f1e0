"""How it plugs in."""

from __future__ import annotations

from datapunk import Module

from orders.all_orders import AllOrders, list_orders
from orders.order import Order

orders = Module(
    name="orders",
    schemas="orders",
    actors=[Order],
    projections=[AllOrders],
    queries=[list_orders],
    description="Create an order, list them all.",
)
