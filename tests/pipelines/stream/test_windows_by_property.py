"""Windows give what a batch computation over all the data gives, however records came and were cut into batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import polars as pl
from hypothesis import given, settings

from pipelines.stream.operators.chain import Outputs
from pipelines.stream.operators.record import Value
from tests.pipelines.stream.events import CUTS, out_of_order
from tests.pipelines.stream.running import planned, records, run, values
from tests.properties import examples

AGGREGATES = """{n: count, cold: {count: celsius != null && celsius < 0.0}, total: {sum: celsius}, low: {min: celsius},
        high: {max: celsius}, mean: {avg: celsius}, ids: {distinct: id}, median: {quantile: celsius, at: 0.5}}"""
EXACT = ["n", "cold", "total", "low", "high", "ids"]
ON_TIME = "event_time: at, out_of_order: 30m"


def window(kind: str, more: str = "") -> Any:
    return planned(f"  - window: {{{kind}, by: [sensor], aggregate: {AGGREGATES}{more}}}", ON_TIME)


TUMBLING = window("tumbling: 1h")
HOPPING = window("hopping: {size: 1h, every: 20m}")
DAILY = window("tumbling: 1d")
SESSION = window("session: 45m")


def frame(found: Sequence[Value]) -> pl.DataFrame:
    rows = [{**value, "at": value["at"].astimezone(UTC)} for value in found]
    schema = {"id": pl.Int64, "sensor": pl.String, "celsius": pl.Float64, "at": pl.Datetime("us", "UTC")}
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)


def aggregated(grouped: Any) -> list[Value]:
    celsius = pl.col("celsius")
    return (
        grouped.agg(
            n=pl.len().cast(pl.Int64),
            cold=(celsius < 0).sum().cast(pl.Int64),
            total=pl.when(celsius.count() > 0).then(celsius.sum()),
            low=celsius.min(),
            high=celsius.max(),
            ids=pl.col("id").n_unique().cast(pl.Int64),
            mean=celsius.mean(),
            least_median=celsius.quantile(0.5, "lower"),
            greatest_median=celsius.quantile(0.5, "higher"),
        )
        .sort("window_start", "sensor")
        .to_dicts()
    )


def hops(found: Sequence[Value], size_m: int, every_m: int) -> list[Value]:
    minute = 60_000_000
    every = every_m * minute
    numbers = pl.DataFrame({"hop": list(range(size_m // every_m))})
    return aggregated(
        frame(found)
        .join(numbers, how="cross")
        .with_columns(us=pl.col("at").cast(pl.Int64))
        .with_columns(window_start=((pl.col("us") // every - pl.col("hop")) * every).cast(pl.Datetime("us", "UTC")))
        .group_by("sensor", "window_start")
    )


def sessions(found: Sequence[Value]) -> list[Value]:
    gap = pl.duration(minutes=45)
    return aggregated(
        frame(found)
        .sort("sensor", "at")
        .with_columns(new=(pl.col("at").diff() >= gap).fill_null(True).over("sensor"))
        .with_columns(number=pl.col("new").cum_sum().over("sensor"))
        .with_columns(window_start=pl.col("at").min().over("sensor", "number"))
        .group_by("sensor", "window_start")
    )


def assert_same(outputs: Outputs, expected: list[Value]) -> None:
    assert outputs.late == outputs.failed == []
    found = sorted(values(outputs), key=lambda value: (value["window_start"], value["sensor"]))
    shared = ["sensor", "window_start", *EXACT]
    assert [{name: value[name] for name in shared} for value in found] == [
        {name: value[name] for name in shared} for value in expected
    ]
    for value, wanted in zip(found, expected, strict=True):
        if wanted["mean"] is None:
            assert value["mean"] is value["median"] is None
        else:
            assert abs(value["mean"] - wanted["mean"]) < 1e-9
            assert wanted["least_median"] <= value["median"] <= wanted["greatest_median"]


@settings(max_examples=examples(20))
@given(out_of_order(), CUTS)
def test_tumbling_windows_equal_a_batch_computation(found: list[Value], cuts: list[int]) -> None:
    assert_same(run(TUMBLING, records(found), cuts, restarts=True), hops(found, 60, 60))


@settings(max_examples=examples(20))
@given(out_of_order(), CUTS)
def test_days_are_those_of_utc_also_on_leap_days_and_when_clocks_change(found: list[Value], cuts: list[int]) -> None:
    assert_same(run(DAILY, records(found), cuts), hops(found, 24 * 60, 24 * 60))


@settings(max_examples=examples(20))
@given(out_of_order(), CUTS)
def test_hopping_windows_equal_a_batch_computation(found: list[Value], cuts: list[int]) -> None:
    assert_same(run(HOPPING, records(found), cuts, restarts=True), hops(found, 60, 20))


@settings(max_examples=examples(20))
@given(out_of_order(), CUTS)
def test_sessions_equal_a_batch_computation(found: list[Value], cuts: list[int]) -> None:
    assert_same(run(SESSION, records(found), cuts, restarts=True), sessions(found))


@settings(max_examples=examples(20))
@given(out_of_order(), CUTS)
def test_duplicates_that_are_dropped_change_no_window(found: list[Value], cuts: list[int]) -> None:
    plan = planned(
        f"  - dedupe: {{by: [id], within: 1d}}\n  - window: {{tumbling: 1h, by: [sensor], aggregate: {AGGREGATES}}}",
        ON_TIME,
    )
    twice = [value for value in found for _ in range(1 + value["id"] % 3)]
    assert_same(run(plan, records(twice), cuts, restarts=True), hops(found, 60, 60))
