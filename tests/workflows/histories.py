"""Which modules have recorded histories of their workflows, and where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from actors.lake.module import lake
from actors.nexus.module import nexus
from datapunk.module import Module
from tests.accounts.module import accounts

FOLDER = Path(__file__).parent / "histories"
bonuses = replace(accounts, workflows="tests.accounts.bonus")

# By the folder's name.
RECORDED: dict[str, Module] = {"accounts": accounts, "bonuses": bonuses, "lake": lake, "nexus": nexus}
