"""Codecs beside fastavro: encode and decode the same record, in both encodings, taking turns in one run."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import fastavro
import pytest
from rich.console import Console
from rich.table import Table

from datapunk.messages.codec import codec_of_text

ROUNDS = 5
SECONDS = 0.3  # a round

FIELDS = {
    "trip": "string",
    "carrier": "string",
    "origin": "string",
    "dest": "string",
    "delay": "double",
    "distance": "long",
    "cancelled": "boolean",
    "tail": ["null", "string"],
}
SCHEMA = {
    "type": "record",
    "name": "RecordTrip",
    "fields": [{"name": name, "type": avro} for name, avro in FIELDS.items()],
}
RECORD = {
    "trip": "t-1",
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "delay": 11.5,
    "distance": 1400,
    "cancelled": False,
    "tail": "N14228",
}


@dataclass(frozen=True)
class Pair:
    """The same work, ours and fastavro's: typed objects here, dicts there."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def pairs() -> list[Pair]:
    schema, codec = fastavro.parse_schema(SCHEMA), codec_of_text(json.dumps(SCHEMA))

    def write_json() -> str:
        stream = StringIO()
        fastavro.json_writer(stream, schema, [RECORD])
        return stream.getvalue()

    def write_binary() -> bytes:
        stream = BytesIO()
        fastavro.schemaless_writer(stream, schema, RECORD)
        return stream.getvalue()

    text, binary = write_json(), write_binary()
    body, message = text.encode(), codec.decode_binary(binary)
    assert codec.decode_json(body) == message
    assert json.loads(codec.encode_json(message)) == json.loads(text)
    assert codec.encode_binary(message) == binary
    return [
        Pair("Avro JSON, encode", lambda: codec.encode_json(message), write_json),
        Pair(
            "Avro JSON, decode",
            lambda: codec.decode_json(body),
            lambda: next(fastavro.json_reader(StringIO(text), schema)),
        ),
        Pair("Avro binary, encode", lambda: codec.encode_binary(message), write_binary),
        Pair(
            "Avro binary, decode",
            lambda: codec.decode_binary(binary),
            lambda: fastavro.schemaless_reader(BytesIO(binary), schema),
        ),
    ]


def rate(work: Callable[[], Any]) -> float:
    """Times a second, over a round."""
    done, start = 0, time.perf_counter()
    until = start + SECONDS
    while time.perf_counter() < until:
        for _ in range(200):
            work()
        done += 200
    return done / (time.perf_counter() - start)


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_records_a_second_beside_fastavro() -> None:
    table = Table(
        "what", "ours/s", "fastavro/s", "ratio", title=f"A record of {len(FIELDS)} fields; medians of {ROUNDS}"
    )
    for pair in pairs():
        rounds = [(rate(pair.ours), rate(pair.theirs)) for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(each) for each in zip(*rounds, strict=True))
        table.add_row(pair.name, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.1f} ×")
    Console().print(table)
