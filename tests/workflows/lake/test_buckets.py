"""Objects in buckets: read, found by patterns and written like files; moto's server is the peer, over HTTP."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.lake.module import lake
from datapunk.errors import ConfigurationError
from datapunk.module import Module
from datapunk.testing.platform import Platform
from schemas.lake.commands import IngestFile
from schemas.lake.queries import FindRecords
from schemas.lake.types import IngestionState
from tests.buckets import bucket, s3_endpoint
from tests.loading_files import load
from tests.workflows.lake.conftest import Datapunk
from tests.workflows.lake.test_ingest_file import ended
from workflows.lake.files import buckets
from workflows.lake.files.buckets import fetch_object, must_be_free, put_object
from workflows.lake.files.errors import BadFile, FileChanged
from workflows.lake.files.permission import SourceForbidden, check_source
from workflows.lake.files.sources import find
from workflows.lake.settings import LakeSettings

__all__ = ["bucket", "s3_endpoint"]  # fixtures

TOWNS = b"id,name\n1,Oslo\n2,Bergen\n"
Bucket = Any


@pytest.fixture
def modules() -> list[Module]:
    return [lake]


@pytest.mark.parametrize(("key", "data"), [("a b/tøwns.csv", TOWNS), ("towns.csv.gz", gzip.compress(TOWNS))])
def test_an_object_is_read(bucket: Bucket, key: str, data: bytes) -> None:
    bucket.put_object(Key=key, Body=data)
    assert load(f"s3://data/{key}").rows == [(1, "Oslo"), (2, "Bergen")]


def test_a_large_object_is_read_in_parts(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "BLOCK", 10)
    bucket.put_object(Key="towns.csv", Body=TOWNS)
    assert list(fetch_object("s3://data/towns.csv")) == [TOWNS[:10], TOWNS[10:20], TOWNS[20:]]


def test_an_object_that_is_written_anew_meanwhile_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "BLOCK", 10)
    bucket.put_object(Key="towns.csv", Body=TOWNS)
    blocks = fetch_object("s3://data/towns.csv")
    next(blocks)
    bucket.put_object(Key="towns.csv", Body=TOWNS.replace(b"Oslo", b"Bodo"))
    with pytest.raises(FileChanged, match="was written anew while it was read"):
        next(blocks)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("s3://data/nothing.csv", "there's no such object, or bucket"),
        ("s3://nowhere/towns.csv", "there's no such object, or bucket"),
        ("s3://data", "an object is named like s3://bucket/key"),
        ("s3://data/empty.csv", "is empty: it has 0 bytes"),
    ],
)
def test_what_is_not_there_is_told(bucket: Bucket, source: str, told: str) -> None:
    bucket.put_object(Key="empty.csv", Body=b"")
    with pytest.raises(BadFile, match=told):
        load(source)


def test_where_nobody_answers_is_told(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPUNK_LAKE_S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(buckets, "RETRIES", {"max_retries": 0})
    with pytest.raises(BadFile, match=r"s3://data/towns\.csv: "):
        load("s3://data/towns.csv")


def test_objects_are_found_by_patterns(bucket: Bucket) -> None:
    for key in ("a/1.csv", "a/2.csv", "a/3.json", "a/b/4.csv", "c/5.csv", "6.csv"):
        bucket.put_object(Key=key, Body=TOWNS)
    assert find(["s3://data/a/*.csv"]) == ["s3://data/a/1.csv", "s3://data/a/2.csv"]
    assert find(["s3://data/*/[45].csv", "s3://data/c/5.csv"]) == ["s3://data/c/5.csv"] * 2
    assert find(["s3://data/?.csv"]) == ["s3://data/6.csv"]
    with pytest.raises(BadFile, match="no object is like"):
        find(["s3://data/d/*.csv"])


def test_an_object_of_several_parts_is_written(bucket: Bucket, tmp_path: Path) -> None:
    data = os.urandom(11 * 1024 * 1024)
    (tmp_path / "big").write_bytes(data)
    put_object("s3://data/big", tmp_path / "big")
    assert b"".join(fetch_object("s3://data/big")) == data
    with pytest.raises(ConfigurationError, match="is there already"):
        must_be_free("s3://data/big")
    must_be_free("s3://data/small")


def test_workers_read_the_buckets_that_were_named() -> None:
    settings = LakeSettings(urls=("s3://data/towns/",))
    assert check_source("s3://data/towns/a.csv", settings) == "s3://data/towns/a.csv"
    for source in ("s3://data/secrets.csv", "s3://other/towns/a.csv", "https://data/towns/a.csv"):
        with pytest.raises(SourceForbidden):
            check_source(source, settings)


async def test_a_dataset_comes_out_of_a_bucket_and_goes_into_one(
    datapunk: Datapunk,
    platform_with_workflows: Platform,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATAPUNK_LAKE_URLS", json.dumps(["s3://data/in/"]))
    bucket.put_object(Key="in/1.csv", Body=TOWNS)
    bucket.put_object(Key="in/2.csv", Body=b"id,name\n3,Molde\n")
    bucket.put_object(Key="in/more.csv", Body=b"id,name\n4,Narvik\n")
    with capture_logs():
        loaded = await datapunk("lake", "load", "towns", "s3://data/in/?.csv", "--json")
        assert loaded.json["records"] == 3, loaded.err
        await platform_with_workflows.send(IngestFile(dataset="towns", source="s3://data/in/more.csv"), "i")
        ingestion = await ended(platform_with_workflows)
        assert (ingestion.state, ingestion.rows) == (IngestionState.COMPLETED, 1), ingestion.message
        found = FindRecords(dataset="towns", limit=1)
        await platform_with_workflows.client.ask(found, after_position=ingestion.position)
        dumped = await datapunk("lake", "dump", "towns", "s3://data/out/towns.parquet", "--json")
        assert dumped.json["rows"] == 4, dumped.err
        refused = await datapunk("lake", "dump", "towns", "s3://data/out/towns.parquet")
    assert "s3://data/out/towns.parquet is there already" in refused.err
    assert sorted(id for id, _ in load("s3://data/out/towns.parquet").rows)[:3] == [1, 2, 3]
