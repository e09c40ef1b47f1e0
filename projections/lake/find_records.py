"""`lake.FindRecords`: filters, order and keyset paging over a dataset's rows."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import DataError, sql

from datapunk import Asked, Rejected, answers
from projections.lake.columns import OFFSET, PARTITION, Column, columns_of
from projections.lake.filters import condition
from projections.lake.paging import Page, SortKey, read_cursor, write_cursor
from projections.lake.records import Records, table_name
from schemas.lake.queries import FindRecords, RecordPage

MAX_PAGE = 10_000  # records
MAX_FILTERS = 20
MAX_ORDER = 4


@answers(FindRecords, Records)
async def find_records(query: FindRecords, asked: Asked) -> RecordPage:
    """A page of records."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_PAGE}, not {query.limit}")
    if len(query.where) > MAX_FILTERS or len(query.order) > MAX_ORDER:
        raise Rejected("query_too_large", f"a query has at most {MAX_FILTERS} filters and {MAX_ORDER} fields of order")
    cursor = await asked.rows.execute(
        "select number, schema from lake_records.catalog where tenant = %s and dataset = %s",
        (asked.tenant, query.dataset),
    )
    entry = await cursor.fetchone()
    if entry is None:
        raise Rejected("dataset_unknown", f"there is no dataset {query.dataset}")
    number, schema = entry
    columns = {column.name: column for column in columns_of(schema)}
    page = Page(
        [
            *(SortKey(_column(columns, order.field), order.descending) for order in query.order),
            SortKey(Column(PARTITION, "integer", None), False),
            SortKey(Column(OFFSET, "bigint", None), False),
        ]
    )
    conditions = [condition(_column(columns, filter.field), filter) for filter in query.where]
    if query.after is not None:
        conditions.append(page.beyond(read_cursor(query, query.after)))
    statement = sql.SQL("select {}, {} from lake_records.{} {} order by {} limit {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        page.keys_as_text(),
        sql.Identifier(table_name(number)),
        sql.SQL("where ") + sql.SQL(" and ").join(conditions) if conditions else sql.SQL(""),
        page.order_by(),
        sql.Literal(query.limit + 1),
    )
    try:
        cursor = await asked.rows.execute(statement)
    except DataError as error:
        raise Rejected("filter_invalid", f"{error.diag.message_primary or error}") from None
    found = await cursor.fetchall()
    rows = found[: query.limit]
    names, width = list(columns), len(columns)
    records = msgspec.json.encode([dict(zip(names, row, strict=False)) for row in rows])
    following = write_cursor(query, rows[-1][width:]) if len(found) > query.limit else None
    return RecordPage(records=records.decode(), count=len(rows), next=following)


def _column(columns: dict[str, Column], field: str) -> Column:
    column: Any = columns.get(field)
    if column is None:
        raise Rejected("field_unknown", f"the dataset has no field {field!r}; it has {', '.join(columns)}")
    return column
