"""A person handles a dead letter in Temporal's web UI: finds it by what it's about, reads, mends, and sees it end.

`make screenshots` has it write the pictures that docs/how-to/dead-letters.md shows.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import FloatRect, Page, TimeoutError, expect

from actors.lake.module import lake
from actors.nexus.module import nexus
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.testing import Platform
from schemas.lake.commands import CreateDataset
from schemas.lake.queries import FindRecords, RecordPage
from tests.raw import raw_client
from tests.working import eventually

SCHEMA = json.dumps({"type": "record", "name": "Note", "fields": [{"name": "text", "type": "string"}]})
CUT_OFF = rb'{"records": "[{\"text\": \"The weather at'
WHOLE = r'{"records": "[{\"text\": \"The weather at JFK is fine\"}]"}'
EDIT = {"by": "ada", "why": "it was cut off", "body": WHOLE}
PARKED = "parked undecodable: lake.AppendRecords: Input data was truncated"
LOOK_MS = 2_000
PICTURED: FloatRect = {"x": 0, "y": 49, "width": 1280, "height": 671}
LEAST_BYTES, MOST_BYTES = 20_000, 200_000  # of a picture: with nothing on it it's smaller; who reads the docs loads it


@pytest.fixture
def modules() -> list[Module]:
    return [lake, nexus]


async def test_a_letter_is_found_mended_and_seen_to_end(
    platform_with_workflows: Platform, settings_with_temporal: Settings, page: Page, pictures: Path
) -> None:
    platform, settings = platform_with_workflows, settings_with_temporal
    await platform.send(CreateDataset(name="Notes", schema=SCHEMA, partitions=1), "notes")
    async with raw_client(settings) as raw:
        await raw.publish("lake.commands", "lake.AppendRecords", CUT_OFF, headers={"actor-id": "notes:0"})
        await raw.publish("lake.commands", "lake.Nonsense", b"{}", headers={"actor-id": "notes:0"})  # not looked for

    await page.goto(f"{settings.temporal_ui_url}/namespaces/{settings.temporal_namespace}/workflows")
    await find(page, "DatapunkAbout", "undecodable")
    await page.get_by_role("tab", name="User Metadata").click()
    details = page.frame_locator("iframe").get_by_text(PARKED)
    await expect(details).to_be_visible()
    await take(page, pictures / "dead-letter-parked.png")

    await page.get_by_role("button", name="More Actions").click()
    await page.get_by_role("menuitem", name="Send an Update").click()
    await fill_in(page, "edit", EDIT)
    await take(page, pictures / "dead-letter-edit.png")
    await page.get_by_role("button", name="Submit").click()

    await expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    await page.get_by_role("tab", name="History").click()
    await expect(page.get_by_text('"resolved"').first).to_be_visible()
    await eventually(lambda: is_there(platform, "The weather at JFK is fine"), "the record")


async def find(page: Page, attribute: str, value: str) -> None:
    """Open the only workflow whose attribute has this value."""
    await page.get_by_role("button", name="Add Filter").click()
    await page.get_by_role("menuitem", name=attribute).click()
    await page.get_by_role("button", name="Equal to", exact=True).click()
    await page.get_by_placeholder(f"Enter {attribute}").fill(value)
    await page.get_by_role("button", name="Apply").click()
    await page.wait_for_url("**query=*")
    link = page.get_by_role("link", name="DeadLetterWorkflow/")

    async def is_listed() -> bool:
        try:
            await link.wait_for(timeout=LOOK_MS)
        except TimeoutError:  # the list was made before the workflow
            await page.reload()
            return False
        return True

    await eventually(is_listed, "the workflow is listed")
    await link.click()


async def fill_in(page: Page, update: str, input: dict[str, str]) -> None:
    """The form by which an update is sent."""
    form = page.get_by_role("dialog", name="Send an Update")
    await form.get_by_test_id("update-select-button").click()
    await form.get_by_role("option", name=update, exact=True).click()
    data = form.get_by_role("textbox").last
    await data.fill(json.dumps(input))
    await data.blur()  # it's indented then, and moves the button
    await expect(data).to_have_text(re.compile(r'^{\s+"by"'))


async def is_there(platform: Platform, text: str) -> bool:
    found = await platform.ask(FindRecords(dataset="notes"))
    assert isinstance(found, RecordPage)
    return text in found.records


async def take(page: Page, path: Path) -> None:
    """A picture of the page without its bar, which names the test's own namespace."""
    png = await page.screenshot(path=path, animations="disabled", clip=PICTURED)
    width, height = (int.from_bytes(png[start : start + 4]) for start in (16, 20))  # of the header
    assert (png[:8], width, height) == (b"\x89PNG\r\n\x1a\n", PICTURED["width"], PICTURED["height"])
    assert LEAST_BYTES < len(png) < MOST_BYTES
