"""The dataset: its name, its schema, and whether it still exists."""

from __future__ import annotations

import re

from actors.lake.record_schema import check_record_schema, check_retention_field
from datapunk import Actor, Rejected, applies, handles
from schemas.lake.commands import CreateDataset, DeleteDataset, RenameDataset, SetRetention
from schemas.lake.events import DatasetCreated, DatasetDeleted, DatasetRenamed, RetentionSet

ID = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MAX_NAME = 200  # characters
MAX_DESCRIPTION = 2_000  # characters; lists show it
MAX_PARTITIONS = 64
MAX_RETENTION_DAYS = 36_500


class Dataset(Actor):
    """A named collection of records that share one Avro schema."""

    name: str = ""
    schema: str | None = None
    key: str | None = None
    partitions: int = 0
    indexes: tuple[str, ...] = ()
    is_deleted: bool = False
    retention_days: int | None = None
    retention_field: str | None = None

    @handles(CreateDataset)
    def create(self, command: CreateDataset) -> DatasetCreated:
        """A dataset is created once; its id stays taken even after it's deleted."""
        if self.schema is not None:
            raise Rejected("dataset_exists", f"dataset {self.id} already exists or existed; choose another id")
        if not ID.fullmatch(self.id):
            raise Rejected(
                "dataset_id_invalid",
                f"{self.id!r} can't be a dataset's id: use a lower-case letter, then up to 62 lower-case letters, "
                "digits, '_' or '-'",
            )
        _check_name(command.name)
        if len(command.description) > MAX_DESCRIPTION:
            raise Rejected("description_invalid", f"a description has at most {MAX_DESCRIPTION:,} characters")
        if not 1 <= command.partitions <= MAX_PARTITIONS:
            raise Rejected("partitions_invalid", f"partitions must be 1 to {MAX_PARTITIONS}, not {command.partitions}")
        check_record_schema(command.schema, command.key, command.indexes)
        return DatasetCreated(
            name=command.name,
            schema=command.schema,
            key=command.key,
            partitions=command.partitions,
            indexes=command.indexes,
            description=command.description,
        )

    @handles(RenameDataset)
    def rename(self, command: RenameDataset) -> DatasetRenamed | None:
        """Renaming to the present name changes nothing."""
        self.must_exist()
        _check_name(command.name)
        return None if command.name == self.name else DatasetRenamed(name=command.name, previous=self.name)

    @handles(DeleteDataset)
    def delete(self, command: DeleteDataset) -> DatasetDeleted:
        """From here on it takes no more records."""
        self.must_exist()
        return DatasetDeleted(reason=command.reason)

    @handles(SetRetention)
    def set_retention(self, command: SetRetention) -> RetentionSet | None:
        """What holds already changes nothing."""
        self.must_exist()
        if command.days is not None and not 1 <= command.days <= MAX_RETENTION_DAYS:
            raise Rejected("retention_invalid", f"days must be 1 to {MAX_RETENTION_DAYS:,}, not {command.days:,}")
        if command.field is not None:
            if command.days is None:
                raise Rejected("retention_invalid", "a field needs days: without them records are kept for ever")
            check_retention_field(self.schema or "", command.field)
        if (command.days, command.field) == (self.retention_days, self.retention_field):
            return None
        return RetentionSet(days=command.days, field=command.field)

    @applies(DatasetCreated)
    def created(self, event: DatasetCreated) -> None:
        """Remember what later commands are judged by."""
        self.name, self.schema = event.name, event.schema
        self.key, self.partitions, self.indexes = event.key, event.partitions, tuple(event.indexes)

    @applies(DatasetRenamed)
    def renamed(self, event: DatasetRenamed) -> None:
        """Take the new name."""
        self.name = event.name

    @applies(RetentionSet)
    def retained(self, event: RetentionSet) -> None:
        """Remember what partitions may let go."""
        self.retention_days, self.retention_field = event.days, event.field

    @applies(DatasetDeleted)
    def deleted(self, event: DatasetDeleted) -> None:
        """Remember that it's gone."""
        self.is_deleted = True

    def must_exist(self) -> None:
        """Reject whatever was asked of a dataset that isn't there (any more)."""
        if self.schema is None:
            raise Rejected("dataset_unknown", f"there is no dataset {self.id}; create it with lake.CreateDataset")
        if self.is_deleted:
            raise Rejected("dataset_deleted", f"dataset {self.id} was deleted")


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME:
        raise Rejected("name_invalid", f"a name has 1 to {MAX_NAME} characters and isn't blank")
