"""The table of what there is, and the query that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from datapunk import Asked, Projection, Recorded, Rejected, Rows, answers, projects

from gadgetry.events import WidgetCreated
from gadgetry.queries import ListWidgets, WidgetList, WidgetSummary

MAX_LIMIT = 1000


class AllWidgets(Projection):
    """A row for each."""

    module = "gadgetry"
    name = "all_widgets"

    @projects(WidgetCreated)
    async def created(self, rows: Rows, events: Sequence[Recorded[WidgetCreated]]) -> None:
        """Add rows."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "insert into all_widgets (tenant, id, description, created_at) values (%s, %s, %s, %s)",
                [(each.tenant, each.actor, each.event.description, each.at) for each in events],
            )


@answers(ListWidgets, AllWidgets)
async def list_widgets(query: ListWidgets, asked: Asked) -> WidgetList:
    """The oldest first."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_LIMIT}, not {query.limit}")
    cursor = await asked.rows.execute(
        """
        select id, description, created_at
        from gadgetry_all_widgets.all_widgets
        where tenant = %s order by created_at, id limit %s
        """,
        (asked.tenant, query.limit),
    )
    return WidgetList(widgets=[_summary(*row) async for row in cursor])


def _summary(id: str, description: str, created_at: datetime) -> WidgetSummary:
    return WidgetSummary(id=id, description=description, created_at=created_at)
