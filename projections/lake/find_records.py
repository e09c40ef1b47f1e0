"""`lake.FindRecords`: filters, order and keyset paging over a dataset's rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from psycopg import DataError, sql

from datapunk import Asked, Rejected, answers
from projections.lake.columns import OFFSET, PARTITION, STRUCTURE, Column, columns_of
from projections.lake.filters import condition
from projections.lake.paging import Page, SortKey, read_cursor, write_cursor
from projections.lake.records import Records, table_name
from schemas.lake.queries import FindRecords, RecordPage

MAX_PAGE = 10_000  # records
MAX_PAGE_BYTES = 4 * 1024 * 1024  # of a page's records, in the table and as JSON; one record may have more
MAX_FILTERS = 20
MAX_ORDER = 4

# Ties go by partition and offset, so that every row has a place of its own.
PLACE = (SortKey(Column("", PARTITION, "integer"), False), SortKey(Column("", OFFSET, "bigint"), False))


@answers(FindRecords, Records)
async def find_records(query: FindRecords, asked: Asked) -> RecordPage:
    """A page of records."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_PAGE}, not {query.limit}")
    if len(query.where) > MAX_FILTERS or len(query.order) > MAX_ORDER:
        raise Rejected("query_too_large", f"a query has at most {MAX_FILTERS} filters and {MAX_ORDER} fields of order")
    table, columns = await _look_up(query.dataset, asked)
    page = Page([*(_sort_key(columns, order.field, order.descending) for order in query.order), *PLACE])
    conditions = [condition(_column(columns, filter.field), filter) for filter in query.where]
    try:
        if query.after is not None:
            conditions.append(await page.beyond(asked.rows, table, *read_cursor(query, query.after)))
        return await _read(query, asked, page_statement(table, columns, conditions, page, query.limit), columns)
    except DataError as error:
        raise Rejected("filter_invalid", f"{error.diag.message_primary or error}") from None


async def _look_up(dataset: str, asked: Asked) -> tuple[sql.Identifier, dict[str, Column]]:
    """The table of a dataset, and its columns by field; timestamps are in UTC from here on."""
    cursor = await asked.rows.execute(
        "select number, schema, set_config('timezone', 'UTC', true) from lake_records.catalog "
        "where tenant = %s and dataset = %s",
        (asked.tenant, dataset),
    )
    entry = await cursor.fetchone()
    if entry is None:
        raise Rejected("dataset_unknown", f"there is no dataset {dataset}")
    number, schema, _ = entry
    return sql.Identifier("lake_records", table_name(number)), {column.field: column for column in columns_of(schema)}


def page_statement(
    table: sql.Identifier, columns: Mapping[str, Column], conditions: Sequence[sql.Composable], page: Page, limit: int
) -> sql.Composed:
    """One row more than is asked for, or than fits the page; each tells whether those before it fill the page.

    That is measured here, and not when the rows are there: any number of them may be as large as a command.
    """
    values = [
        sql.SQL("{}::text" if column.is_structure else "{}").format(sql.Identifier(column.name))
        for column in columns.values()
    ]
    return sql.SQL(
        "select _before > {most}, {place}, {values} from ("
        "select *, sum({size}) over (order by {order} rows between unbounded preceding and 1 preceding) as _before, "
        "sum({size}) over (order by {order} rows between unbounded preceding and 2 preceding) as _before_last "
        "from (select * from {table} {where} order by {order} limit {rows}) as page"
        ") as measured where _before_last is null or _before_last <= {most} order by {order}"
    ).format(
        most=sql.Literal(MAX_PAGE_BYTES),
        place=sql.SQL(", ").join(map(sql.Identifier, (PARTITION, OFFSET))),
        values=sql.SQL(", ").join(values),
        size=_size(columns.values()),
        table=table,
        where=sql.SQL("where ") + sql.SQL(" and ").join(conditions) if conditions else sql.SQL(""),
        order=page.order_by(),
        rows=sql.Literal(limit + 1),
    )


def _size(columns: Collection[Column]) -> sql.Composed:
    """About how many bytes a row has as JSON; that of a long text is known without reading it."""
    least = sum(len(column.field) + len('"":0,') for column in columns)
    lengths = [
        sql.SQL("coalesce(octet_length({}), 0)").format(
            sql.SQL("{}::text" if column.sql_type in (STRUCTURE, "numeric") else "{}").format(
                sql.Identifier(column.name)
            )
        )
        for column in columns
        if column.sql_type in ("text", "bytea", "numeric", STRUCTURE)
    ]
    return sql.SQL(" + ").join([sql.Literal(least), *lengths])


async def _read(query: FindRecords, asked: Asked, statement: sql.Composed, columns: Mapping[str, Column]) -> RecordPage:
    """As many rows as were asked for, or as fit a page."""
    records: list[bytes] = []
    size, last, has_more = 0, None, False
    as_json = _writer(columns)
    cursor = await asked.rows.execute(statement)
    for is_full, partition, offset, *values in await cursor.fetchall():
        if is_full or len(records) == query.limit or size > MAX_PAGE_BYTES:
            has_more = True
            break
        records.append(as_json(values))
        size, last = size + len(records[-1]), (partition, offset)
    following = write_cursor(query, *last) if has_more and last else None
    return RecordPage(records=f"[{b','.join(records).decode()}]", count=len(records), next=following)


def _writer(columns: Mapping[str, Column]) -> Callable[[list[Any]], bytes]:
    """A function from the values of a row to a record in plain JSON."""
    fields = list(columns)
    structures = [index for index, column in enumerate(columns.values()) if column.is_structure]
    encode = msgspec.json.Encoder().encode

    def write(values: list[Any]) -> bytes:
        for index in structures:
            if values[index] is not None:
                values[index] = msgspec.Raw(values[index].encode())
        return encode(dict(zip(fields, values, strict=True)))

    return write


def _sort_key(columns: Mapping[str, Column], field: str, descending: bool) -> SortKey:
    column = _column(columns, field)
    if column.is_structure:
        raise Rejected("order_invalid", f"{field} holds structures, which have no order")
    return SortKey(column, descending)


def _column(columns: Mapping[str, Column], field: str) -> Column:
    column = columns.get(field)
    if column is None:
        known = ", ".join(columns)
        raise Rejected("field_unknown", f"the dataset has no field {field!r:.100}; it has {known:.1000}")
    return column
