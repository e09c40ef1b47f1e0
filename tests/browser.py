"""A browser, as a pytest plugin: for tests that use a page as a person does. Chromium, led by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize, async_playwright, expect

from tests.working import DEADLINE_S

PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
REMEDY = "run ops/install.sh --with-checks, or put Chromium or Chrome on the PATH, or its path in CHROMIUM"
SIZE: ViewportSize = {"width": 1280, "height": 720}
# Nothing but the pages of the test: no sandbox, which root can't have, and no calls home.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
expect.set_options(timeout=DEADLINE_S * 1000)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """One that nobody used before."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_program(), args=[*OPTIONS])
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> Page:
    """An empty page, that waits for what it's told to find, and asks nobody but servers on this machine."""
    page = await browser.new_page(viewport=SIZE, locale="en-GB", timezone_id="UTC", reduced_motion="reduce")
    page.set_default_timeout(DEADLINE_S * 1000)
    await page.route("**", _on_this_machine)
    return page


def _program() -> str:
    for name in (os.environ.get("CHROMIUM", ""), *PROGRAMS):
        found = shutil.which(name) if name else None
        if found:
            return found
    pytest.fail(f"there's no browser on this machine: {REMEDY}", pytrace=False)


async def _on_this_machine(route: Route) -> None:
    if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
        await route.continue_()
    else:
        await route.abort()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures go: `make screenshots` has them written where the docs show them."""
    return Path(os.environ.get("DATAPUNK_SCREENSHOTS", tmp_path))
