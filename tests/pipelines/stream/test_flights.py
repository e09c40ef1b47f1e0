"""A year of real flights through windows equals what Polars says of the whole, in whatever order flights come."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import polars as pl
import pytest

from examples.flights.tables import TABLES
from pipelines.stream.field_types import fields_of
from pipelines.stream.inputs import Known
from pipelines.stream.operators.chain import Origin, Outputs
from pipelines.stream.operators.record import END, Record, Value
from pipelines.stream.planning import plan
from tests.pipelines.stream.running import Around, extend, values

BOUND_S = 3 * 3600
BATCH = 5_000
TABLE = next(table for table in TABLES if table.name == "flights")
PIPELINE = """
pipeline: delays
source: {dataset: flights, event_time: time_hour, out_of_order: 3h}
steps:
  - dedupe: {by: [time_hour, carrier, flight, origin], within: 1d}
  - filter: dep_delay != null
  - window:
      tumbling: 1h
      by: [carrier, origin]
      aggregate: {flights: count, delay: {avg: dep_delay}, worst: {max: dep_delay}, miles: {sum: distance}}
sinks: [{topic: delays}]
"""


def in_order(flights: Sequence[Value]) -> list[Value]:
    return list(flights)


def shuffled(flights: Sequence[Value]) -> list[Value]:
    chance = random.Random(13)
    come = [flight["time_hour"].timestamp() + chance.uniform(0, BOUND_S) for flight in flights]
    return [flights[number] for number in sorted(range(len(flights)), key=come.__getitem__)]


def with_duplicates(flights: Sequence[Value]) -> list[Value]:
    chance = random.Random(13)
    return shuffled([flight for flight in flights for _ in range(1 + (chance.random() < 0.1))])


@pytest.fixture(scope="module")
def flights() -> list[Value]:
    read: dict[str, Callable[[str], Any]] = {"text": str, "int": int, "number": float}
    read["time"] = lru_cache(maxsize=None)(datetime.fromisoformat)
    wanted = ["carrier", "flight", "origin", "distance", "dep_delay", "time_hour"]
    columns = [(number, name, read[kind]) for number, (name, kind, _) in enumerate(TABLE.fields) if name in wanted]
    rows = [
        {name: None if row[number] == "NA" else convert(row[number]) for number, name, convert in columns}
        for row in TABLE.rows()
    ]
    return sorted(rows, key=lambda row: row["time_hour"])


@pytest.fixture(scope="module")
def expected(flights: list[Value]) -> list[Value]:
    frame = pl.DataFrame(flights).filter(pl.col("dep_delay").is_not_null())
    return (
        frame.group_by(window_start="time_hour", carrier="carrier", origin="origin")
        .agg(
            flights=pl.len(),
            delay=pl.col("dep_delay").sum() / pl.len(),
            worst=pl.col("dep_delay").max(),
            miles=pl.col("distance").sum(),
        )
        .sort("window_start", "carrier", "origin")
        .to_dicts()
    )


@pytest.mark.parametrize("arrange", [in_order, shuffled, with_duplicates])
def test_hourly_delays_equal_what_polars_says(
    flights: list[Value], expected: list[Value], arrange: Callable[[Sequence[Value]], list[Value]]
) -> None:
    around, made = Around(), Outputs([], [], [])
    delays = plan(PIPELINE, Known({("dataset", "flights"): fields_of(json.loads(TABLE.schema))}))
    chain = delays.chain(Origin("delays", 1, 0), around)
    come = arrange(flights)
    for start in range(0, len(come), BATCH):
        numbered = enumerate(come[start : start + BATCH], start)
        extend(made, chain.process([Record(None, value, 0, offset) for offset, value in numbered]))
    extend(made, chain.advance(END, len(come)))
    found = [{name: value for name, value in each.items() if name != "window_end"} for each in values(made)]
    assert made.late == made.failed == []
    assert len(flights) == 336_776
    assert sorted(found, key=lambda each: (each["window_start"], each["carrier"], each["origin"])) == expected
