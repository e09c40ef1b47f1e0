import pytest

from datapunk.messages.json_schema import Form, Names, SchemaWriter, example

JSON_TEXT = {"type": "string", "contentMediaType": "application/json"}
NODE = {
    "type": "record",
    "name": "Node",
    "namespace": "t",
    "doc": "A node.",
    "fields": [
        {"name": "label", "type": "string", "doc": "What it says."},
        {"name": "next", "type": ["null", "Node"], "default": None},
        {"name": "count", "type": "int", "default": 3},
        {"name": "content", "type": JSON_TEXT},
        {"name": "raw", "type": "bytes"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "by", "type": {"type": "map", "values": ["null", "double"]}},
    ],
}


@pytest.fixture
def names():
    return Names([NODE])


def test_a_record_becomes_a_component_with_docs_and_defaults(names):
    writer = SchemaWriter(names, Form.PLAIN)
    assert writer.of("t.Node") == {"$ref": "#/components/schemas/t.Node"}
    node = writer.components["t.Node"]
    assert node["description"] == "A node."
    assert node["required"] == ["label", "content", "raw", "at", "tags", "kind", "by"]
    assert node["additionalProperties"] is False
    assert node["properties"]["label"] == {"type": "string", "description": "What it says."}
    assert node["properties"]["count"]["default"] == 3
    assert node["properties"]["count"]["maximum"] == 2**31 - 1
    assert node["properties"]["content"] == {"description": "Any JSON value."}
    assert node["properties"]["raw"]["contentEncoding"] == "base64"
    assert node["properties"]["at"] == {"type": "string", "format": "date-time"}
    assert node["properties"]["kind"] == {"$ref": "#/components/schemas/t.Kind"}
    assert writer.components["t.Kind"]["enum"] == ["A", "B"]


def test_a_recursive_type_refers_to_itself(names):
    writer = SchemaWriter(names, Form.PLAIN)
    writer.of("t.Node")
    assert writer.components["t.Node"]["properties"]["next"]["anyOf"] == [
        {"type": "null"},
        {"$ref": "#/components/schemas/t.Node"},
    ]


def test_avro_json_tags_its_unions_and_keeps_underlying_types(names):
    writer = SchemaWriter(names, Form.AVRO)
    assert writer.of("t.Node") == {"$ref": "#/components/schemas/t.Node.avro"}
    properties = writer.components["t.Node.avro"]["properties"]
    assert properties["next"]["anyOf"][1]["required"] == ["t.Node"]
    assert properties["at"]["format"] == "int64"
    assert properties["content"] == {"type": "string", "contentMediaType": "application/json"}
    assert properties["by"]["additionalProperties"]["anyOf"][1]["required"] == ["double"]


def test_an_example_has_a_value_for_every_field(names):
    assert example(NODE, names) == {
        "label": "label",
        "next": None,
        "count": 3,
        "content": {},
        "raw": "AAEC",
        "at": "2026-01-31T12:30:00Z",
        "tags": ["tags"],
        "kind": "A",
        "by": {"key": None},
    }


def test_a_fields_own_example_wins(names):
    field = {"name": "schema", "type": "string", "example": "the author's"}
    schema = {"type": "record", "name": "R", "namespace": "t", "fields": [field]}
    assert example(schema, names) == {"schema": "the author's"}


def test_logical_types_that_stay_numbers_are_described_as_numbers() -> None:
    nanos = {"type": "long", "logicalType": "timestamp-nanos"}
    assert SchemaWriter(Names(), Form.PLAIN).of(nanos) == {"type": "integer", "format": "int64"}
