"""`lake.GetIngestion`."""

from __future__ import annotations

from datapunk import Asked, Rejected, answers
from projections.lake.ingestions import Ingestions
from schemas.lake.queries import GetIngestion, Ingestion
from schemas.lake.types import IngestionState


@answers(GetIngestion, Ingestions)
async def get_ingestion(query: GetIngestion, asked: Asked) -> Ingestion:
    """One ingestion, or `ingestion_unknown`."""
    cursor = await asked.rows.execute(
        "select dataset, source, state, rows, total, bad, position, code, message, rejects, requested_at, updated_at "
        "from lake_ingestions.ingestions where tenant = %s and id = %s",
        (asked.tenant, query.ingestion),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("ingestion_unknown", f"there is no ingestion {query.ingestion}")
    dataset, source, state, rows, total, bad, position, code, message, rejects, requested_at, updated_at = row
    return Ingestion(
        ingestion=query.ingestion,
        dataset=dataset,
        source=source,
        state=IngestionState(state),
        rows=rows,
        total=total,
        bad=bad,
        position=position,
        code=code,
        message=message,
        rejects=rejects,
        requested_at=requested_at,
        updated_at=updated_at,
    )
