"""The records themselves: a table a dataset, with a column a field, split by partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from psycopg import sql

from datapunk import Projection, Recorded, Rows, projects
from datapunk.messages.codec import codec_of_text
from projections.lake.columns import OFFSET, PARTITION, Column, columns_of
from projections.lake.expiry import is_older
from projections.lake.structures import structures_of
from schemas.lake.events import DatasetCreated, DatasetDeleted, RecordsAppended, RecordsExpired


def table_name(number: int) -> str:
    """The table of the dataset with this number in the catalog."""
    return f"records_{number}"


class Records(Projection):
    """Typed, indexed rows, in a table partitioned like the dataset itself."""

    module = "lake"
    name = "records"
    version = 3  # with what expired

    @projects(DatasetCreated)
    async def created(self, rows: Rows, events: Sequence[Recorded[DatasetCreated]]) -> None:
        """Create the dataset's table."""
        for recorded in events:
            event = recorded.event
            cursor = await rows.execute(
                "insert into catalog (tenant, dataset, schema, key) values (%s, %s, %s, %s) returning number",
                (recorded.tenant, recorded.actor, event.schema, event.key),
            )
            found = await cursor.fetchone()
            assert found is not None
            table, columns = table_name(found[0]), columns_of(event.schema)
            await rows.execute(_create_table(table, columns))
            for partition in range(event.partitions):
                await rows.execute(
                    sql.SQL("create table {} partition of {} for values in ({})").format(
                        sql.Identifier(f"{table}_{partition}"), sql.Identifier(table), sql.Literal(partition)
                    )
                )
            indexed = {event.key, *event.indexes}
            for column in columns:
                if column.field in indexed:
                    await rows.execute(
                        sql.SQL("create index on {} ({}, {}, {})").format(
                            sql.Identifier(table), *map(sql.Identifier, (column.name, PARTITION, OFFSET))
                        )
                    )

    @projects(RecordsAppended)
    async def appended(self, rows: Rows, events: Sequence[Recorded[RecordsAppended]]) -> None:
        """Copy the rows in, a partition at a time."""
        shares: dict[tuple[str, str, int], list[RecordsAppended]] = {}
        for recorded in events:
            event = recorded.event
            shares.setdefault((recorded.tenant, event.dataset, event.partition), []).append(event)
        catalog = await _look_up(rows, {(tenant, dataset) for tenant, dataset, _ in shares})
        for (tenant, dataset, partition), appended in shares.items():
            entry = catalog.get((tenant, dataset))
            if entry is None:
                continue  # deleted meanwhile: an append was under way when the dataset went
            number, schema = entry
            await _copy(rows, f"{table_name(number)}_{partition}", partition, schema, appended)

    @projects(RecordsExpired)
    async def expired(self, rows: Rows, events: Sequence[Recorded[RecordsExpired]]) -> None:
        """Delete the rows: of those that were there by then, so that a rebuild deletes the same ones."""
        catalog = await _look_up(rows, {(recorded.tenant, recorded.event.dataset) for recorded in events})
        for recorded in events:
            event = recorded.event
            entry = catalog.get((recorded.tenant, event.dataset))
            if entry is None:
                continue
            number, schema = entry
            await rows.execute(
                sql.SQL("delete from {} where {}").format(
                    sql.Identifier(f"{table_name(number)}_{event.partition}"),
                    is_older(schema, event.until, event.field, event.before),
                )
            )
            await rows.execute(
                "insert into expired as known values (%s, %s, %s) "
                "on conflict (number, partition) do update set records = known.records + excluded.records",
                (number, event.partition, event.count),
            )

    @projects(DatasetDeleted)
    async def deleted(self, rows: Rows, events: Sequence[Recorded[DatasetDeleted]]) -> None:
        """Drop the dataset's table."""
        for recorded in events:
            cursor = await rows.execute(
                "delete from catalog where tenant = %s and dataset = %s returning number",
                (recorded.tenant, recorded.actor),
            )
            found = await cursor.fetchone()
            if found is not None:
                await rows.execute(sql.SQL("drop table {}").format(sql.Identifier(table_name(found[0]))))
                await rows.execute("delete from expired where number = %s", found)


def _create_table(table: str, columns: Sequence[Column]) -> sql.Composed:
    fields = [
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.definition))  # pyright: ignore[reportArgumentType]  # from a table of ours
        for column in columns
    ]
    return sql.SQL(
        "create table {} ({} integer not null, {} bigint not null, {}, primary key ({}, {})) partition by list ({})"
    ).format(
        sql.Identifier(table),
        sql.Identifier(PARTITION),
        sql.Identifier(OFFSET),
        sql.SQL(", ").join(fields),
        *map(sql.Identifier, (PARTITION, OFFSET, PARTITION)),
    )


async def _look_up(rows: Rows, datasets: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str]]:
    tenants, names = zip(*datasets, strict=True)
    cursor = await rows.execute(
        "select tenant, dataset, number, schema from catalog "
        "where (tenant, dataset) in (select * from unnest(%s::text[], %s::text[]))",
        (list(tenants), list(names)),
    )
    return {(tenant, dataset): (number, schema) async for tenant, dataset, number, schema in cursor}


async def _copy(rows: Rows, table: str, partition: int, schema: str, events: Sequence[RecordsAppended]) -> None:
    columns = columns_of(schema)
    copy_in = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, (PARTITION, OFFSET, *(column.name for column in columns)))),
    )
    async with rows.cursor() as cursor, cursor.copy(copy_in) as copy:
        copy.set_types(["int4", "int8", *(_oid_name(column.sql_type) for column in columns)])
        for event in events:
            for offset, values in enumerate(_values(schema, event.records.encode()), event.first):
                await copy.write_row((partition, offset, *values))


def _values(schema: str, body: bytes) -> Iterator[Sequence[Any]]:
    """The values of each record's columns, from the JSON text of records."""
    columns = columns_of(schema)
    records = codec_of_text(schema).decode_json_array(body)
    read_structures = structures_of(schema)
    if read_structures is None and not any(column.adapt for column in columns):
        yield from map(_getter([column.attribute for column in columns]), records)
        return
    structures = read_structures(body, records) if read_structures else [()] * len(records)
    for record, texts in zip(records, structures, strict=True):
        text = iter(texts)
        yield [
            next(text)
            if column.is_structure
            else column.adapt(getattr(record, column.attribute))
            if column.adapt
            else getattr(record, column.attribute)
            for column in columns
        ]


def _getter(attributes: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    get = attrgetter(*attributes)
    return get if len(attributes) > 1 else lambda record: (get(record),)


def _oid_name(sql_type: str) -> str:
    """The type's name as psycopg's registry knows it."""
    return {
        "integer": "int4",
        "bigint": "int8",
        "real": "float4",
        "double precision": "float8",
        "boolean": "bool",
        "json": "text",  # it's the same in binary, and is text already
    }.get(sql_type, sql_type)
