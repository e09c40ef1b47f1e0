"""What kind of value each field of a record holds, for whoever makes columns of them."""

from __future__ import annotations

from typing import Any, cast

from datapunk.messages.codec import FieldDescription
from datapunk.messages.codec_source import PLAIN, python_name


def describe_fields(definition: dict[str, Any]) -> tuple[FieldDescription, ...]:
    """The fields of a self-contained record schema, in order."""
    named: dict[str, str] = {}
    _collect(definition, named)
    return tuple(_describe(item, named) for item in definition["fields"])


def _describe(item: dict[str, Any], named: dict[str, str]) -> FieldDescription:
    avro, is_nullable = item["type"], False
    if isinstance(avro, list):
        branches = cast("list[Any]", avro)
        others = [branch for branch in branches if branch != "null"]
        is_nullable = len(others) < len(branches)
        avro = others[0] if len(others) == 1 else "union" if others else "null"
    logical: str | None = None
    while isinstance(avro, dict):
        node = cast("dict[str, Any]", avro)
        logical = node.get("logicalType", logical)
        avro = node["type"]
        if avro in ("record", "error", "enum", "fixed", "array", "map"):
            break
    kind = str(avro)
    if kind not in PLAIN:
        kind = named.get(kind, kind)
    return FieldDescription(item["name"], python_name(item["name"]), kind, logical, is_nullable)


def _collect(avro: Any, named: dict[str, str]) -> None:
    """Which kind each named type is, by short and full name."""
    if isinstance(avro, list):
        for branch in cast("list[Any]", avro):
            _collect(branch, named)
    elif isinstance(avro, dict):
        node = cast("dict[str, Any]", avro)
        if "name" in node and node.get("type") in ("record", "error", "enum", "fixed"):
            name, space = str(node["name"]), node.get("namespace")
            named[name] = node["type"]
            if space:
                named[f"{space}.{name}"] = node["type"]
        for part in (node.get("type"), node.get("items"), node.get("values")):
            _collect(part, named)
        for item in node.get("fields", []):
            _collect(item["type"], named)
