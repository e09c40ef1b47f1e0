"""`nexus.GetBulk` and `nexus.ListBulks`."""

from __future__ import annotations

from typing import Any

import msgspec

from datapunk import Asked, Rejected, answers
from projections.nexus.bulks import Bulks
from schemas.nexus.queries import Bulk, BulkList, GetBulk, ListBulks
from schemas.nexus.types import BulkAct, BulkState, BulkSummary, DeadLetterFilter

MOST = 1000  # in an answer
SUMMARY = """
    select id, act, filter, rate, state, total, done, refused, by, why, message, started_at, updated_at
    from nexus_bulks.bulks where tenant = %s
"""


@answers(GetBulk, Bulks)
async def get_bulk(query: GetBulk, asked: Asked) -> Bulk:
    """One, or `bulk_unknown`."""
    cursor = await asked.rows.execute(f"{SUMMARY} and id = %s", (asked.tenant, query.bulk))
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("bulk_unknown", f"there is no bulk work {query.bulk}")
    return Bulk(summary=_summary(row))


@answers(ListBulks, Bulks)
async def list_bulks(query: ListBulks, asked: Asked) -> BulkList:
    """The latest."""
    if not 1 <= query.limit <= MOST:
        raise Rejected("limit_invalid", f"limit must be 1 to {MOST}, not {query.limit}")
    cursor = await asked.rows.execute(f"{SUMMARY} order by started_at desc, id limit %s", (asked.tenant, query.limit))
    return BulkList(bulks=[_summary(row) for row in await cursor.fetchall()])


def _summary(row: Any) -> BulkSummary:
    id, act, filter, rate, state, total, done, refused, by, why, message, started_at, updated_at = row
    return BulkSummary(
        bulk=id,
        act=BulkAct(act),
        filter=msgspec.convert(filter, DeadLetterFilter),
        rate=rate,
        state=BulkState(state),
        total=total,
        done=done,
        refused=refused,
        by=by,
        why=why,
        message=message,
        started_at=started_at,
        updated_at=updated_at,
    )
