"""What each step does with single records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pipelines.stream.operators.chain import Origin, Stopped
from pipelines.stream.operators.instants import microseconds
from pipelines.stream.operators.record import END, Record, Value
from pipelines.stream.operators.state import MappingState
from tests.pipelines.stream.running import Around, chain, planned, records, run, values

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNT = "  - window: {tumbling: 1h, aggregate: {n: count}%s}"


def reading(minute: float = 0, **changed: Any) -> Value:
    at = NOON + timedelta(minutes=minute)
    return {"id": 1, "sensor": "a", "celsius": 20.0, "at": at, "tags": [], **changed}


def results(steps: str, *found: Value, source: str = "event_time: at", around: Around | None = None) -> list[Value]:
    outputs = run(planned(steps, source), records(found), around=around)
    assert outputs.failed == []
    return values(outputs)


def test_a_filter_keeps_what_its_condition_holds_of() -> None:
    assert results('  - filter: sensor == "b"', reading(), reading(sensor="b")) == [reading(sensor="b")]


def test_a_map_makes_a_new_record() -> None:
    steps = '  - map: {sensor: sensor, kelvin: "celsius + 273.15"}'
    assert results(steps, reading()) == [{"sensor": "a", "kelvin": 293.15}]


def test_a_flat_map_makes_a_record_of_each_item() -> None:
    made = results("  - flat_map: {each: tags, name: tag}", reading(tags=["x", "y"]), reading(tags=[]))
    assert [value["tag"] for value in made] == ["x", "y"]


def test_a_window_ends_where_the_next_starts() -> None:
    made = results(COUNT % "", reading(0), reading(59.99), reading(60))
    assert made == [
        {"window_start": NOON, "window_end": NOON + timedelta(hours=1), "n": 2},
        {"window_start": NOON + timedelta(hours=1), "window_end": NOON + timedelta(hours=2), "n": 1},
    ]


def test_a_result_is_there_as_soon_as_the_watermark_passes_its_window() -> None:
    running = chain(planned(COUNT % "", "event_time: at, out_of_order: 10m"))
    assert running.process(records([reading(0), reading(69)])).results == []
    (result,) = running.process([Record(None, reading(70), 0, 2)]).results
    assert (result.record.value["n"], result.record.offset) == (1, 2)


def test_what_comes_after_its_window_is_done_goes_to_the_side() -> None:
    outputs = run(planned(COUNT % "", "event_time: at"), records([reading(0), reading(60), reading(59)]))
    assert [value["n"] for value in values(outputs)] == [1, 1]
    ((_, late),) = outputs.late
    assert (late.step, late.record.offset, late.missed) == (0, 2, (microseconds(NOON),))


def test_a_window_with_lateness_waits_for_late_records() -> None:
    outputs = run(planned(COUNT % ", lateness: 5m"), records([reading(0), reading(64), reading(59), reading(65)]))
    assert [value["n"] for value in values(outputs)] == [2, 2]
    assert outputs.late == []


def test_a_record_too_late_for_some_of_its_windows_counts_in_the_others_and_is_told() -> None:
    plan = planned("  - window: {hopping: {size: 1h, every: 30m}, aggregate: {n: count}}")
    outputs = run(plan, records([reading(0), reading(65), reading(45)]))
    ((_, late),) = outputs.late
    assert late.missed == (microseconds(NOON),)
    assert [value["n"] for value in values(outputs)] == [1, 1, 2, 1]


def test_a_window_that_emits_changes_tells_each_and_which_is_final() -> None:
    running = chain(planned(COUNT % ", emit: changes"))
    told = [running.process([each]).results for each in records([reading(0), reading(1), reading(60)])]
    seen = [[(one.record.value["n"], one.record.value["is_final"]) for one in some] for some in told]
    assert seen == [[(1, False)], [(2, False)], [(2, True), (1, False)]]


def test_a_record_between_two_sessions_makes_them_one() -> None:
    plan = planned("  - window: {session: 10m, aggregate: {n: count}}", "event_time: at, out_of_order: 1h")
    (made,) = values(run(plan, records([reading(0), reading(18), reading(9)])))
    assert made == {"window_start": NOON, "window_end": NOON + timedelta(minutes=28), "n": 3}


def test_a_gap_as_long_as_said_parts_sessions() -> None:
    made = results("  - window: {session: 10m, aggregate: {n: count}}", reading(0), reading(10))
    assert [value["n"] for value in made] == [1, 1]


def test_a_sum_beyond_64_bits_fails_and_others_go_on() -> None:
    plan = planned("  - window: {tumbling: 1h, by: [sensor], aggregate: {total: {sum: id}}}")
    outputs = run(plan, records([reading(id=1 << 62), reading(id=1 << 62), reading(sensor="b")]))
    assert [value["total"] for value in values(outputs)] == [1]
    assert "64 bits" in outputs.failed[0][1].reason


def test_a_duplicate_is_dropped_as_long_as_the_first_is_remembered() -> None:
    steps = "  - dedupe: {by: [id], within: 1h}"
    made = results(steps, reading(0), reading(30), reading(60, id=2), reading(61))
    assert [value["at"] for value in made] == [reading(minute)["at"] for minute in (0, 60, 61)]


def test_what_was_seen_is_forgotten_in_the_state_too() -> None:
    around = Around()
    results("  - dedupe: {by: [id], within: 1h}", *(reading(minute, id=minute) for minute in range(300)), around=around)
    assert around.tables["0.dedupe"] == {}


def test_a_query_s_answer_becomes_a_field() -> None:
    steps = "  - enrich: {query: sensors.Find, with: {sensor: sensor}, name: found}"
    made = results(steps, reading(), reading(sensor="z"), around=Around(answers={"a": {"room": "attic"}}))
    assert [value["found"] for value in made] == [{"room": "attic"}, None]


def test_a_function_makes_any_number_of_records() -> None:
    def halves(value: Value) -> list[Value]:
        return [{"half": value["celsius"] / 2}] * 2

    steps = "  - python: {function: halves, returns: {half: double}}"
    assert results(steps, reading(), around=Around(functions={"halves": halves})) == [{"half": 10.0}] * 2


@pytest.mark.parametrize("returned", [{"half": "1"}, {"whole": 1.0}, [1]])
def test_a_function_that_returns_something_else_fails_that_record(returned: Any) -> None:
    plan = planned("  - python: {function: f, returns: {half: double}}")
    outputs = run(plan, records([reading()]), around=Around(functions={"f": lambda _: returned}))
    assert "f returned" in outputs.failed[0][1].reason


TABLE = "  - join: {table: {dataset: sensors}, on: {sensor: sensor}, take: {room: room}%s}"


def test_a_table_s_latest_row_counts() -> None:
    running = chain(planned(TABLE % ""))
    running.fill([Record(None, {"sensor": "a", "room": room}, 0, 0) for room in ("cellar", "attic")], "join0")
    made = running.process(records([reading(), reading(sensor="b")])).results
    assert [one.record.value["room"] for one in made] == ["attic"]


def test_a_record_without_a_row_can_be_kept() -> None:
    running = chain(planned(TABLE % ", keep_unmatched: true"))
    (made,) = running.process(records([reading()])).results
    assert made.record.value["room"] is None


def test_streams_are_joined_by_key_and_time() -> None:
    join = "{stream: {dataset: sensors, event_time: since}, on: {sensor: sensor}, take: {room: room}, within: 10m}"
    running = chain(planned(f"  - join: {join}"))
    running.process(records([reading(0), reading(11), reading(5, sensor="b")]))
    moved = {"sensor": "a", "room": "attic", "since": NOON + timedelta(minutes=10)}
    (far, near) = running.process([Record(None, moved, 0, 0)], "join0").results
    assert [one.record.value["at"] for one in (far, near)] == [NOON, NOON + timedelta(minutes=11)]
    assert near.record.time == microseconds(NOON + timedelta(minutes=11))


def test_a_record_that_fails_goes_to_the_side_and_others_go_on() -> None:
    outputs = run(planned("  - filter: 10 / id > 1"), records([reading(id=0), reading(id=2)]))
    assert [value["id"] for value in values(outputs)] == [2]
    ((id, failed),) = outputs.failed
    assert (failed.step, failed.record.offset, failed.reason) == (0, 0, "divide by zero")
    assert isinstance(id, UUID)


def test_a_null_that_is_not_expected_is_told_as_such() -> None:
    outputs = run(planned("  - filter: celsius > 1.0"), records([reading(celsius=None)]))
    assert "null" in outputs.failed[0][1].reason


def test_a_record_without_a_time_fails() -> None:
    outputs = run(planned("  - filter: 'true'"), records([reading(at=None)]))
    assert [(failed.step, failed.reason) for _, failed in outputs.failed] == [(-1, "event_time: it's null")]


def test_a_pipeline_told_to_stop_does_so_and_writes_nothing() -> None:
    around = Around()
    running = chain(planned("  - filter: 10 / id > 1\n" + COUNT % "", more="on_error: stop"), around)
    with pytest.raises(Stopped, match="offset 1: divide by zero"):
        running.process(records([reading(id=1), reading(id=0)]))
    assert not any(around.tables.values())


def test_an_idle_input_holds_the_watermark_until_it_is_told_to_be_idle() -> None:
    join = "{stream: {dataset: sensors, event_time: since}, on: {sensor: sensor}, take: {room: room}, within: 10m}"
    running = chain(planned(f"{COUNT % ''}\n  - map: {{sensor: '\"a\"', n: n}}\n  - join: {join}"))
    running.process(records([reading(0), reading(60)]))
    assert running.watermark < microseconds(NOON)
    running.advance(END, 0, "join2")
    assert running.watermark == microseconds(NOON + timedelta(hours=1))


def test_ids_differ_by_pipeline_version_and_partition() -> None:
    plan = planned("  - filter: 'true'")
    origins = [Origin("p", 1, 0), Origin("q", 1, 0), Origin("p", 2, 0), Origin("p", 1, 1)]
    ids = {plan.chain(origin, Around()).process(records([reading()])).results[0].id for origin in origins}
    assert len(ids) == 4


def test_state_is_scanned_window_by_window() -> None:
    state = MappingState({b"other": b""}, b"mine/")
    for window in (5, -1 << 40, 0, 3):
        state.set(window, ("a", NOON, None), [window])
    assert list(state.scan(before=5)) == [(window, ("a", NOON, None), [window]) for window in (-1 << 40, 0, 3)]
    state.delete(3, ("a", NOON, None))
    assert state.get(3, ("a", NOON, None)) is None
