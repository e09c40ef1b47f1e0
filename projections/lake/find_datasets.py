"""`lake.GetDataset` and `lake.ListDatasets`."""

from __future__ import annotations

from typing import Any

from datapunk import Asked, Cached, Rejected, answers
from projections.lake.datasets import Datasets
from schemas.lake.events import (
    DatasetCreated,
    DatasetDeleted,
    DatasetRenamed,
    RecordsAppended,
    RecordsExpired,
    RetentionSet,
)
from schemas.lake.queries import Dataset, DatasetList, GetDataset, ListDatasets
from schemas.lake.types import DatasetSummary

MAX_PAGE = 1000  # datasets
SUMMARY = "id, name, description, records, partitions, created_at, updated_at"

CACHED = Cached(
    key=lambda query: query.dataset,
    touched_by_actor={
        DatasetCreated: lambda id: id,
        DatasetRenamed: lambda id: id,
        DatasetDeleted: lambda id: id,
        RetentionSet: lambda id: id,
        RecordsAppended: lambda id: id.rpartition(":")[0],  # of <dataset>:<number>
        RecordsExpired: lambda id: id.rpartition(":")[0],
    },
)


@answers(GetDataset, Datasets, cached=CACHED)
async def get_dataset(query: GetDataset, asked: Asked) -> Dataset:
    """One dataset, or `dataset_unknown`."""
    cursor = await asked.rows.execute(
        f"select {SUMMARY}, schema, key, indexes, retention_days, retention_field "  # noqa: S608  # a constant
        "from lake_datasets.datasets where tenant = %s and id = %s",
        (asked.tenant, query.dataset),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("dataset_unknown", f"there is no dataset {query.dataset}")
    *summary, schema, key, indexes, days, field = row
    return Dataset(
        summary=_summary(summary),
        schema=schema,
        key=key,
        indexes=indexes,
        retention_days=days,
        retention_field=field,
    )


@answers(ListDatasets, Datasets)
async def list_datasets(query: ListDatasets, asked: Asked) -> DatasetList:
    """A page of datasets by id."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_PAGE}, not {query.limit}")
    cursor = await asked.rows.execute(
        f"select {SUMMARY} from lake_datasets.datasets"  # noqa: S608  # a constant
        " where tenant = %s and starts_with(id, %s) and id > %s order by id limit %s",
        (asked.tenant, query.prefix, query.after or "", query.limit + 1),
    )
    found = [_summary(row) for row in await cursor.fetchall()]
    page = found[: query.limit]
    return DatasetList(datasets=page, next=page[-1].dataset if len(found) > query.limit else None)


def _summary(row: Any) -> DatasetSummary:
    id, name, description, records, partitions, created_at, updated_at = row
    return DatasetSummary(
        dataset=id,
        name=name,
        description=description,
        records=records,
        partitions=partitions,
        created_at=created_at,
        updated_at=updated_at,
    )
