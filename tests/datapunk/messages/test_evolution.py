"""What may follow what: by table, and by what Avro's own resolution can read."""

from __future__ import annotations

import copy
import json
import re
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from datapunk.errors import SchemaError
from datapunk.messages.codec import Codec
from datapunk.messages.evolution import unreadable, violations
from datapunk.messages.resolution import resolve
from datapunk.messages.schema import AvroSchema, parse_text
from datapunk.messages.upcasters import upcasts
from tests.datapunk.messages.schemas_and_values import plain, schemas_with_values
from tests.datapunk.messages.scratch import Scratch, scratch
from tests.properties import examples

__all__ = ["scratch"]


def schema(*fields: dict[str, Any], name: str = "R", **attributes: Any) -> AvroSchema:
    return parse_text(json.dumps({"type": "record", "name": name, "fields": list(fields), **attributes}))


def of(avro: Any, **attributes: Any) -> AvroSchema:
    return schema({"name": "a", "type": avro, **attributes})


def enum(*symbols: str, **attributes: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **attributes}


def fixed(size: int, name: str = "F", **attributes: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **attributes}


def logical(kind: str, name: str, **attributes: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **attributes}


A, B = {"name": "a", "type": "int"}, {"name": "b", "type": "int"}
B_OR_0 = {**B, "default": 0}
NESTED = {"type": "record", "name": "N", "fields": [A]}
LIST = {"name": "next", "type": ["null", "R"]}

# Before, after, what the new can't read of the old, what the old can't read of the new.
CHANGES: dict[str, tuple[AvroSchema, AvroSchema, str | None, str | None]] = {
    "nothing": (schema(A), schema(A), None, None),
    "words": (schema(A, doc="x"), schema({**A, "doc": "y"}), None, None),
    "a field with a default is added": (schema(A), schema(A, B_OR_0), None, None),
    "a field without a default is added": (schema(A), schema(A, B), "R.b: it isn't in what was written", None),
    "a field with a default is removed": (schema(A, B_OR_0), schema(A), None, None),
    "a field without a default is removed": (schema(A, B), schema(A), None, "R.b: it isn't in what was written"),
    "fields change places": (schema(A, B), schema(B, A), None, None),
    "a field is renamed": (schema(A), schema(B), "R.b: it isn't", "R.a: it isn't"),
    "a field is renamed with an alias": (schema(A), schema({**B, "aliases": ["a"]}), None, "R.a: it isn't"),
    "int to long": (of("int"), of("long"), None, "R.a: long can't become int"),
    "int to double": (of("int"), of("double"), None, "R.a: double can't become int"),
    "long to float": (of("long"), of("float"), None, "R.a: float can't become long"),
    "string to bytes": (of("string"), of("bytes"), None, None),
    "int to string": (of("int"), of("string"), "R.a: int can't become string", "R.a: string can't become int"),
    "made nullable": (of("int"), of(["null", "int"]), None, "R.a: null can't become int"),
    "a branch is added": (of(["null", "int"]), of(["null", "int", "string"]), None, "R.a: string fits no branch"),
    "branches change places": (of(["null", "int"]), of(["int", "null"]), None, None),
    "a branch is promoted": (of(["null", "int"]), of(["null", "long"]), None, "R.a: long fits no branch"),
    "a symbol is added": (of(enum("A")), of(enum("A", "B")), None, "R.a: the symbols B are unknown"),
    "a symbol is added to a default": (of(enum("A", default="A")), of(enum("A", "B", default="A")), None, None),
    "a symbol is removed": (of(enum("A", "B")), of(enum("A")), "R.a: the symbols B are unknown", None),
    "a longer fixed": (of(fixed(1)), of(fixed(2)), "R.a: 1 bytes became 2", "R.a: 2 bytes became 1"),
    "a fixed renamed": (of(fixed(1)), of(fixed(1, "G")), "the type was called F and is called G now", "called G"),
    "a fixed renamed with an alias": (of(fixed(1)), of(fixed(1, "G", aliases=["F"])), None, "called G"),
    "an array's items": (
        of({"type": "array", "items": "int"}),
        of({"type": "array", "items": "string"}),
        r"R.a\[\]: int can't become string",
        r"R.a\[\]: string can't become int",
    ),
    "a map's values": (
        of({"type": "map", "values": "int"}),
        of({"type": "map", "values": "long"}),
        None,
        r"R.a\{\}: long can't become int",
    ),
    "inside a record": (
        of(NESTED),
        of({**NESTED, "fields": [A, B]}),
        "R.a.b: it isn't in what was written",
        None,
    ),
    "inside itself": (schema(A, LIST), schema(A, B, LIST), "R.b: it isn't", None),
    "a number becomes a time": (
        of("long"),
        of(logical("long", "timestamp-micros")),
        "logicalType was None and is 'timestamp-micros'",
        "the same bytes would mean something else",
    ),
    "another unit": (
        of(logical("long", "timestamp-millis")),
        of(logical("long", "timestamp-micros")),
        "the same bytes would mean something else",
        "the same bytes would mean something else",
    ),
    "another scale": (
        of(logical("bytes", "decimal", precision=9, scale=2)),
        of(logical("bytes", "decimal", precision=9, scale=3)),
        "scale was 2 and is 3",
        "scale was 3 and is 2",
    ),
    "another namespace": (
        schema(A, namespace="n"),
        schema(A, namespace="m"),
        "called n.R and is called m.R now",
        "called m.R",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_judged_in_both_directions(name: str) -> None:
    before, after, backward, forward = CHANGES[name]
    for reader, writer, reason in ((after, before, backward), (before, after, forward)):
        found = unreadable(reader, writer)
        if reason is None:
            assert found == []
        else:
            assert len(found) == 1
            assert re.search(reason, found[0])


def test_events_must_be_readable_both_ways_and_commands_by_new_code() -> None:
    before, after = schema(A, B), schema(A)  # old code couldn't read what new code writes
    assert violations("commands", after, [before]) == violations("queries", after, [before]) == []
    assert violations("events", after, [before]) == [
        "readers of version 1 can't read the present R: R.b: it isn't in what was written, and has no default"
    ]


def test_every_released_version_counts_not_just_the_last() -> None:
    history = [schema(A), schema(A, B_OR_0)]
    after = schema(A, B)  # reads version 2, and not version 1
    assert unreadable(after, history[1]) == []
    assert violations("commands", after, history) == [
        "R can't read messages of version 1: R.b: it isn't in what was written, and has no default"
    ]


def test_an_upcaster_allows_new_code_what_resolution_can_not(scratch: Scratch) -> None:
    scratch.write("commands", "Sell", A)
    cls = scratch.registry().class_of("shop.Sell")
    before, after = schema(A, name="shop.Sell"), schema(B, name="shop.Sell")
    assert violations("commands", after, [before]) != []
    upcasts(cls, from_version=1)(lambda old: {"b": old["a"]})
    assert violations("commands", after, [before]) == []


def test_an_upcaster_that_no_fingerprint_would_call_is_refused(scratch: Scratch) -> None:
    scratch.write("commands", "Sell", A)
    upcasts(scratch.registry().class_of("shop.Sell"), from_version=1)(lambda old: old)
    before = schema({"name": "a", "type": "long"}, name="shop.Sell")
    after = schema({"name": "a", "type": logical("long", "timestamp-micros")}, name="shop.Sell")
    (found,) = violations("commands", after, [before])
    assert "have the same fingerprint" in found


CHANGED_TYPES = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])


@st.composite
def changed(draw: Any, definition: dict[str, Any]) -> dict[str, Any]:
    """The schema after one to three changes, good or bad, anywhere in it."""
    made = copy.deepcopy(definition)
    for _ in range(draw(st.integers(1, 3))):
        node = draw(st.sampled_from(list(nodes(made))))
        if "fields" in node and draw(st.booleans()):
            match draw(st.sampled_from(["add", "remove", "rename", "alias", "shuffle"])):
                case "add":
                    added = {"name": "added", "type": "int", **draw(st.sampled_from([{}, {"default": 1}]))}
                    node["fields"] = [each for each in node["fields"] if each["name"] != "added"] + [added]
                case "remove":
                    node["fields"] = node["fields"][1:]
                case "rename" if node["fields"]:
                    node["fields"][0]["name"] = "renamed"
                case "alias" if node["fields"]:
                    first = node["fields"][0]
                    first |= {"aliases": [first["name"]], "name": "aliased"}
                case _:
                    node["fields"] = draw(st.permutations(node["fields"]))
        elif "symbols" in node:
            node["symbols"] = draw(st.permutations([*node["symbols"], "New"]))[draw(st.integers(0, 1)) :]
            if draw(st.booleans()):
                node["default"] = node["symbols"][0]
        else:
            key = draw(st.sampled_from([key for key in ("items", "values", "fields") if key in node] or ["none"]))
            if key == "fields" and node["fields"]:
                node = draw(st.sampled_from(node["fields"]))
                node.pop("default", None)
                key = "type"
            if key in node and key != "fields":
                old = node[key]
                node[key] = draw(st.one_of(CHANGED_TYPES, st.just(["null", old] if isinstance(old, str) else old)))
    return made


def nodes(avro: Any) -> Any:
    if isinstance(avro, list):
        for branch in avro:
            yield from nodes(branch)
    elif isinstance(avro, dict):
        yield avro
        for part in (avro.get("items"), avro.get("values"), *(item["type"] for item in avro.get("fields", ()))):
            yield from nodes(part)


@given(st.data(), schemas_with_values(recursive=True))
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_counts_as_readable_avro_can_read(data: st.DataObject, drawn: tuple[dict[str, Any], Any]) -> None:
    writer = parse_text(json.dumps(drawn[0]))
    try:
        reader = parse_text(json.dumps(data.draw(changed(drawn[0]))))
    except SchemaError:
        reject()  # the change left no schema at all
    assume(reader.definition != writer.definition and not unreadable(reader, writer))
    value = resolve(drawn[1], writer.normal, reader.normal)
    message = Codec[Any](reader).decode_json(json.dumps(value).encode())
    codec = Codec[Any](writer)
    body = codec.encode_binary(codec.decode_json(json.dumps(drawn[1]).encode()))
    theirs = fastavro.schemaless_reader(BytesIO(body), writer.parsed, reader.parsed)
    if '"default"' not in json.dumps(reader.definition):  # it gives those as they're in the schema: bytes as text
        assert plain(message) == theirs
