"""What kind of value each field of a record holds, for whoever makes columns of them."""

from __future__ import annotations

from typing import Any, cast

from datapunk.messages.codec import FieldDescription
from datapunk.messages.python_names import python_name
from datapunk.messages.schema import AvroSchema


def describe_fields(schema: AvroSchema) -> tuple[FieldDescription, ...]:
    """The fields of a record schema, in order."""
    return tuple(_describe(item, schema.normal.types) for item in schema.normal.root["fields"])


def _describe(item: dict[str, Any], types: dict[str, dict[str, Any]]) -> FieldDescription:
    avro, is_nullable = item["type"], False
    if isinstance(avro, list):
        branches = cast("list[Any]", avro)
        others = [branch for branch in branches if branch != "null"]
        is_nullable = len(others) < len(branches)
        avro = others[0] if len(others) == 1 else "union" if others else "null"
    node = types.get(avro, avro) if isinstance(avro, str) else avro
    kind, logical = (node, None) if isinstance(node, str) else (node["type"], node.get("logicalType"))
    return FieldDescription(item["name"], python_name(item["name"]), kind, logical, is_nullable)
