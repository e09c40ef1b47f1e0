"""What one would ask of a year of flights, as queries of Lake, and how the answers are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table as Grid

from datapunk.client import Client
from schemas.lake.queries import FindRecords, RecordPage
from schemas.lake.types import Filter, Operator, Order

Record = dict[str, Any]


def _whole(value: Any) -> str:
    return "" if value is None else f"{value:,.0f}"


def _hour(value: str) -> str:
    return f"{datetime.fromisoformat(value):%d %b %H:%M}"


@dataclass(frozen=True)
class Question:
    """One question.

    Args:
        title: in words.
        dataset: of `examples.flights.tables`.
        where: conditions.
        order: by what, and whether the largest come first.
        columns: headings, with what to show of a record: a field, and how it's written.
    """

    title: str
    dataset: str
    where: Sequence[Filter]
    order: tuple[str, bool]
    columns: dict[str, tuple[str, Callable[[Any], str]]]

    def query(self, dataset: str) -> FindRecords:
        """As Lake is asked."""
        field, descending = self.order
        return FindRecords(
            dataset=dataset, where=list(self.where), order=[Order(field=field, descending=descending)], limit=5
        )


QUESTIONS = (
    Question(
        "The longest departure delays of the year",
        "flights",
        [Filter(field="dep_delay", op=Operator.NOT_NULL)],
        ("dep_delay", True),
        {
            "hour (UTC)": ("time_hour", _hour),
            "flight": ("flight", str),
            "airline": ("carrier", str),
            "from": ("origin", str),
            "to": ("dest", str),
            "minutes": ("dep_delay", _whole),
        },
    ),
    Question(
        "Where the aircraft N14228 went after Christmas",
        "flights",
        [
            Filter(field="tailnum", value='"N14228"'),
            Filter(field="time_hour", op=Operator.GE, value='"2013-12-26T00:00:00Z"'),
        ],
        ("time_hour", False),
        {
            "hour (UTC)": ("time_hour", _hour),
            "from": ("origin", str),
            "to": ("dest", str),
            "left late": ("dep_delay", _whole),
            "arrived late": ("arr_delay", _whole),
        },
    ),
    Question(
        "The longest flights to Honolulu",
        "flights",
        [Filter(field="dest", value='"HNL"'), Filter(field="air_time", op=Operator.NOT_NULL)],
        ("air_time", True),
        {
            "hour (UTC)": ("time_hour", _hour),
            "airline": ("carrier", str),
            "from": ("origin", str),
            "miles": ("distance", _whole),
            "minutes in the air": ("air_time", _whole),
        },
    ),
    Question(
        "The windiest hours at JFK",
        "weather",
        [Filter(field="origin", value='"JFK"'), Filter(field="wind_speed", op=Operator.NOT_NULL)],
        ("wind_speed", True),
        {
            "hour (UTC)": ("time_hour", _hour),
            "wind, mph": ("wind_speed", _whole),
            "gusts, mph": ("wind_gust", _whole),
            "temperature, °F": ("temp", _whole),
        },
    ),
)


async def answer(
    client: Client, console: Console, id_of: Callable[[str], str], position: int, patience_s: float
) -> None:
    """Ask all of them, and print the answers.

    Args:
        client: of Lake.
        console: where to.
        id_of: the dataset's id of a table.
        position: the answers reflect events up to here.
        patience_s: how long to wait for each.
    """

    async def find(query: FindRecords) -> list[Record]:
        page = await client.ask(query, after_position=position, timeout_s=patience_s)
        assert isinstance(page, RecordPage)  # what this query is answered with
        records: list[Record] = msgspec.json.decode(page.records)
        return records

    airlines = {row["carrier"]: row["name"] for row in await find(FindRecords(dataset=id_of("airlines")))}
    for question in QUESTIONS:
        records = await find(question.query(id_of(question.dataset)))
        grid = Grid(title=question.title, title_justify="left", title_style="bold")
        for heading, (_, write) in question.columns.items():
            grid.add_column(heading, justify="right" if write is _whole else "left", no_wrap=True)
        for record in records:
            cells = {heading: write(record[field]) for heading, (field, write) in question.columns.items()}
            if "airline" in cells:
                cells["airline"] = airlines.get(cells["airline"], cells["airline"])[:24]
            grid.add_row(*cells.values())
        console.print(grid if records else f"[bold]{question.title}[/]: no such records")
