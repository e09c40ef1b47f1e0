"""The hand-chosen values as we encode them: `vectors.json`, which libraries of other people read.

After a change: `python -m tests.cross.vectors`.
"""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.cross.resolutions import RESOLUTIONS
from tests.cross.values import NOTHING, VECTORS

FILE = Path(__file__).parent / "vectors.json"


def text() -> str:
    """What `vectors.json` must hold."""
    values = [
        {
            "name": vector.name,
            "schema": vector.schema,
            "json": vector.json.decode(),
            "binary": vector.binary.hex(),
            "means": None if vector.means is NOTHING else meaning(vector.means),
        }
        for vector in VECTORS
    ]
    resolutions = [
        {
            "name": each.name,
            "schema": each.schema,
            "json": each.json.decode(),
            "binary": each.binary.hex(),
            "reader": each.reader_schema,
            "resolved": each.resolved.decode(),
        }
        for each in RESOLUTIONS
    ]
    return json.dumps({"values": values, "resolutions": resolutions}, indent=1, ensure_ascii=True) + "\n"


def meaning(value: Any) -> str:
    """A logical type's value as text: numbers without an exponent, dates and times in ISO 8601, instants with a Z."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | time):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
