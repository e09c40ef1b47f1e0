"""Flights through the operators of pipelines alone, by kind of step: records a second on one core."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest
from rich.console import Console
from rich.table import Table

from examples.flights.tables import TABLES
from pipelines.stream.field_types import fields_of
from pipelines.stream.inputs import Known
from pipelines.stream.operators.chain import Origin
from pipelines.stream.operators.record import Record, Value
from pipelines.stream.planning import plan
from tests.pipelines.stream.running import Around

FLIGHTS = 100_000
BATCH = 500
FLIGHT = next(table for table in TABLES if table.name == "flights")
FILTER = '- filter: origin == "JFK" && distance > 100.0\n'
COUNT = "- window: {tumbling: 1h, by: [carrier], aggregate: {n: count}}\n"
STEPS = {
    "filter": FILTER,
    "map": "- map: {carrier: carrier, is_late: 'dep_delay != null && dep_delay > 15.0'}\n",
    "tumbling count": COUNT,
    "filter, then tumbling count": FILTER + COUNT,
    "tumbling count, sum, avg, min, max": (
        "- window: {tumbling: 1h, by: [carrier], aggregate: {n: count, s: {sum: distance}, a: {avg: dep_delay},"
        " lo: {min: dep_delay}, hi: {max: dep_delay}}}\n"
    ),
    "hopping count, 6 windows a record": (
        "- window: {hopping: {size: 6h, every: 1h}, by: [carrier], aggregate: {n: count}}\n"
    ),
    "session count": "- window: {session: 1h, by: [carrier, origin], aggregate: {n: count}}\n",
    "daily distinct and quantile": (
        "- window: {tumbling: 1d, by: [carrier], aggregate: {d: {distinct: tailnum},"
        " q: {quantile: dep_delay, at: 0.9}}}\n"
    ),
    "dedupe": "- dedupe: {by: [carrier, flight, time_hour, origin], within: 1d}\n",
}
READ = {"text": str, "int": int, "number": float, "time": datetime.fromisoformat}


def flights() -> list[Value]:
    rows = []
    for row, _ in zip(FLIGHT.rows(), range(FLIGHTS), strict=False):
        rows.append(
            {
                name: None if may_miss and text in ("NA", "") else READ[kind](text)
                for (name, kind, may_miss), text in zip(FLIGHT.fields, row, strict=True)
            }
        )
    return sorted(rows, key=lambda row: row["time_hour"])


@pytest.mark.bench
def test_records_a_second_by_kind_of_step() -> None:
    found = flights()
    known = Known({("dataset", "flights"): fields_of(json.loads(FLIGHT.schema))})
    table = Table("steps", "records/s", "results", title=f"{len(found):,} flights in batches of {BATCH}, one core")
    for name, steps in STEPS.items():
        text = (
            f"pipeline: p\nsource: {{dataset: flights, event_time: time_hour}}\nsteps:\n{steps}sinks: [{{topic: t}}]\n"
        )
        chain = plan(text, known).chain(Origin("p", 1, 0), Around())
        records = [Record(None, value, 0, offset) for offset, value in enumerate(found)]
        results = 0
        started = time.process_time()
        for start in range(0, len(records), BATCH):
            results += len(chain.process(records[start : start + BATCH]).results)
        spent = time.process_time() - started
        table.add_row(name, f"{len(records) / spent:,.0f}", f"{results:,}")
        assert results
    Console().print(table)
