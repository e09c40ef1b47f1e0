"""How orders plug in."""

from __future__ import annotations

from datapunk import Module
from orders.open_orders import OpenOrders, list_open_orders
from orders.order import Order

orders = Module(
    name="orders",
    schemas="orders",
    actors=[Order],
    projections=[OpenOrders],
    queries=[list_open_orders],
    description="Orders: place them, ship them, see which are open.",
)
