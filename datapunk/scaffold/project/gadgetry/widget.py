"""The actor: what may happen to a widget, and when."""

from __future__ import annotations

from datapunk import Actor, Rejected, applies, handles

from gadgetry.commands import CreateWidget
from gadgetry.events import WidgetCreated


class Widget(Actor):
    """Created once."""

    is_created: bool = False

    @handles(CreateWidget)
    def create(self, command: CreateWidget) -> WidgetCreated:
        """An id is used once."""
        if self.is_created:
            raise Rejected("widget_exists", f"there is a widget {self.id} already")
        if not command.description.strip():
            raise Rejected("description_missing", "describe it")
        return WidgetCreated(description=command.description)

    @applies(WidgetCreated)
    def created(self, event: WidgetCreated) -> None:
        """It exists from now on."""
        self.is_created = True
