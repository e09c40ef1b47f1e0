"""What was appended is what is found, to the last bit, whatever its type."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.projections.lake.avro_types import SCALARS, STRUCTURES, TYPES, AvroType, avro_json, exact, nullable
from tests.projections.lake.running import Lake
from tests.properties import examples

SHARING_A_WORKER = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """The fields of a schema, and records of it."""
    names = draw(st.lists(st.sampled_from(list(TYPES)), min_size=1, max_size=8, unique=True))
    types = {
        name: nullable(TYPES[name]) if can_be_null(name) and draw(st.booleans()) else TYPES[name] for name in names
    }
    fields = [{"name": name, "type": type_.avro} for name, type_ in types.items()]
    records = st.fixed_dictionaries({name: type_.values for name, type_ in types.items()})
    return fields, draw(st.lists(records, min_size=1, max_size=5))


def can_be_null(name: str) -> bool:
    return name not in ("union", "null")


@given(tables())
@settings(max_examples=examples(60), suppress_health_check=SHARING_A_WORKER)
async def test_records_come_back_as_they_were_appended(running: Lake, table: tuple[list[Any], list[Any]]) -> None:
    fields, records = table
    dataset = await running.create(fields, indexes=[field["name"] for field in fields if field["name"] in SCALARS])
    await running.append(dataset, records)
    assert await found(running, dataset, fields) == [exact(record) for record in records]


async def found(running: Lake, dataset: str, fields: list[Any]) -> list[str]:
    return [
        exact({field["name"]: avro_json(record[field["name"]], field["type"]) for field in fields})
        for record in await running.find(dataset)
    ]


EDGES: dict[str, list[Any]] = {
    "int": [-(2**31), 2**31 - 1],
    "long": [-(2**63), 2**63 - 1, 2**53 + 1],
    "float": [3.4028234663852886e38, -3.4028234663852886e38, 1.401298464324817e-45, -0.0],
    "double": [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0, 0.1],
    "date": [-719162, 2932896],  # 0001-01-01 and 9999-12-31
    "time_micros": [0, 86_399_999_999],
    "timestamp_micros": [-62135596800000000, 253402300799999999],
    "local_timestamp_millis": [-62135596800000, 253402300799999],
    "string": ["", "'; drop table records_1 --", "\u0001\u001f\u007f\u2028\U0010ffff", "x" * 100_000],
    "bytes": ["", "\u0000\u00ff"],
    "map": [{"": 1.7976931348623157e308, "\\": -0.0, "a'b\"c": 5e-324}],
    "array": [[], [None, {"string": ""}]],
    "union": [{"long": 1}, {"int": 1}, {"double": 1.0}, {"float": 1.0}, {"bytes": "\u0000"}, {"array": []}],
    "bytes_in_array": [["\u0000", ""]],
}


async def test_values_at_the_edges_come_back_as_they_were_appended(running: Lake) -> None:
    fields = [{"name": name, "type": nullable_unless_wide(name).avro} for name in EDGES]
    records = [
        {other: tagged(name, value) if other == name else None for other in EDGES}
        for name, values in EDGES.items()
        for value in values
    ]
    dataset = await running.create(fields)
    await running.append(dataset, records)
    assert await found(running, dataset, fields) == [exact(record) for record in records]


def nullable_unless_wide(name: str) -> AvroType:
    return nullable(TYPES[name]) if can_be_null(name) else TYPES[name]


def tagged(name: str, value: Any) -> Any:
    avro = nullable_unless_wide(name).avro
    kind = avro[1] if isinstance(avro[1], str) else avro[1]["type"]
    return value if name == "union" else {kind: value}


async def test_what_was_left_out_comes_back_as_its_default(running: Lake) -> None:
    defaults: dict[str, Any] = {
        "text": ("string", "none"),
        "numbers": ({"type": "array", "items": ["long", "null"]}, [1, 2]),
        "wide": (["long", "string"], 7),
        "nothing": (["null", {"type": "map", "values": "int"}], None),
    }
    fields = [{"name": name, "type": avro, "default": value} for name, (avro, value) in defaults.items()]
    dataset = await running.create([*fields, {"name": "id", "type": "int"}])
    await running.append(dataset, [{"id": 1}, {"id": 2, "text": "some", "wide": {"string": "x"}}])
    assert await running.find(dataset) == [
        {"text": "none", "numbers": [{"long": 1}, {"long": 2}], "wide": {"long": 7}, "nothing": None, "id": 1},
        {"text": "some", "numbers": [{"long": 1}, {"long": 2}], "wide": {"string": "x"}, "nothing": None, "id": 2},
    ]


async def test_structures_stay_as_they_are_when_they_are_nullable(running: Lake) -> None:
    fields = [{"name": name, "type": nullable(TYPES[name]).avro} for name in STRUCTURES if can_be_null(name)]
    dataset = await running.create(fields)
    record = {
        "array": {"array": [None, {"string": "a"}]},
        "map": {"map": {"a": 1.5}},
        "record": {"test.Inner": {"class": 1, "_from": {"int": 3}}},
        "bytes_in_array": {"array": ["\u00ff"]},
    }
    await running.append(dataset, [record, dict.fromkeys(record)])
    assert await running.find(dataset) == [
        {
            "array": [None, {"string": "a"}],
            "map": {"a": 1.5},
            "record": {"class": 1, "_from": {"int": 3}},
            "bytes_in_array": ["\u00ff"],
        },
        dict.fromkeys(record),
    ]
