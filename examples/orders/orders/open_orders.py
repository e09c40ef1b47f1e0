"""The open orders, and the query for them."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Asked, Projection, Recorded, Rejected, Rows, answers, projects
from orders.events import OrderPlaced, OrderShipped
from orders.queries import ListOpenOrders, OpenOrder, OpenOrderList

MAX_LIMIT = 1000  # orders


class OpenOrders(Projection):
    """One row an order that waits to be shipped."""

    module = "orders"
    name = "open_orders"

    @projects(OrderPlaced)
    async def placed(self, rows: Rows, events: Sequence[Recorded[OrderPlaced]]) -> None:
        """Add a row each."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "insert into open_orders (tenant, id, customer, product, quantity, placed_at)"
                " values (%s, %s, %s, %s, %s, %s)",
                [
                    (
                        recorded.tenant,
                        recorded.actor,
                        recorded.event.customer,
                        recorded.event.product,
                        recorded.event.quantity,
                        recorded.at,
                    )
                    for recorded in events
                ],
            )

    @projects(OrderShipped)
    async def shipped(self, rows: Rows, events: Sequence[Recorded[OrderShipped]]) -> None:
        """It isn't open any more."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "delete from open_orders where tenant = %s and id = %s",
                [(recorded.tenant, recorded.actor) for recorded in events],
            )


@answers(ListOpenOrders, OpenOrders)
async def list_open_orders(query: ListOpenOrders, asked: Asked) -> OpenOrderList:
    """The oldest first."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_LIMIT}, not {query.limit}")
    cursor = await asked.rows.execute(
        """
        select id, customer, product, quantity, placed_at from orders_open_orders.open_orders
        where tenant = %(tenant)s and (%(customer)s::text is null or customer = %(customer)s)
        order by placed_at, id limit %(limit)s
        """,
        {"tenant": asked.tenant, "customer": query.customer, "limit": query.limit},
    )
    return OpenOrderList(
        orders=[
            OpenOrder(order=id, customer=customer, product=product, quantity=quantity, placed_at=placed_at)
            async for id, customer, product, quantity, placed_at in cursor
        ]
    )
