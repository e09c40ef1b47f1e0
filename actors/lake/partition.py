"""The partition: one share of a dataset's records, so that ingest spreads over shards."""

from __future__ import annotations

import zlib
from typing import Any
from uuid import UUID

from actors.lake.dataset import Dataset
from actors.lake.records import check_depth, check_indexed
from datapunk import Actor, Rejected, applies, handles, reads
from datapunk.errors import UndecodableMessage
from datapunk.messages.codec import codec_of_text
from schemas.lake.commands import AppendRecords, ExpireRecords
from schemas.lake.events import RecordsAppended, RecordsExpired

MAX_RECORDS = 5_000  # a command
MAX_BYTES = 7 * 1024 * 1024  # a command; as JSON in JSON they're up to twice that, and brokers refuse 16 MiB


def dataset_of(id: str) -> str:
    """The dataset that a partition belongs to: `flights` for `flights:3`."""
    return id.rpartition(":")[0]


class Partition(Actor):
    """Keeps the order of the records whose keys fall to it, and numbers them without a gap."""

    dataset = reads(Dataset, at=dataset_of)
    records: int = 0
    expired: int = 0  # of these, no longer in the tables

    @handles(AppendRecords)
    def append(self, command: AppendRecords) -> RecordsAppended:
        """All records are accepted, or none is."""
        self.dataset.must_exist()
        number = self._number()
        records = self._decode(command.records)
        if not 1 <= len(records) <= MAX_RECORDS:
            raise Rejected("records_count", f"a command carries 1 to {MAX_RECORDS} records, not {len(records)}")
        if self.dataset.key is not None:
            self._check_keys(records, self.dataset.key, number)
        return RecordsAppended(
            dataset=self.dataset.id,
            partition=number,
            first=self.records,
            count=len(records),
            records=command.records,
        )

    @handles(ExpireRecords)
    def expire(self, command: ExpireRecords) -> RecordsExpired:
        """They go as the dataset's retention is now, and each is counted once."""
        self.dataset.must_exist()
        number = self._number()
        if self.dataset.retention_days is None or self.dataset.retention_field != command.field:
            raise Rejected("retention_changed", f"dataset {self.dataset.id} isn't kept by that rule (any more)")
        if command.expired != self.expired:
            raise Rejected("expiry_outdated", f"{self.expired:,} records went before, not {command.expired:,}")
        if not 0 < command.until <= self.records or not 0 < command.count <= command.until:
            raise Rejected("expiry_invalid", f"the partition has {self.records:,} records")
        return RecordsExpired(
            dataset=self.dataset.id,
            partition=number,
            until=command.until,
            field=command.field,
            before=command.before,
            count=command.count,
        )

    @applies(RecordsAppended)
    def appended(self, event: RecordsAppended) -> None:
        """Count them."""
        self.records += event.count

    @applies(RecordsExpired)
    def went(self, event: RecordsExpired) -> None:
        """Count them."""
        self.expired += event.count

    def _number(self) -> int:
        number = self.id.rpartition(":")[2]
        if number not in map(str, range(self.dataset.partitions)):
            raise Rejected(
                "partition_unknown",
                f"dataset {self.dataset.id} has partitions 0 to {self.dataset.partitions - 1}; the actor-id "
                f"is '{self.dataset.id}:<partition>', not {self.id!r}",
            )
        return int(number)

    def _decode(self, text: str) -> list[Any]:
        schema = self.dataset.schema
        assert schema is not None  # must_exist saw to it
        body = text.encode()
        if len(body) > MAX_BYTES:
            raise Rejected(
                "records_size", f"a command carries at most {MAX_BYTES:,} bytes of records, not {len(body):,}"
            )
        codec = codec_of_text(schema)
        try:
            records = codec.decode_json_array(body)
        except UndecodableMessage as error:
            raise Rejected("record_invalid", str(error)) from None
        if codec.schema.normal.is_recursive:  # others are as deep as their schema, which is bounded
            check_depth(records)
        indexed = {self.dataset.key, *self.dataset.indexes}
        check_indexed(records, [field for field in codec.fields if field.name in indexed])
        return records

    def _check_keys(self, records: list[Any], key: str, number: int) -> None:
        attribute = next(
            field.attribute for field in codec_of_text(self.dataset.schema or "").fields if field.name == key
        )
        for index, record in enumerate(records):
            value = getattr(record, attribute)
            rightful = partition_of(value, self.dataset.partitions)
            if rightful != number:
                raise Rejected(
                    "partition_wrong",
                    f"record {index} has {key} {str(value)!r:.200}, which belongs to partition {rightful}, "
                    f"not {number}",
                )


def partition_of(key: str | int | UUID, partitions: int) -> int:
    """The partition of a key: CRC-32 (ISO 3309) of its text in UTF-8, modulo the number of partitions."""
    return zlib.crc32(str(key).encode()) % partitions
