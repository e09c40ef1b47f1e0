"""The whole: commands in, events stored, answers out, on real servers."""

from __future__ import annotations

from datapunk.testing import Ids, Platform

from gadgetry.commands import CreateWidget
from gadgetry.events import WidgetCreated
from gadgetry.queries import ListWidgets, WidgetList


async def test_what_was_created_is_listed(platform: Platform) -> None:
    created = await platform.send(CreateWidget(description="The first"), "1")
    assert created.status == "Accepted"

    answer = await platform.ask(ListWidgets())
    assert isinstance(answer, WidgetList)
    assert [(each.id, each.description) for each in answer.widgets] == [("1", "The first")]


async def test_a_command_that_is_sent_twice_happens_once(platform: Platform, ids: Ids) -> None:
    id = ids.next()
    for _ in range(2):
        await platform.send(CreateWidget(description="The first"), "1", message_id=id)

    events = await platform.events("gadgetry.widget/1")
    assert events == [WidgetCreated(description="The first")]
