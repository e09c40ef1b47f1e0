"""The table of what there is, and the query that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from datapunk import Asked, Projection, Recorded, Rejected, Rows, answers, projects

from orders.events import OrderCreated, OrderShipped
from orders.queries import ListOrders, OrderList, OrderSummary

MAX_LIMIT = 1000


class AllOrders(Projection):
    """A row for each."""

    module = "orders"
    name = "all_orders"
    version = 2  # 1 had no carriers

    @projects(OrderCreated)
    async def created(self, rows: Rows, events: Sequence[Recorded[OrderCreated]]) -> None:
        """Add rows."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "insert into all_orders (tenant, id, description, created_at) values (%s, %s, %s, %s)",
                [(each.tenant, each.actor, each.event.description, each.at) for each in events],
            )

    @projects(OrderShipped)
    async def shipped(self, rows: Rows, events: Sequence[Recorded[OrderShipped]]) -> None:
        """Note with whom."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update all_orders set carrier = %s where tenant = %s and id = %s",
                [(each.event.carrier, each.tenant, each.actor) for each in events],
            )


@answers(ListOrders, AllOrders)
async def list_orders(query: ListOrders, asked: Asked) -> OrderList:
    """The oldest first."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_LIMIT}, not {query.limit}")
    cursor = await asked.rows.execute(
        """
        select id, description, created_at, carrier
        from orders_all_orders.all_orders
        where tenant = %s order by created_at, id limit %s
        """,
        (asked.tenant, query.limit),
    )
    return OrderList(orders=[_summary(*row) async for row in cursor])


def _summary(id: str, description: str, created_at: datetime, carrier: str | None) -> OrderSummary:
    return OrderSummary(id=id, description=description, created_at=created_at, carrier=carrier)
