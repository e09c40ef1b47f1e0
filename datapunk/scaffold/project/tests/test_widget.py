"""The actor, by given, when, then."""

from __future__ import annotations

from datapunk.testing import given

from gadgetry.commands import CreateWidget
from gadgetry.events import WidgetCreated
from gadgetry.widget import Widget

CREATE = CreateWidget(description="The first")
CREATED = WidgetCreated(description="The first")


def test_a_widget_is_created() -> None:
    given(Widget).when(CREATE).then(CREATED)


def test_a_widget_is_created_once() -> None:
    given(Widget, CREATED).when(CREATE).rejects("widget_exists")


def test_a_widget_has_a_description() -> None:
    given(Widget).when(CreateWidget(description=" ")).rejects("description_missing")
