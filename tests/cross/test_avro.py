"""Our Avro against Apache Avro for Java and avsc for JavaScript: each reads what the other writes."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest

from datapunk.errors import UndecodableMessage
from tests.building import built, java, node
from tests.cross.resolutions import RESOLUTIONS, Resolution
from tests.cross.values import NOTHING, VECTORS, Vector
from tests.cross.vectors import FILE, text

FOLDER = Path(__file__).parent
LANGUAGES = {"java": java("target/cross.jar"), "node": node("cross.js")}
PATIENCE_S = 60

# What the other libraries can't do, or do otherwise; docs/reference/wire.md tells of it. An entry that is no longer
# true fails, too.
BEYOND_2_53 = {  # a number of JavaScript's, in JSON
    "long that no double holds",
    "long most",
    "long least",
    "timestamp-micros last",
    "timestamp-nanos, which is a long to us",
}
READ_OTHERWISE = {
    "java": {},
    "node": {
        **dict.fromkeys(BEYOND_2_53 - {"long least"}, "it's another value in JSON than in binary"),
        "nullable to string": 'Error: cannot read "null" as "string"',  # it looks at the schemas alone
    },
}
JSON_WRITTEN_OTHERWISE = {
    "java": {"record without fields"},  # nothing is written at all
    "node": BEYOND_2_53,
}
RESOLVED_OTHERWISE = {
    "java": set[str](),
    "node": {"long to float", "nullable to string"},  # the long isn't rounded to what a float can be
}

each_language = pytest.mark.parametrize("language", LANGUAGES)
first_time = pytest.mark.timeout(600)  # then it's built, and what it needs is downloaded


@cache
def results(language: str) -> dict[str, dict[str, str]]:
    """What a language's program says of each vector."""
    command = [*built(FOLDER / language, LANGUAGES[language]), str(FILE)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert answer.returncode == 0, answer.stderr
    return {each["name"]: each for each in json.loads(answer.stdout)}


def test_the_vectors_are_what_we_write() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run: python -m tests.cross.vectors"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_we_write_avro_json_as_it_was_written_by_hand(vector: Vector) -> None:
    assert json.loads(vector.json) == {"value": vector.value}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_we_read_our_own_binary(vector: Vector) -> None:
    assert vector.codec.decode_binary(vector.binary) == vector.decoded


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if each.means is not NOTHING], ids=lambda vector: vector.name
)
def test_a_logical_type_means_its_python_value(vector: Vector) -> None:
    assert vector.decoded.value == vector.means


@pytest.mark.parametrize("resolution", RESOLUTIONS, ids=lambda resolution: resolution.name)
def test_we_read_with_another_schema_as_avro_says(resolution: Resolution) -> None:
    assert json.loads(resolution.resolved) == resolution.expected


@first_time
@each_language
def test_others_read_the_same_from_our_json_and_our_binary(language: str) -> None:
    wrong = {name: result["wrong"] for name, result in results(language).items() if "wrong" in result}
    assert wrong == READ_OTHERWISE[language]


@first_time
@each_language
def test_others_write_the_same_bytes(language: str) -> None:
    theirs = {vector.name: results(language)[vector.name].get("binary") for vector in VECTORS}
    assert theirs == {vector.name: vector.binary.hex() for vector in VECTORS}


@first_time
@each_language
def test_we_read_the_json_that_others_write(language: str) -> None:
    otherwise = {
        vector.name for vector in VECTORS if not _reads(vector, results(language)[vector.name].get("json", ""))
    }
    assert otherwise == JSON_WRITTEN_OTHERWISE[language]


@first_time
@each_language
def test_others_read_with_another_schema_as_we_do(language: str) -> None:
    theirs = {each.name: json.loads(results(language)[each.name].get("json", "null")) for each in RESOLUTIONS}
    assert {each.name for each in RESOLUTIONS if theirs[each.name] != each.expected} == RESOLVED_OTHERWISE[language]


@first_time
def test_we_read_arrays_and_maps_that_java_writes_in_blocks_with_their_sizes() -> None:
    in_blocks = {vector.name: bytes.fromhex(results("java")[vector.name]["blocks"]) for vector in VECTORS}
    assert in_blocks["array of many"] != _vector("array of many").binary
    for vector in VECTORS:
        assert vector.codec.decode_binary(in_blocks[vector.name]) == vector.decoded, vector.name


@first_time
def test_java_gives_schemas_the_same_fingerprints() -> None:
    theirs = {vector.name: results("java")[vector.name].get("fingerprint") for vector in VECTORS}
    assert theirs == {vector.name: vector.codec.schema.fingerprint for vector in VECTORS}


@first_time
def test_java_writes_the_same_bytes_for_what_a_logical_type_means() -> None:
    theirs = {name: result["meant"] for name, result in results("java").items() if "meant" in result}
    assert theirs == {vector.name: vector.binary.hex() for vector in VECTORS if vector.means is not NOTHING}


def _vector(name: str) -> Vector:
    return next(vector for vector in VECTORS if vector.name == name)


def _reads(vector: Vector, body: str) -> bool:
    """Whether we read what is meant, and would write it so, too."""
    try:
        return vector.codec.decode_json(body.encode()) == vector.decoded
    except UndecodableMessage:
        return False
