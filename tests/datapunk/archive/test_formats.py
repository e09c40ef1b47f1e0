"""Any records come back from any format as they were; anything else than the whole file is refused."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapunk.archive.container import ContainerWriter
from datapunk.archive.files import records_of
from datapunk.archive.json_lines import JsonLinesWriter
from datapunk.archive.records import FORMAT, Header, Record, SchemaRow, Tally, Unpublished
from datapunk.errors import ArchiveDamaged, DatapunkError
from datapunk.messages.registry import Registry
from datapunk.store.events import InboxEntry, RecordedEvent
from tests.accounts.events import AccountOpened
from tests.accounts.module import accounts

REGISTRY = Registry.of([accounts])
CODEC = REGISTRY.codec(AccountOpened)
SCHEMA = CODEC.schema
KEPT = SchemaRow(SCHEMA.fingerprint, SCHEMA.name, 1, SCHEMA.text)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
numbers = st.integers(1, 2**63 - 1)
times = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
bodies = texts.map(lambda owner: CODEC.encode_binary(AccountOpened(owner=owner))) | st.binary(max_size=20)
events = st.builds(
    RecordedEvent,
    tenant=texts,
    stream=texts,
    version=numbers,
    type=texts,
    id=st.uuids(),
    schema=st.just(SCHEMA.fingerprint),
    data=bodies,
    causation=st.uuids(),
    metadata=st.dictionaries(texts, texts, max_size=3),
    position=numbers,
    at=times,
)
versions = st.none() | numbers
commands = st.builds(
    InboxEntry,
    id=st.uuids(),
    tenant=texts,
    type=texts,
    stream=texts,
    body_hash=st.binary(max_size=16),
    reply=st.binary(max_size=20),
    first_version=versions,
    last_version=versions,
    position=st.integers(0, 2**63 - 1),
    at=times,
)
unpublished = st.builds(Unpublished, module=texts, shard=st.integers(0, 255), positions=st.lists(numbers, max_size=3))
histories = st.lists(events | commands | unpublished, max_size=6).map(lambda records: [KEPT, *records])


def written(records: Sequence[Record], *, is_avro: bool, is_compressed: bool) -> bytes:
    file = io.BytesIO()
    writer = ContainerWriter(file) if is_avro else JsonLinesWriter(file)
    tally = Tally()
    writer.begin(Header(FORMAT, 0, 1, streams=["a"]))
    for record in records:
        tally.add(record)
        writer.write(record)
    writer.end(tally.trailer())
    return gzip.compress(file.getvalue(), 1) if is_compressed else file.getvalue()


def read(whole: bytes) -> list[Record]:
    return list(records_of(cast("IO[bytes]", io.BufferedReader(io.BytesIO(whole)))))


@given(histories, st.booleans(), st.booleans())
def test_records_come_back_as_they_were(records: list[Record], is_avro: bool, is_compressed: bool) -> None:
    assert read(written(records, is_avro=is_avro, is_compressed=is_compressed)) == records


@given(histories, st.booleans(), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_a_file_is_refused_wherever_it_is_cut_off(
    records: list[Record], is_avro: bool, is_compressed: bool, share: float
) -> None:
    whole = written(records, is_avro=is_avro, is_compressed=is_compressed)
    end = int(share * (len(whole) - 1))  # the last byte of JSON lines is a line feed: nothing is lost with it
    with pytest.raises(ArchiveDamaged):
        read(whole[:end])


@given(histories, st.booleans(), st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_byte_that_changed_is_found_or_changes_nothing(
    records: list[Record], is_avro: bool, is_compressed: bool, share: float, flip: int
) -> None:
    whole = bytearray(written(records, is_avro=is_avro, is_compressed=is_compressed))
    whole[int(share * len(whole))] ^= flip
    try:
        found = read(bytes(whole))
    except DatapunkError:
        return
    assert found == records
