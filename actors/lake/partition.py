"""The partition: one share of a dataset's records, so that ingest spreads over shards."""

from __future__ import annotations

import zlib
from typing import Any

from actors.lake.dataset import Dataset
from datapunk import Actor, Rejected, applies, handles, reads
from datapunk.errors import UndecodableMessage
from datapunk.messages.codec import codec_of_text
from schemas.lake.commands import AppendRecords
from schemas.lake.events import RecordsAppended

MAX_RECORDS = 5_000  # a command


def dataset_of(id: str) -> str:
    """The dataset that a partition belongs to: `flights` for `flights:3`."""
    return id.rpartition(":")[0]


class Partition(Actor):
    """Keeps the order of the records whose keys fall to it, and numbers them without a gap."""

    dataset = reads(Dataset, at=dataset_of)
    records: int = 0

    @handles(AppendRecords)
    def append(self, command: AppendRecords) -> RecordsAppended:
        """All records are accepted, or none is."""
        self.dataset.must_exist()
        number = self._number()
        schema = self.dataset.schema
        assert schema is not None  # must_exist saw to it
        try:
            records = codec_of_text(schema).decode_json_array(command.records.encode())
        except UndecodableMessage as error:
            raise Rejected("record_invalid", str(error)) from None
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

    @applies(RecordsAppended)
    def appended(self, event: RecordsAppended) -> None:
        """Count them."""
        self.records += event.count

    def _number(self) -> int:
        number = self.id.rpartition(":")[2]
        if (
            not (number.isascii() and number.isdecimal() and str(int(number)) == number)
            or int(number) >= self.dataset.partitions
        ):
            raise Rejected(
                "partition_unknown",
                f"dataset {self.dataset.id} has partitions 0 to {self.dataset.partitions - 1}; the actor-id "
                f"is '{self.dataset.id}:<partition>', not {self.id!r}",
            )
        return int(number)

    def _check_keys(self, records: list[Any], key: str, number: int) -> None:
        for index, record in enumerate(records):
            value = getattr(record, key)
            rightful = partition_of(value, self.dataset.partitions)
            if rightful != number:
                raise Rejected(
                    "partition_wrong",
                    f"record {index} has {key} {value!r}, which belongs to partition {rightful}, not {number}",
                )


def partition_of(key: str | int, partitions: int) -> int:
    """The partition of a key: CRC-32 (ISO 3309) of its text in UTF-8, modulo the number of partitions."""
    return zlib.crc32(str(key).encode()) % partitions
