# ruff: noqa: E501 - a case is a line
"""What a definition may say; whatever is wrong with one is told with its line and column, and what would be right."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from examples.flights.tables import TABLES
from pipelines.stream.definition.document import Document
from pipelines.stream.definition.model import json_schema
from pipelines.stream.definition.problems import InvalidDefinition
from pipelines.stream.definition.reading import read
from pipelines.stream.field_types import fields_of
from pipelines.stream.inputs import Known
from pipelines.stream.planning import plan
from tests.pipelines.stream.running import KNOWN

ROOT = Path(__file__).parents[3]
WHOLE = """\
pipeline: rooms
description: How warm it is, by room and hour.
source:
  dataset: readings
  event_time: at
  out_of_order: 10m
  key: sensor
steps:
  - filter: celsius != null && celsius > -40.0
  - dedupe: {by: [id], within: 1d}
  - flat_map: {each: tags, name: tag}
  - enrich:
      query: sensors.Find
      with: {sensor: sensor}
      name: found
  - join:
      table: {dataset: sensors}
      on: {sensor: sensor}
      take: {room: room}
  - window:
      hopping: {size: 1h, every: 15m}
      by: [room]
      lateness: 1h30m
      aggregate:
        readings: count
        frost: {count: celsius < 0.0}
        mean: {avg: celsius}
        p95: {quantile: celsius, at: 0.95}
        sensors: {distinct: sensor}
  - map:
      room: room
      fahrenheit: mean * 1.8 + 32.0
      window_start: window_start
sinks:
  - topic: rooms.warm
  - event: RoomMeasured
on_error: stop
"""


def told(text: str) -> list[str]:
    with pytest.raises(InvalidDefinition) as caught:
        plan(text, KNOWN)
    return [f"{each.place.line}:{each.place.column} {each.message}" for each in caught.value.problems]


def test_a_definition_gives_each_step_a_schema() -> None:
    made = plan(WHOLE, KNOWN)
    assert {name: str(type) for name, type in made.output.items()} == {
        "room": "string",
        "fahrenheit": "double?",
        "window_start": "timestamp",
    }
    assert [step.together for step in made.steps if step.together] == [("id",), ("room",)]
    window = made.steps[5].fields
    assert {name: str(type) for name, type in window.items() if name not in ("window_start", "window_end")} == {
        "room": "string",
        "readings": "int",
        "frost": "int",
        "mean": "double?",
        "p95": "double?",
        "sensors": "int",
    }


CASES = {
    "a field that isn't there": ("celsius > -40", "celsus > -40", "9:32 there is no field 'celsus' here; did you mean celsius?"),
    "types that don't go together": (
        "> -40.0",
        "> -40",
        "9:40 > doesn't go with double? and int; write a number with a point, or convert: double(…), int(…)",
    ),
    "a text added to a number": ("mean * 1.8", 'mean * 1.8 + "x"', "32:30 + doesn't go with double and string; convert: string(…)"),
    "a function that isn't there": ("celsius != null", "celsius.foo()", "9:24 there is no function 'foo'"),
    "no condition": ("celsius != null && celsius > -40.0", "sensor", "9:13 'sensor' is a string, and must be a bool"),
    "no CEL": ("celsius != null &&", "celsius != &&", "9:24 this isn't CEL: extraneous input '&&'"),
    "a misspelt key": ("event_time: at", "event_tim: at", "5:3 'event_tim' has no meaning here; did you mean event_time or events?"),
    "a misspelt step": ("- dedupe", "- dedup", "10:5 'dedup' has no meaning here; did you mean dedupe?"),
    "a misspelt choice": ("on_error: stop", "on_error: stahp", "37:11 'stahp' can't stand here; did you mean stop?"),
    "no duration": ("out_of_order: 10m", "out_of_order: 10 minutes", "6:17 '10 minutes' is not a duration"),
    "a duration of nothing": ("within: 1d", "within: 0d", "10:32 this must be longer than nothing"),
    "an unknown dataset": ("dataset: sensors", "dataset: sensor", "17:24 there is no dataset 'sensor'; did you mean sensors?"),
    "an unknown query": ("sensors.Find", "sensors.Fid", "13:14 there is no query 'sensors.Fid'; did you mean sensors.Find?"),
    "an unknown field of a query": ("with: {sensor:", "with: {senso:", "14:14 sensors.Find has no field 'senso'; did you mean sensor?"),
    "an unknown field to group by": ("by: [room]", "by: [rom]", "22:12 there is no field 'rom' here; did you mean room?"),
    "an unknown field of a table": ("take: {room: room}", "take: {room: rom}", "19:20 there is no field 'rom' here; did you mean room?"),
    "a field that is there already": ("take: {room:", "take: {tag:", "19:14 there is a field 'tag' already; choose another name"),
    "no list": ("each: tags", "each: sensor", "11:22 'sensor' is a string, and must be a list"),
    "a sum of texts": ("{avg: celsius}", "{avg: sensor}", "27:21 'sensor' is a string, and must be an int or a double"),
    "a quantile of nothing": (", at: 0.95", "", "28:14 a quantile needs `at`, such as at: 0.95"),
    "a quantile beyond all": ("at: 0.95", "at: 95", "28:38 this must be 0 to 1, not 95"),
    "two kinds of window": ("lateness: 1h30m", "session: 5m", "21:7 exactly one of tumbling, hopping, session must be here; here are hopping and session"),
    "windows with holes": ("every: 15m", "every: 2h", "21:34 windows start at least as often as they are long"),
    "no event time": ("event_time: at", "event_time: id", "5:15 'id' is an int, and must be a timestamp"),
    "nowhere to go": ("  - topic: rooms.warm\n  - event: RoomMeasured\n", "  []\n", "35:3 at least 1 must be here"),
    "a number as a text": ("topic: rooms.warm", "topic: 12", '35:12 this must be a text, not 12; write it in quotes: "12"'),
    "a key twice": ("  key: sensor", "  key: sensor\n  key: id", "8:3 'key' is there twice"),
    "an anchor": ("source:", "source: &here", "3:9 anchors and aliases aren't taken; write it out"),
    "no YAML": ("by: [room]", "by: [room", "23:15 this isn't YAML: "),
}  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "says"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_told_with_its_place(right: str, wrong: str, says: str) -> None:
    assert right in WHOLE
    assert told(WHOLE.replace(right, wrong, 1))[0].startswith(says)


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = (
        WHOLE.replace("celsius > -40.0", "celsus > -40.0")
        .replace("by: [id]", "by: [idd]")
        .replace("each: tags", "each: tag")
    )
    assert [each.split()[0] for each in told(text)] == ["9:32", "10:19", "11:22"]


def test_a_place_within_an_expression_over_lines_is_told() -> None:
    text = WHOLE.replace("celsius != null && celsius > -40.0", "|\n      celsius != null\n      && celsus > -40.0")
    assert told(text) == ["11:10 there is no field 'celsus' here; did you mean celsius?"]


def test_a_problem_is_shown_with_its_line() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        plan(WHOLE.replace("on_error: stop", "on_error: stahp"), KNOWN)
    assert caught.value.problems[0].shown("a\n" * 36 + "on_error: stahp", "rooms.yaml") == (
        "rooms.yaml:37:11: 'stahp' can't stand here; did you mean stop?\n    on_error: stahp\n              ^"
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "aggregate: {n: count}, emit: changes}\n  - window: {tumbling: 2h, aggregate: {n: count}",
            "a window can't follow one",
        ),
        ("aggregate: {window_end: count}", "there is a field 'window_end' already"),
        ("aggregate: {n: cnt}", "'cnt' can't stand here; did you mean count?"),
        ("aggregate: {n: {avvg: id}}", "'avvg' has no meaning here; did you mean avg?"),
    ],
)
def test_what_a_window_can_t_do_is_told(more: str, says: str) -> None:
    text = f"pipeline: p\nsource: {{dataset: readings}}\nsteps:\n  - window: {{tumbling: 1h, {more}}}\nsinks: [{{topic: t}}]"
    assert any(says in each for each in told(text))


def test_results_must_fit_the_dataset_they_go_to() -> None:
    text = "pipeline: p\nsource: {dataset: readings}\nsteps:\n  - map: {sensor: id, rom: sensor}\nsinks:\n  - dataset: sensors"
    assert told(text) == [
        "6:14 field sensor is int here, and string in dataset sensors",
        "6:14 dataset sensors has no field 'rom'; did you mean room?",
        "6:14 dataset sensors needs a field 'room', of type string, and results have none",
        "6:14 dataset sensors needs a field 'since', of type timestamp, and results have none",
    ]


def test_words_of_old_yaml_are_texts() -> None:
    _, document = read("pipeline: on\nsource: {dataset: no}\nsinks: [{topic: y}]")
    assert document.value == {"pipeline": "on", "source": {"dataset": "no"}, "sinks": [{"topic": "y"}]}


def test_the_published_json_schema_is_that_of_the_model() -> None:
    published = json.loads((ROOT / "docs/reference/pipeline.schema.json").read_text())
    assert published == json_schema(), "run `datapunk stream schema > docs/reference/pipeline.schema.json`"


def test_the_json_schema_takes_what_is_right_and_no_other() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert list(validator.iter_errors(Document(WHOLE).value)) == []
    for right, wrong in (("- dedupe", "- dedup"), ("1h30m", "90"), ("{count: celsius < 0.0}", "{count: a, avg: b}")):
        assert list(validator.iter_errors(Document(WHOLE.replace(right, wrong)).value)), wrong


def test_the_pipeline_that_the_reference_shows_is_right() -> None:
    schemas = {("dataset", table.name): fields_of(json.loads(table.schema)) for table in TABLES}
    made = plan((ROOT / "examples/flights/delays.yaml").read_text(), Known(schemas))
    assert list(made.output) == (
        ["carrier", "origin", "window_start", "window_end", "flights", "late", "delay", "p95", "wind_speed", "precip"]
    )
