"""The list of datasets, with how many records each has."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Projection, Recorded, Rows, projects
from schemas.lake.events import (
    DatasetCreated,
    DatasetDeleted,
    DatasetRenamed,
    RecordsAppended,
    RecordsExpired,
    RetentionSet,
)


class Datasets(Projection):
    """One row a dataset; a deleted one is gone from here."""

    module = "lake"
    name = "datasets"
    version = 2  # with retention

    @projects(DatasetCreated)
    async def created(self, rows: Rows, events: Sequence[Recorded[DatasetCreated]]) -> None:
        """Add a row each."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                """
                insert into datasets
                    (tenant, id, name, description, schema, key, partitions, indexes, created_at, updated_at)
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                [
                    (
                        recorded.tenant,
                        recorded.actor,
                        recorded.event.name,
                        recorded.event.description,
                        recorded.event.schema,
                        recorded.event.key,
                        recorded.event.partitions,
                        recorded.event.indexes,
                        recorded.at,
                        recorded.at,
                    )
                    for recorded in events
                ],
            )

    @projects(DatasetRenamed)
    async def renamed(self, rows: Rows, events: Sequence[Recorded[DatasetRenamed]]) -> None:
        """Change the name."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update datasets set name = %s, updated_at = %s where tenant = %s and id = %s",
                [(recorded.event.name, recorded.at, recorded.tenant, recorded.actor) for recorded in events],
            )

    @projects(RetentionSet)
    async def retained(self, rows: Rows, events: Sequence[Recorded[RetentionSet]]) -> None:
        """Keep what was said last."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update datasets set retention_days = %s, retention_field = %s, updated_at = %s "
                "where tenant = %s and id = %s",
                [(each.event.days, each.event.field, each.at, each.tenant, each.actor) for each in events],
            )

    @projects(RecordsExpired)
    async def expired(self, rows: Rows, events: Sequence[Recorded[RecordsExpired]]) -> None:
        """Take off the counts."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update datasets set records = records - %s, updated_at = greatest(updated_at, %s) "
                "where tenant = %s and id = %s",
                [(each.event.count, each.at, each.tenant, each.event.dataset) for each in events],
            )

    @projects(DatasetDeleted)
    async def deleted(self, rows: Rows, events: Sequence[Recorded[DatasetDeleted]]) -> None:
        """Remove the row."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "delete from datasets where tenant = %s and id = %s",
                [(recorded.tenant, recorded.actor) for recorded in events],
            )

    @projects(RecordsAppended)
    async def appended(self, rows: Rows, events: Sequence[Recorded[RecordsAppended]]) -> None:
        """Add to the counts: one update a dataset, however many events."""
        added: dict[tuple[str, str], int] = {}
        latest = {}
        for recorded in events:
            dataset = (recorded.tenant, recorded.event.dataset)
            added[dataset] = added.get(dataset, 0) + recorded.event.count
            latest[dataset] = recorded.at
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update datasets set records = records + %s, updated_at = greatest(updated_at, %s) "
                "where tenant = %s and id = %s",
                [(count, latest[dataset], *dataset) for dataset, count in added.items()],
            )
