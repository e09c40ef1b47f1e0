"""The actor: what may happen to an order, and when."""

from __future__ import annotations

from datapunk import Actor, Rejected, applies, handles

from orders.commands import CreateOrder, ShipOrder
from orders.events import OrderCreated, OrderShipped


class Order(Actor):
    """Created once, then shipped once."""

    is_created: bool = False
    carrier: str | None = None

    @handles(CreateOrder)
    def create(self, command: CreateOrder) -> OrderCreated:
        """An id is used once."""
        if self.is_created:
            raise Rejected("order_exists", f"there is an order {self.id} already")
        if not command.description.strip():
            raise Rejected("description_missing", "describe it")
        return OrderCreated(description=command.description)

    @applies(OrderCreated)
    def created(self, event: OrderCreated) -> None:
        """It exists from now on."""
        self.is_created = True

    @handles(ShipOrder)
    def ship(self, command: ShipOrder) -> OrderShipped | None:
        """Shipping it again with the same carrier changes nothing."""
        if not self.is_created:
            raise Rejected("order_unknown", f"there is no order {self.id}")
        if command.weight < 1:
            raise Rejected("weight_invalid", f"a parcel weighs at least 1, not {command.weight}")
        if self.carrier == command.carrier:
            return None
        if self.carrier is not None:
            raise Rejected("order_shipped", f"order {self.id} is on its way", {"carrier": self.carrier})
        return OrderShipped(carrier=command.carrier, weight=command.weight)

    @applies(OrderShipped)
    def shipped(self, event: OrderShipped) -> None:
        """Remember with whom."""
        self.carrier = event.carrier
