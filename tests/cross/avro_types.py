"""Avro types, for values of them."""

from __future__ import annotations

import json
from typing import Any


def record(*fields: dict[str, Any], name: str = "Vector", **attributes: Any) -> str:
    """The text of a record's schema."""
    return json.dumps({"type": "record", "name": name, "namespace": "cross", **attributes, "fields": fields})


def logical(type: str, name: str, **attributes: Any) -> dict[str, Any]:
    """A logical type."""
    return {"type": type, "logicalType": name, **attributes}


def fixed(name: str, size: int, **attributes: Any) -> dict[str, Any]:
    """A fixed."""
    return {"type": "fixed", "name": name, "size": size, **attributes}


def array(items: Any) -> dict[str, Any]:
    """An array."""
    return {"type": "array", "items": items}


def mapping(values: Any) -> dict[str, Any]:
    """A map."""
    return {"type": "map", "values": values}


def one(type: Any, name: str = "value", **attributes: Any) -> dict[str, Any]:
    """A field."""
    return {"name": name, "type": type, **attributes}


SUIT = {"type": "enum", "name": "Suit", "symbols": ["SPADES", "HEARTS", "_X1"]}
POINT = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "int"}]}
PRICE = logical("bytes", "decimal", precision=6, scale=2)
