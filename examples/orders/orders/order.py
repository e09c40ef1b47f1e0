"""The order: what may happen to it, and when."""

from __future__ import annotations

from datapunk import Actor, Rejected, applies, handles
from orders.commands import PlaceOrder, ShipOrder
from orders.events import OrderPlaced, OrderShipped


class Order(Actor):
    """Placed once, then shipped once."""

    is_placed: bool = False
    carrier: str | None = None

    @handles(PlaceOrder)
    def place(self, command: PlaceOrder) -> OrderPlaced:
        """An order id is used once."""
        if self.is_placed:
            raise Rejected("order_exists", f"order {self.id} was placed already")
        if command.quantity < 1:
            raise Rejected("quantity_invalid", f"order at least 1, not {command.quantity}")
        return OrderPlaced(customer=command.customer, product=command.product, quantity=command.quantity)

    @handles(ShipOrder)
    def ship(self, command: ShipOrder) -> OrderShipped | None:
        """Shipping it again with the same carrier changes nothing."""
        if not self.is_placed:
            raise Rejected("order_unknown", f"there is no order {self.id}")
        if self.carrier == command.carrier:
            return None
        if self.carrier is not None:
            raise Rejected("order_shipped", f"order {self.id} is on its way", {"carrier": self.carrier})
        return OrderShipped(carrier=command.carrier)

    @applies(OrderPlaced)
    def placed(self, event: OrderPlaced) -> None:
        """It exists from now on."""
        self.is_placed = True

    @applies(OrderShipped)
    def shipped(self, event: OrderShipped) -> None:
        """Remember with whom."""
        self.carrier = event.carrier
