"""Whatever a field is called, it has a column of its type, and what should be indexed is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from schemas.lake.types import Filter, Order
from tests.projections.lake.avro_types import SCALARS, nullable
from tests.projections.lake.running import Lake

SQL_WORDS = ["select", "from", "where", "order", "group", "user", "table", "primary", "default", "offset"]
PYTHON_WORDS = ["class", "def", "import", "None", "True", "self", "cls", "lambda", "async"]
SYSTEM_COLUMNS = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"]
NAMES = [*SQL_WORDS, *PYTHON_WORDS, *SYSTEM_COLUMNS, "oid", "MixedCase", "UPPER", "partition", "a_", "A1"]
LONGEST = "x" * 63


async def test_any_name_that_avro_allows_is_a_column(running: Lake) -> None:
    names = [*NAMES, LONGEST]
    dataset = await running.create([{"name": name, "type": "int"} for name in names], indexes=["xmin", "select"])
    record = {name: number for number, name in enumerate(names)}
    await running.append(dataset, [record])
    for name in names:
        assert await running.find(dataset, Filter(field=name, value=str(record[name])), order=[Order(field=name)]) == [
            record
        ]


async def test_columns_have_the_types_of_their_fields(running: Lake, connection: AsyncConnection[Any]) -> None:
    fields = [{"name": name, "type": nullable(type_).avro} for name, type_ in SCALARS.items()]
    await running.find(await running.create(fields))
    cursor = await connection.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 'lake_records.records_1'::regclass and attnum > 0"
    )
    assert dict(await cursor.fetchall()) == {
        "_partition": "integer",
        "_offset": "bigint",
        "string": "text",
        "int": "integer",
        "long": "bigint",
        "float": "real",
        "double": "double precision",
        "boolean": "boolean",
        "bytes": "bytea",
        "fixed": "bytea",
        "enum": "text",
        "uuid": "uuid",
        "date": "date",
        "time_millis": "time without time zone",
        "time_micros": "time without time zone",
        "timestamp_millis": "timestamp with time zone",
        "timestamp_micros": "timestamp with time zone",
        "local_timestamp_millis": "timestamp without time zone",
        "local_timestamp_micros": "timestamp without time zone",
        "decimal": "numeric",
        "odd": "bigint",
        "money": "numeric",
    }


async def test_a_type_that_has_a_name_is_used_again_by_it(running: Lake, connection: AsyncConnection[Any]) -> None:
    money = {"type": "fixed", "name": "Money", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 2}
    suit = {"type": "enum", "name": "cards.Suit", "symbols": ["SPADES", "HEARTS"]}
    mark = {"type": "fixed", "name": "Mark", "size": 16, "logicalType": "uuid"}
    types = {
        "price": money,
        "suit": suit,
        "mark": mark,
        "discount": "Money",
        "tax": ["null", "test.Money"],
        "trump": "cards.Suit",
        "twin": "Mark",
    }
    fields = [{"name": name, "type": avro} for name, avro in types.items()]
    dataset = await running.create(fields, indexes=["discount", "trump", "twin"])
    id = "0191d0a0-0000-7000-8000-0000000000ff"
    data = UUID(id).bytes.decode("latin-1")
    await running.append(
        dataset,
        [
            {
                "price": "\u0003\u00e8",
                "suit": "SPADES",
                "mark": data,
                "discount": "\u0000\u0001",
                "tax": {"test.Money": "\u00ff\u00ff"},
                "trump": "HEARTS",
                "twin": data,
            }
        ],
    )
    assert await running.find(
        dataset, Filter(field="discount", value="0.01"), Filter(field="twin", value=f'"{id}"')
    ) == [
        {
            "price": "10.00",
            "suit": "SPADES",
            "mark": id,
            "discount": "0.01",
            "tax": "-0.01",
            "trump": "HEARTS",
            "twin": id,
        }
    ]


async def test_key_and_indexes_are_indexed_in_every_partition(running: Lake, connection: AsyncConnection[Any]) -> None:
    fields = [{"name": "id", "type": "string"}, {"name": "at", "type": ["null", "long"]}, {"name": "no", "type": "int"}]
    await running.find(await running.create(fields, key="id", indexes=["at"], partitions=3))
    cursor = await connection.execute(
        "select tablename, indexdef from pg_indexes where schemaname = 'lake_records' and tablename like 'records_1_%'"
    )
    found = {(table, text.rpartition(" USING ")[2]) for table, text in await cursor.fetchall()}
    assert found == {
        (f"records_1_{partition}", f"btree ({columns})")
        for partition in range(3)
        for columns in ("_partition, _offset", "id, _partition, _offset", "at, _partition, _offset")
    }
