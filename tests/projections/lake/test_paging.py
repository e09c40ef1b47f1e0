"""Pages, put together, are the whole: whatever the order, the ties, the nulls and the size of a page."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection, sql

from datapunk.errors import QueryFailed
from projections.lake import find_records
from projections.lake.columns import columns_of
from projections.lake.find_records import PLACE, page_statement
from projections.lake.paging import Page, SortKey
from schemas.lake.types import Filter, Operator, Order
from tests.projections.lake.running import Lake
from tests.properties import examples

SHARING_A_WORKER = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
FIELDS = [
    {"name": "a", "type": ["null", "int"]},
    {"name": "b", "type": "string"},
    {"name": "c", "type": ["null", "double"]},
    {"name": "n", "type": "int"},
]
# Few values, so that there are ties.
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.integers(0, 2).map(lambda v: {"int": v}),
            "b": st.sampled_from(["", "a", "B", "é", "'", "_"]),
            "c": st.none() | st.sampled_from([-0.0, 0.0, 0.1, -1e308]).map(lambda v: {"double": v}),
        }
    ),
    min_size=1,
    max_size=30,
)
ORDERS = st.lists(st.builds(Order, field=st.sampled_from("abc"), descending=st.booleans()), max_size=3)


@given(rows=ROWS, order=ORDERS, limit=st.integers(1, 12))
@settings(max_examples=examples(40), suppress_health_check=SHARING_A_WORKER)
async def test_pages_together_are_the_whole_in_order(
    running: Lake, rows: list[Any], order: list[Order], limit: int
) -> None:
    dataset = await running.create(FIELDS, partitions=2, indexes=["a", "b"])
    numbered = [{**row, "n": number} for number, row in enumerate(rows)]
    for partition in range(2):
        if share := numbered[partition::2]:
            await running.append(dataset, share, partition)
    found = await running.find(dataset, order=order, limit=limit)
    whole = await running.find(dataset)
    assert [row["n"] for row in whole] == [row["n"] for row in (*numbered[0::2], *numbered[1::2])]
    assert [row["n"] for row in found] == [row["n"] for row in in_order(whole, order)]


def in_order(rows: list[Any], order: list[Order]) -> list[Any]:
    """Python's idea of it: nulls last, or first when descending; text by code point; ties as they were."""
    for key in reversed(order):
        rows = sorted(rows, key=lambda row: _place(row[key.field]), reverse=key.descending)  # called here
    return rows


def _place(value: Any) -> Any:
    return (value is None, 0 if value is None else value)


async def test_rows_that_arrive_meanwhile_shift_nothing(running: Lake) -> None:
    dataset = await running.create([{"name": "n", "type": "int"}], indexes=["n"])
    await running.append(dataset, [{"n": number} for number in range(0, 100, 2)])
    order = [Order(field="n")]
    page = await running.page(dataset, order=order, limit=10)
    found = json.loads(page.records)
    while page.next is not None:
        # One before and one after where we are.
        await running.append(dataset, [{"n": found[-1]["n"] - 1}, {"n": 1000}])
        page = await running.page(dataset, order=order, limit=10, after=page.next)
        found += json.loads(page.records)
        if len(found) > 50:
            break
    numbers = [row["n"] for row in found if row["n"] < 1000]
    assert numbers == list(range(0, 100, 2))


@pytest.mark.parametrize("is_descending", [False, True])
async def test_a_later_page_starts_in_the_middle_of_the_index(
    running: Lake, connection: AsyncConnection[Any], is_descending: bool
) -> None:
    dataset = await running.create([{"name": "n", "type": "int"}], indexes=["n"])
    await running.append(dataset, [{"n": number} for number in range(5000)])
    await running.find(dataset, limit=10_000)
    table, (column,) = sql.Identifier("lake_records", "records_1"), columns_of(await schema_of(connection))
    page = Page([SortKey(column, is_descending), *PLACE])
    beyond = await page.beyond(connection, table, 0, 2500)
    await connection.execute("analyze lake_records.records_1")
    plan = await connection.execute(
        sql.SQL("explain select * from {} where {} order by {} limit 10").format(table, beyond, page.order_by())
    )
    steps = " ".join(row[0] for row in await plan.fetchall())
    assert f"Index Cond: (n {'<=' if is_descending else '>='} 2500)" in steps, steps


async def schema_of(connection: AsyncConnection[Any]) -> str:
    """Of the only dataset."""
    row = await (await connection.execute("select schema from lake_records.catalog")).fetchone()
    assert row is not None
    return str(row[0])


async def test_a_page_ends_where_it_gets_too_large(running: Lake) -> None:
    dataset = await running.create([{"name": "text", "type": "string"}])
    for _ in range(3):
        await running.append(dataset, [{"text": "x" * 1_000_000}] * 3)
    page = await running.page(dataset)
    assert 1 <= page.count < 9
    assert page.next is not None
    assert len(await running.find(dataset)) == 9


SMALL, LARGE = {"text": "", "digits": "\x01", "list": []}, 3_000
LARGE_ROWS = {
    "text": {**SMALL, "text": "é" * (LARGE // 2)},
    "decimal": {**SMALL, "digits": "\x7f" * 400},
    "structure": {**SMALL, "list": ["x" * LARGE]},
}


@pytest.mark.parametrize("large", LARGE_ROWS)
async def test_rows_beyond_a_full_page_stay_in_the_database(
    running: Lake, connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch, large: str
) -> None:
    monkeypatch.setattr(find_records, "MAX_PAGE_BYTES", 20_000)
    dataset = await running.create(
        [
            {"name": "text", "type": "string"},
            {"name": "digits", "type": {"type": "bytes", "logicalType": "decimal", "precision": 1000, "scale": 0}},
            {"name": "list", "type": {"type": "array", "items": "string"}},
        ]
    )
    await running.append(dataset, [*[SMALL] * 100, *[LARGE_ROWS[large]] * 30])
    first = await running.page(dataset)
    assert first.next is not None
    assert len(await running.find(dataset)) == 130
    columns = {column.field: column for column in columns_of(await schema_of(connection))}
    table = sql.Identifier("lake_records", "records_1")
    statement = page_statement(table, columns, [], Page(PLACE), 10_000)
    cursor = await connection.execute(statement)
    assert first.count < cursor.rowcount <= 100 + 20_000 // (LARGE // 4)


async def test_a_cursor_is_what_a_page_gave(running: Lake) -> None:
    dataset = await running.create([{"name": "n", "type": "int"}])
    await running.append(dataset, [{"n": 1}, {"n": 2}])
    given = (await running.page(dataset, limit=1)).next
    assert given is not None
    mark = json.loads(b64decode(given))[0]
    forged = [[mark, 7, 0], [mark, 0, 2**62], [mark, 2**40, 0], [mark, -1, 0], [mark, "0", 0], [mark], [], {}, 1]
    encoded = [b64encode(json.dumps(each).encode()).decode() for each in forged]
    for after in ["", "x", "é", "'; drop table records_1 --", *encoded]:
        with pytest.raises(QueryFailed) as failed:
            await running.page(dataset, after=after)
        assert failed.value.error_code == "cursor_invalid"


async def test_a_cursor_belongs_to_its_query(running: Lake) -> None:
    dataset = await running.create([{"name": "n", "type": "int"}])
    await running.append(dataset, [{"n": number} for number in range(3)])
    page = await running.page(dataset, limit=1)
    assert page.next is not None
    assert (await running.page(dataset, limit=2, after=page.next)).count == 2
    for query in (
        {"order": [Order(field="n")]},
        {"where": [Filter(field="n", op=Operator.NOT_NULL)]},
    ):
        with pytest.raises(QueryFailed) as failed:
            await running.page(dataset, **query, after=page.next)  # type: ignore[arg-type]
        assert failed.value.error_code == "cursor_invalid"


async def test_a_limit_is_bounded(running: Lake) -> None:
    dataset = await running.create(FIELDS)
    for limit in (0, -1, 10_001):
        with pytest.raises(QueryFailed) as failed:
            await running.page(dataset, limit=limit)
        assert failed.value.error_code == "limit_invalid"
