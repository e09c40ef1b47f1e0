"""Arrays as parameters: psycopg's own loader reads in them what was written."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import Format

from datapunk.store.arrays import Array, Bigints, Binaries, Texts, Uuids

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def read(array: Array) -> Any:
    """What psycopg makes of it when a server sends it."""
    dumper = Transformer().get_dumper(array, PyFormat.BINARY)
    assert (dumper.oid, dumper.format) == (array.oid, Format.BINARY)
    return cast("Any", Transformer()).get_loader(array.oid, Format.BINARY).load(dumper.dump(array))


@given(st.lists(texts) | st.just(["long" * 1000]))
def test_texts_are_read_as_they_were_written(values: list[str]) -> None:
    assert read(Texts.of(values)) == values


@given(st.lists(st.binary()) | st.just([bytes(5000)]))
def test_bytes_are_read_as_they_were_written(values: list[bytes]) -> None:
    assert read(Binaries.of(values)) == values


@given(st.lists(st.uuids()))
def test_uuids_are_read_as_they_were_written(values: list[UUID]) -> None:
    assert read(Uuids.of(values)) == values


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_numbers_and_nulls_are_read_as_they_were_written(values: list[int | None]) -> None:
    assert read(Bigints.of(values)) == values
