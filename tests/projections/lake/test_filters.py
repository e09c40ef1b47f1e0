"""Filters find what the same comparison in Python finds, and nothing else gets through."""

from __future__ import annotations

import json
import operator
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datapunk.errors import QueryFailed
from schemas.lake.types import Filter, Operator, Order
from tests.projections.lake.avro_types import SCALARS, nullable
from tests.projections.lake.running import Lake
from tests.properties import examples

SHARING_A_WORKER = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
COMPARISONS = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.integers(-3, 3),
    "fraction": st.sampled_from([-1e308, -0.5, 0.0, 0.1, 1.7976931348623157e308]),
    "text": st.sampled_from(["", "a", "ab", "B", "é", "'", "%", "_", "\\", '"; --', "null"]),
    "flag": st.booleans(),
}
FIELDS = [
    {"name": "number", "type": ["null", "long"]},
    {"name": "fraction", "type": ["null", "double"]},
    {"name": "text", "type": ["null", "string"]},
    {"name": "flag", "type": ["null", "boolean"]},
]
TAGS = {"number": "long", "fraction": "double", "text": "string", "flag": "boolean"}


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    field = draw(st.sampled_from(list(VALUES)))
    ops = [*COMPARISONS, Operator.IN, Operator.IS_NULL, Operator.NOT_NULL]
    op = draw(st.sampled_from([*ops, Operator.PREFIX] if field == "text" else ops))
    value = draw(st.lists(VALUES[field], max_size=3) if op is Operator.IN else VALUES[field])
    return Filter(field=field, op=op, value=json.dumps(value))


def meets(row: Any, filter: Filter) -> bool:
    """What SQL and Python agree on: null meets no comparison."""
    value, wanted = row[filter.field], json.loads(filter.value)
    if filter.op is Operator.IS_NULL:
        return value is None
    if value is None:
        return False
    if filter.op is Operator.IN:
        return value in wanted
    if filter.op is Operator.PREFIX:
        return value.startswith(wanted)
    return filter.op is Operator.NOT_NULL or COMPARISONS[filter.op](value, wanted)


@given(
    rows=st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), max_size=12),
    where=st.lists(filters(), min_size=1, max_size=3),
)
@settings(max_examples=examples(60), suppress_health_check=SHARING_A_WORKER)
async def test_filters_find_what_python_finds(running: Lake, rows: list[Any], where: list[Filter]) -> None:
    dataset = await running.create(FIELDS, indexes=["text"])
    if rows:
        tagged = [{name: None if value is None else {TAGS[name]: value} for name, value in row.items()} for row in rows]
        await running.append(dataset, tagged)
    assert await running.find(dataset, *where) == [row for row in rows if all(meets(row, each) for each in where)]


@given(data=st.data(), name=st.sampled_from(list(SCALARS)))
@settings(max_examples=examples(60), suppress_health_check=SHARING_A_WORKER)
async def test_a_value_that_was_found_finds_its_record(running: Lake, data: st.DataObject, name: str) -> None:
    type_ = SCALARS[name]
    dataset = await running.create([{"name": "v", "type": type_.avro}])
    await running.append(dataset, [{"v": data.draw(type_.values)}])
    (record,) = await running.find(dataset)
    for op, value in ((Operator.EQ, record["v"]), (Operator.IN, [record["v"]]), (Operator.LE, record["v"])):
        assert await running.find(dataset, Filter(field="v", op=op, value=json.dumps(value))) == [record]
    assert await running.find(dataset, Filter(field="v", op=Operator.NE, value=json.dumps(record["v"]))) == []


INJECTIONS = ["'; drop table records_1; --", "' or '1'='1", "\\'; select 1 --", "$$; select 1", "%", "{}", "%s", "}{"]


async def test_a_value_is_never_sql(running: Lake) -> None:
    dataset = await running.create([{"name": "v", "type": "string"}])
    await running.append(dataset, [{"v": text} for text in INJECTIONS])
    for text in INJECTIONS:
        for op in (Operator.EQ, Operator.PREFIX):
            assert {"v": text} in await running.find(dataset, Filter(field="v", op=op, value=json.dumps(text)))
    assert len(await running.find(dataset)) == len(INJECTIONS)


async def test_a_field_is_one_of_the_schema(running: Lake) -> None:
    dataset = await running.create([{"name": "v", "type": "string"}])
    for text in [*INJECTIONS, '"v"', "v; --", 'v" desc; --', "_partition", "_offset", "ctid", "V", ""]:
        for where, order in (([Filter(field=text, value='"x"')], []), ([], [Order(field=text)])):
            with pytest.raises(QueryFailed) as failed:
                await running.page(dataset, where, order)
            assert failed.value.error_code == "field_unknown"


async def test_a_dataset_is_one_that_exists(running: Lake) -> None:
    await running.create([{"name": "v", "type": "string"}])
    for text in INJECTIONS:
        with pytest.raises(QueryFailed) as failed:
            await running.page(text)
        assert failed.value.error_code == "dataset_unknown"


EVERY_FIELD = [
    *({"name": name, "type": nullable(type_).avro} for name, type_ in SCALARS.items()),
    {"name": "structure", "type": {"type": "array", "items": "int"}},
]
INVALID: list[tuple[str, Operator, str]] = [
    ("int", Operator.EQ, "x"),
    ("int", Operator.EQ, ""),
    ("int", Operator.EQ, "null"),
    ("int", Operator.EQ, "[1]"),
    ("int", Operator.EQ, "{}"),
    ("int", Operator.EQ, "true"),
    ("int", Operator.EQ, "1.5"),
    ("int", Operator.EQ, str(2**70)),
    ("int", Operator.EQ, '"one"'),
    ("int", Operator.EQ, "[" * 100_000),
    ("int", Operator.IN, "1"),
    ("int", Operator.IN, "[null]"),
    ("int", Operator.IN, json.dumps(list(range(1001)))),
    ("int", Operator.PREFIX, "1"),
    ("double", Operator.EQ, '"NaN"'),
    ("double", Operator.EQ, '"Infinity"'),
    ("double", Operator.EQ, "1e999"),
    ("float", Operator.EQ, "1e39"),
    ("string", Operator.EQ, "1"),
    ("string", Operator.PREFIX, "null"),
    ("string", Operator.EQ, '"a\\u0000"'),
    ("string", Operator.EQ, '"\\ud800"'),
    ("boolean", Operator.EQ, '"true"'),
    ("bytes", Operator.EQ, '"é"'),
    ("bytes", Operator.EQ, '"abc"'),
    ("uuid", Operator.EQ, '"x"'),
    ("date", Operator.EQ, '"today"'),
    ("date", Operator.EQ, '"31.12.2013"'),
    ("date", Operator.EQ, "1"),
    ("time_millis", Operator.EQ, '"25:00"'),
    ("time_millis", Operator.EQ, '"09:00+02:00"'),
    ("timestamp_micros", Operator.EQ, '"infinity"'),
    ("local_timestamp_micros", Operator.EQ, '"2013-12-31T00:00:00Z"'),
    ("decimal", Operator.EQ, '"1_0x"'),
    ("structure", Operator.EQ, "[1]"),
]


async def test_a_value_that_does_not_fit_its_field_is_refused(running: Lake) -> None:
    dataset = await running.create(EVERY_FIELD)
    for field, op, value in INVALID:
        with pytest.raises(QueryFailed) as failed:
            await running.page(dataset, [Filter(field=field, op=op, value=value)])
        assert (failed.value.error_code, field) == ("filter_invalid", field), failed.value
        assert field in str(failed.value) or "range" in str(failed.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp_micros", '"2013-12-31T23:00:00"'),
        ("timestamp_micros", '"2014-01-01T01:00:00+02:00"'),
        ("decimal", "0.1"),
        ("decimal", '"0.10"'),
        ("long", str(2**63 - 1)),
        ("bytes", json.dumps(b64encode(b"\0").decode())),
    ],
)
async def test_a_value_may_be_written_in_several_ways(running: Lake, field: str, value: str) -> None:
    dataset = await running.create(EVERY_FIELD)
    values = {
        "timestamp_micros": {"long": 1_388_530_800_000_000},
        "decimal": {"bytes": (10**499).to_bytes(208, "big").decode("latin-1")},
        "long": {"long": 2**63 - 1},
        "bytes": {"bytes": "\0"},
    }
    record = dict.fromkeys(SCALARS) | values | {"structure": []}
    await running.append(dataset, [record])
    assert len(await running.find(dataset, Filter(field=field, value=value))) == 1


async def test_structures_can_be_asked_whether_they_are_there(running: Lake) -> None:
    dataset = await running.create(
        [
            {"name": "v", "type": nullable(SCALARS["int"]).avro},
            {"name": "s", "type": ["null", {"type": "map", "values": "int"}]},
        ]
    )
    await running.append(dataset, [{"v": None, "s": {"map": {"a": 1}}}, {"v": None, "s": None}])
    assert await running.find(dataset, Filter(field="s", op=Operator.NOT_NULL)) == [{"v": None, "s": {"a": 1}}]
    assert await running.find(dataset, Filter(field="s", op=Operator.IS_NULL)) == [{"v": None, "s": None}]


async def test_structures_have_no_order(running: Lake) -> None:
    dataset = await running.create(EVERY_FIELD)
    with pytest.raises(QueryFailed) as failed:
        await running.page(dataset, order=[Order(field="structure")])
    assert failed.value.error_code == "order_invalid"


@pytest.mark.parametrize(("filters", "orders"), [(21, 0), (0, 5)])
async def test_a_query_has_bounds(running: Lake, filters: int, orders: int) -> None:
    dataset = await running.create(EVERY_FIELD)
    with pytest.raises(QueryFailed) as failed:
        await running.page(dataset, [Filter(field="int", value="1")] * filters, [Order(field="int")] * orders)
    assert failed.value.error_code == "query_too_large"
