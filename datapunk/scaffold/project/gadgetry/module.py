"""How it plugs in."""

from __future__ import annotations

from datapunk import Module

from gadgetry.all_widgets import AllWidgets, list_widgets
from gadgetry.widget import Widget

gadgetry = Module(
    name="gadgetry",
    schemas="gadgetry",
    actors=[Widget],
    projections=[AllWidgets],
    queries=[list_widgets],
    description="Create a widget, list them all.",
)
