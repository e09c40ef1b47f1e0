"""How an input is cut into batches, and where a process dies between two, changes nothing about what comes out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stream.operators.chain import MAIN, Outputs
from pipelines.stream.operators.record import END, Record, Value
from tests.pipelines.stream.events import CUTS, out_of_order
from tests.pipelines.stream.running import Around, batches, chain, extend, planned, records, run
from tests.properties import examples

LATE = "event_time: at, out_of_order: 10m"  # less than the disorder of `out_of_order`
PLANS = {
    "filter, then hopping windows": """
  - filter: sensor != "c" && (celsius == null || celsius > -20.0)
  - window: {hopping: {size: 1h, every: 20m}, by: [sensor], aggregate: {n: count, q: {quantile: id, at: 0.9}}}""",
    "windows of windows": """
  - window: {tumbling: 15m, lateness: 5m, by: [sensor], aggregate: {n: count, ids: {distinct: id}}}
  - window: {tumbling: 1h, aggregate: {n: {sum: n}, most: {max: n}}}
  - map: {n: n, day: window_start.getDayOfYear()}""",
    "sessions of windows": """
  - window: {tumbling: 15m, by: [sensor], aggregate: {n: count}}
  - window: {session: 30m, lateness: 5m, aggregate: {n: {sum: n}}}""",
    "dedupe and flat map": """
  - dedupe: {by: [sensor, celsius], within: 1h}
  - flat_map: {each: '[1, 2, id]', name: item}
  - filter: 10 / (item - 2) > 0""",
}
CHANGING = """
  - filter: sensor != "c"
  - window: {hopping: {size: 1h, every: 20m}, emit: changes, by: [sensor], aggregate: {n: count}}"""


def told(outputs: Outputs) -> list[Any]:
    """All of it, so that it can be compared."""
    return [
        [(each.id, each.record.offset, each.record.time, each.record.value) for each in outputs.results],
        sorted((id, late.step, late.missed, late.record.value) for id, late in outputs.late),
        sorted((id, failed.step, failed.reason) for id, failed in outputs.failed),
    ]


@pytest.mark.parametrize("steps", PLANS.values(), ids=PLANS)
@settings(max_examples=examples(25))
@given(found=out_of_order(), cuts=CUTS, restarts=st.booleans())
def test_results_and_their_ids_are_the_same_however_input_is_cut(
    steps: str, found: list[Value], cuts: list[int], restarts: bool
) -> None:
    plan = planned(steps, LATE)
    whole = run(plan, records(found))
    assert told(run(plan, records(found), cuts, restarts=restarts)) == told(whole)
    ids = [each.id for each in whole.results] + [id for id, _ in [*whole.late, *whole.failed]]
    assert len(set(ids)) == len(ids)


@settings(max_examples=examples(25))
@given(found=out_of_order(), cuts=CUTS)
def test_changes_told_by_other_batches_have_the_same_ids(found: list[Value], cuts: list[int]) -> None:
    plan = planned(CHANGING, LATE)
    each = {one.id: one.record.value for one in run(plan, records(found), range(len(found))).results}
    some = {one.id: one.record.value for one in run(plan, records(found), cuts, restarts=True).results}
    assert {id: each.get(id) for id in some} == some
    assert {id for id, value in some.items() if value["is_final"]} == {
        id for id, value in each.items() if value["is_final"]
    }


@settings(max_examples=examples(25))
@given(found=out_of_order())
def test_no_record_vanishes(found: list[Value]) -> None:
    plan = planned("  - window: {tumbling: 15m, aggregate: {n: count}}", LATE)
    outputs = run(plan, records(found))
    counted = sum(each.record.value["n"] for each in outputs.results)
    assert counted + len(outputs.late) == len(found)


JOIN = """
  - window: {tumbling: 15m, by: [sensor], aggregate: {n: count}}
  - join: {stream: {dataset: sensors, event_time: since}, on: {sensor: sensor}, take: {room: room}, within: 20m}"""


@settings(max_examples=examples(25))
@given(mine=out_of_order(20), theirs=out_of_order(20), turns=st.lists(st.booleans(), max_size=40), cuts=CUTS)
def test_a_join_of_streams_is_the_same_however_inputs_are_cut(
    mine: list[Value], theirs: list[Value], turns: list[bool], cuts: list[int]
) -> None:
    """Only the order counts in which records of both came."""
    plan = planned(JOIN, LATE)
    ours = [(MAIN, record) for record in records(mine)]
    shift = mine[0]["at"] - theirs[0]["at"] if mine and theirs else timedelta(0)  # so that some are near each other
    others = [("join1", record) for record in records([_sensor(value, shift) for value in theirs])]
    merged: list[tuple[str, Record]] = []
    for turn in [*turns, *[True] * len(ours), *[False] * len(others)]:
        queue = ours if turn else others
        if queue:
            merged.append(queue.pop(0))

    def outputs(cuts: list[int], *, restarts: bool) -> list[Any]:
        around = Around()
        current, made = chain(plan, around), Outputs([], [], [])
        for input, batch in _runs(merged, cuts):
            if restarts:
                current = chain(plan, around)
            extend(made, current.process(batch, input))
        extend(made, current.advance(END, 100, "join1"))
        extend(made, current.advance(END, 100))
        return told(made)

    assert outputs(cuts, restarts=True) == outputs([], restarts=False)


def _sensor(value: Value, shift: timedelta) -> Value:
    return {"sensor": value["sensor"], "room": f"room {value['id']}", "since": value["at"] + shift}


def _runs(merged: list[tuple[str, Record]], cuts: list[int]) -> list[tuple[str, list[Record]]]:
    """Batches of one input each."""
    runs: list[tuple[str, list[Record]]] = []
    for input, record in merged:
        if not runs or runs[-1][0] != input:
            runs.append((input, []))
        runs[-1][1].append(record)
    return [(input, batch) for input, found in runs for batch in batches(found, cuts)]
