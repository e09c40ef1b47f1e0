"""Schemas come from strangers, and code is compiled from them: nothing but names gets into it, at a bounded price."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from datapunk.errors import SchemaError
from datapunk.messages.codec import codec_of_text
from datapunk.messages.schema import parse_text

MARK = Path("/tmp") / "datapunk-was-injected"  # what an injection would leave
CODE = f'__import__("pathlib").Path("{MARK}").touch()'
# Each would be code in one of the places that a name gets into.
INJECTIONS = [
    f"x: {CODE}",
    f"x={CODE}",
    f"x\n{CODE}\n",
    f"x\r{CODE}",
    f"x', {CODE}, '",
    f'x", {CODE}, "',
    f"x'); {CODE} #",
    f"x\\'); {CODE} #",
    f"{{{CODE}}}",
    f"x\u2028{CODE}",
    CODE,
    "x\n",
    "",
    " ",
    "a b",
    "1a",
    "é",
    "ａ",  # a full-width letter, which Python takes for `a`
    "a.b",
    "__class__",
    "__init_subclass__",
    "__x",
]


def record(*fields: Any, **attributes: Any) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": list(fields), **attributes})


def of_type(avro: Any, **attributes: Any) -> str:
    return record({"name": "a", "type": avro, **attributes})


PLACES: dict[str, Any] = {
    "field": lambda text: record({"name": text, "type": "int"}),
    "field's alias": lambda text: of_type("int", aliases=[text + "/"]),
    "record": lambda text: record(name=text + "/"),
    "record's alias": lambda text: record(aliases=[text + "/"]),
    "namespace": lambda text: record(namespace=text + "/"),
    "inner record": lambda text: of_type({"type": "record", "name": text + "/", "fields": []}),
    "enum": lambda text: of_type({"type": "enum", "name": text + "/", "symbols": ["A"]}),
    "enum's namespace": lambda text: of_type({"type": "enum", "name": "E", "namespace": text + "/", "symbols": ["A"]}),
    "symbol": lambda text: of_type({"type": "enum", "name": "E", "symbols": [text]}),
    "enum's default": lambda text: of_type({"type": "enum", "name": "E", "symbols": ["A"], "default": text}),
    "fixed": lambda text: of_type({"type": "fixed", "name": text + "/", "size": 2}),
    "size": lambda text: of_type({"type": "fixed", "name": "F", "size": text}),
    "precision": lambda text: of_type({"type": "bytes", "logicalType": "decimal", "precision": text}),
    "scale": lambda text: of_type({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": text}),
    "reference": lambda text: of_type(text),
    "type's type": lambda text: of_type({"type": text}),
    "items": lambda text: of_type({"type": "array", "items": text}),
    "branch": lambda text: of_type(["null", text]),
    "default of an int": lambda text: of_type("int", default=text),
    "default of a symbol": lambda text: of_type({"type": "enum", "name": "E", "symbols": ["A"]}, default=text),
    "default of a uuid": lambda text: of_type({"type": "string", "logicalType": "uuid"}, default=text),
    "field of a default": lambda text: of_type({"type": "record", "name": "S", "fields": []}, default={text: 1}),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_name_gets_nowhere(place: str) -> None:
    for text in INJECTIONS:
        with pytest.raises(SchemaError):
            codec_of_text(PLACES[place](text))
    assert not MARK.exists()


HARMLESS: dict[str, Any] = {
    "doc": lambda text: record({"name": "a", "type": "int", "doc": text}, doc=text),
    "unknown attribute": lambda text: of_type({"type": "int", text: text}),
    "unknown logical type": lambda text: of_type({"type": "int", "logicalType": text}),
    "default of a string": lambda text: of_type("string", default=text),
    "default of a map": lambda text: of_type({"type": "map", "values": "string"}, default={text: text}),
    "default in a union": lambda text: of_type(["string", "null"], default=text),
    "default in a record": lambda text: of_type(
        {"type": "record", "name": "S", "fields": [{"name": "s", "type": "string"}]}, default={"s": text}
    ),
}


@pytest.mark.parametrize("place", HARMLESS)
def test_text_that_may_be_anything_stays_text(place: str) -> None:
    for text in INJECTIONS:
        codec = codec_of_text(HARMLESS[place](text))
        if place.startswith("default"):
            written = codec.encode_json(codec.decode_json(b"{}"))
            assert json.dumps(text) in json.dumps(json.loads(written))
    assert not MARK.exists()


def nested(levels: int, avro: str = '"int"') -> str:
    return (
        '{"type":"record","name":"R","fields":[{"name":"a","type":'
        + '{"type":"array","items":' * levels
        + avro
        + "}" * levels
        + "}]}"
    )


def tower(levels: int, default: dict[str, Any], leaf: str) -> str:
    """Records of two records of two records … by reference: short, and 2 ** levels values long."""
    inner: Any = leaf
    for level in range(levels):
        again = inner if isinstance(inner, str) else inner["name"]
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": again}]
        inner = {
            "type": "record",
            "name": f"L{level}",
            "fields": [{**each, **(default if level else {})} for each in fields],
        }
    return of_type(inner, **default)


EXPENSIVE = {
    "10,000 fields": (record(*({"name": f"f{i}", "type": "int"} for i in range(10_000))), "at most 2,000 fields"),
    "10,000 fields in records": (
        record(
            *(
                {
                    "name": f"r{i}",
                    "type": {
                        "type": "record",
                        "name": f"R{i}",
                        "fields": [{"name": f"f{j}", "type": "int"} for j in range(1_000)],
                    },
                }
                for i in range(10)
            )
        ),
        "more than 5000",
    ),
    "10,000 symbols": (
        of_type({"type": "enum", "name": "E", "symbols": [f"s{i}" for i in range(10_000)]}),
        "more than 5000",
    ),
    "10,000 branches": (
        of_type([{"type": "fixed", "name": f"F{i}", "size": 1} for i in range(10_000)]),
        "more than 5000",
    ),
    "nesting 100 deep": (nested(100), "more than 32 deep"),
    "nesting 1,000 deep": (nested(1_000), "too deeply"),
    "nesting 100,000 deep": (nested(100_000), "characters|too deeply"),
    "a chain of references": (
        record(
            {"name": "f0", "type": {"type": "record", "name": "T0", "fields": []}},
            *(
                {
                    "name": f"f{i}",
                    "type": {"type": "record", "name": f"T{i}", "fields": [{"name": "x", "type": f"T{i - 1}"}]},
                }
                for i in range(1, 1_000)
            ),
        ),
        "more than 32 deep",
    ),
    "defaults that double": (tower(25, {"default": {}}, "null"), "null|default"),
    "defaults of defaults": (
        of_type(
            json.loads(tower(20, {"default": {}}, "int").replace('"type": "int"', '"default": 0, "type": "int"'))[
                "fields"
            ][0]["type"],
            default={},
        ),
        "more than 1000 values",
    ),
    "values that take no bytes": (tower(25, {}, "null"), "type null"),
    "an array of nulls": (of_type({"type": "array", "items": "null"}), "take bytes"),
    "an array of empty records": (
        of_type({"type": "array", "items": {"type": "record", "name": "S", "fields": []}}),
        "take bytes",
    ),
    "a record in itself": (of_type("R"), "without an end"),
    "a default in itself": (of_type(["R", "null"], default={}), "default|deep"),
    "a default of 10 MB": (of_type("string", default="x" * 10_000_000), "10,000,0.. characters"),
    "a huge fixed": (of_type({"type": "fixed", "name": "F", "size": 2**60}), "1 to 1048576"),
    "a huge precision": (of_type({"type": "bytes", "logicalType": "decimal", "precision": 10**9}), "1 to 1000"),
    "a huge number": (of_type("int", default=0).replace("0}", "9" * 100_000 + "}"), "isn't JSON"),
}


@pytest.mark.parametrize("name", EXPENSIVE)
def test_what_would_cost_too_much_is_refused(name: str) -> None:
    text, reason = EXPENSIVE[name]
    with pytest.raises(SchemaError, match=reason) as caught:
        codec_of_text(text)
    assert len(str(caught.value)) < 1_000


WRONG = {
    "no schema": ("1", "must be a record"),
    "NaN": (of_type("double", default=float("nan")), "NaN is no JSON"),
    "a key twice": ('{"type":"record","name":"R","name":"S","fields":[]}', "a key twice"),
    "two fields of a name": (
        record({"name": "a", "type": "int"}, {"name": "a", "type": "int"}),
        "two fields are called a",
    ),
    "two fields of a name in Python": (
        record({"name": "class", "type": "int"}, {"name": "class_", "type": "int"}),
        "two fields are called class_",
    ),
    "a type twice": (
        record(*({"name": n, "type": {"type": "fixed", "name": "F", "size": 1}} for n in "ab")),
        "defined twice",
    ),
    "a type called string": (of_type({"type": "fixed", "name": "string", "size": 1}), "as Avro's own"),
    "an empty union": (of_type([]), "at least one branch"),
    "a branch twice": (of_type(["int", {"type": "int", "logicalType": "date"}]), "both int"),
    "a union in a union": (of_type(["null", ["int"]]), "branch of a union"),
    "a union in a union, wrapped": (of_type(["null", {"type": ["int", "string"]}]), "branch of a union"),
    "a symbol twice": (of_type({"type": "enum", "name": "E", "symbols": ["A", "A"]}), "symbol twice"),
    "an unknown type": (of_type("Nothing"), "R.a: there is no type 'Nothing'"),
    "a date of text": (of_type({"type": "string", "logicalType": "date"}), "date goes with int"),
    "digits that don't fit": (
        of_type({"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 5}),
        "can't hold 5 digits",
    ),
    "a scale beyond the precision": (
        of_type({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}),
        "scale is 0 to its precision",
    ),
    "a default of another branch": (of_type(["null", "int"], default=1), "isn't null"),
    "a default too large": (of_type("int", default=2**31), "32 bits"),
    "a default with a NUL": (of_type("string", default="\0"), "NUL"),
    "a default with half a character": (of_type("string", default="\ud800"), "surrogates"),
    "a default that lacks a field": (
        of_type({"type": "record", "name": "S", "fields": [{"name": "x", "type": "int"}]}, default={}),
        "lacks the field x",
    ),
    "a default that is no date": (of_type({"type": "int", "logicalType": "date"}, default=2**31 - 1), "doesn't fit"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str) -> None:
    text, reason = WRONG[name]
    with pytest.raises(SchemaError, match=reason):
        parse_text(text)


def test_a_large_schema_compiles_in_bearable_time() -> None:
    names = [f"f{i}" for i in range(1_000)]
    codec = codec_of_text(record(*({"name": name, "type": ["null", "string"], "default": None} for name in names)))
    assert [field.name for field in codec.fields] == names


def test_compiled_codecs_leave_nothing_behind() -> None:
    modules = set(sys.modules)
    codec = codec_of_text.__wrapped__(of_type({"type": "enum", "name": "E", "symbols": ["A"]}))
    record_class = weakref.ref(type(codec.decode_json(b'{"a":"A"}')))
    assert codec.decode_json_array(b'[{"a":"A"}]')[0].a == "A"
    assert set(sys.modules) == modules
    del codec
    gc.collect()
    assert record_class() is None
