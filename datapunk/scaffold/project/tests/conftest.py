"""What tests may ask for: `platform` is the module at work, with a broker and a store of the test's own."""

from __future__ import annotations

import pytest
from datapunk import Module

from gadgetry.module import gadgetry

pytest_plugins = ["datapunk.testing.plugin"]


@pytest.fixture
def modules() -> list[Module]:
    return [gadgetry]
