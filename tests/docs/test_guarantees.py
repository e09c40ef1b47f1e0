"""docs/explanation/guarantees.md names tests: they must be there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/guarantees.md").read_text()
TABLES = re.findall(r"^\|.*\| shown by \|\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
NAMED = set(re.findall(r"`((?:tests/[\w/.]+)|(?:test_\w+))`", PAGE))


def test_each_guarantee_names_what_shows_it() -> None:
    rows = [row for table in TABLES for row in table.splitlines()]
    assert len(TABLES) == 2
    assert [row for row in rows if not re.search(r"`test", row.split("|")[3])] == []


def test_every_test_that_is_named_exists() -> None:
    defined = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    missing = [name for name in NAMED if name not in defined and not (ROOT / name).exists()]
    assert missing == []
