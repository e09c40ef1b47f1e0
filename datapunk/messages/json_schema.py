"""JSON Schema (draft 2020-12) and examples, derived from Avro schemas: for OpenAPI and for people.

Two forms of a message are JSON: plain (see `datapunk.messages.plain`) and Avro's own ("JSON Encoding" in the
Avro 1.12 specification).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, cast

from datapunk.messages.plain import holds_json

Avro = Any  # a parsed schema: a name, a list of branches, or a dict
JsonSchema = dict[str, Any]

INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}
MOST_NESTED = 4  # levels of an example; deeper ones end in the emptiest value


class Form(Enum):
    """Which JSON is meant."""

    PLAIN = "plain"
    AVRO = "avro"


PRIMITIVES: dict[str, JsonSchema] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "format": "int32", **INT32},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
}
BYTES: dict[Form, JsonSchema] = {
    Form.PLAIN: {"type": "string", "contentEncoding": "base64"},
    Form.AVRO: {"type": "string", "description": "Bytes 0-255 as the characters U+0000-U+00FF."},
}
# How plain JSON writes what Avro JSON writes as the underlying number, string or bytes.
LOGICAL: dict[str, JsonSchema] = {
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "decimal": {"type": "string", "format": "decimal"},
    **{f"time-{unit}": {"type": "string", "format": "time"} for unit in ("millis", "micros")},
    **{
        f"{local}timestamp-{unit}": {"type": "string", "format": "date-time"}
        for local in ("", "local-")
        for unit in ("millis", "micros")  # Python has no nanoseconds: they're numbers in plain JSON, too
    },
}
EXAMPLES_BY_FORMAT: dict[str, Any] = {
    "uuid": "01936d5e-8f60-7c3a-9b1e-3f2a5b6c7d8e",
    "date": "2026-01-31",
    "time": "12:30:00",
    "date-time": "2026-01-31T12:30:00Z",
    "decimal": "12.50",
    "int32": 1,
    "int64": 1,
    "float": 1.5,
    "double": 1.5,
}


class Names:
    """Named Avro types by full name; it grows as schemas that define some are read."""

    def __init__(self, schemas: Iterable[Avro] = ()) -> None:
        self.by_name: dict[str, Avro] = {}
        for schema in schemas:
            self.learn(schema)

    def learn(self, avro: Avro, space: str = "") -> None:
        """Take in every named type inside a schema."""
        if isinstance(avro, list):
            for branch in cast("list[Avro]", avro):
                self.learn(branch, space)
        if not isinstance(avro, dict):
            return
        schema = cast("dict[str, Avro]", avro)
        if "name" in schema and schema.get("type") in ("record", "error", "enum", "fixed"):
            name = full_name(schema, space)
            space = name.rpartition(".")[0]
            self.by_name.setdefault(name, schema)
        for key in ("items", "values"):
            self.learn(schema.get(key), space)
        for field in schema.get("fields", ()):
            self.learn(field["type"], space)

    def find(self, name: str, space: str) -> tuple[str, Avro] | None:
        """The full name and the schema of a type that is referred to by name."""
        for candidate in (name, f"{space}.{name}"):
            if candidate in self.by_name:
                return candidate, self.by_name[candidate]
        return None


def full_name(schema: Mapping[str, Avro], space: str = "") -> str:
    """A named type's full name: its namespace is its own, else that of the type around it."""
    name = str(schema["name"])
    space = str(schema.get("namespace") or space)
    return name if "." in name or not space else f"{space}.{name}"


def component_name(name: str, form: Form) -> str:
    """The name of a type's component in OpenAPI."""
    return name if form is Form.PLAIN else f"{name}.avro"


class SchemaWriter:
    """Writes JSON Schemas of one form, with named types as references into `components`.

    Args:
        names: where types are found that a schema refers to.
        form: which JSON to describe.
    """

    def __init__(self, names: Names, form: Form) -> None:
        self.components: dict[str, JsonSchema] = {}
        self._names, self._form = names, form

    def of(self, avro: Avro, space: str = "") -> JsonSchema:
        """The JSON Schema of an Avro schema."""
        if isinstance(avro, list):
            return self._of_union(cast("list[Avro]", avro), space)
        if isinstance(avro, str):
            if avro in PRIMITIVES:
                return dict(PRIMITIVES[avro])
            if avro == "bytes":
                return dict(BYTES[self._form])
            found = self._names.find(avro, space)
            return {} if found is None else self._named(*found)
        schema = cast("dict[str, Avro]", avro)
        kind = schema["type"]
        if kind in ("record", "error", "enum", "fixed"):
            return self._named(full_name(schema, space), schema)
        if kind == "array":
            return {"type": "array", "items": self.of(schema["items"], space)}
        if kind == "map":
            return {"type": "object", "additionalProperties": self.of(schema["values"], space)}
        if self._form is Form.PLAIN and holds_json(schema):
            return {"description": "Any JSON value."}
        if self._form is Form.PLAIN and schema.get("logicalType") in LOGICAL:
            return dict(LOGICAL[str(schema["logicalType"])])
        written = self.of(kind, space)
        if holds_json(schema):
            written["contentMediaType"] = schema["contentMediaType"]
        return written

    def _named(self, name: str, schema: dict[str, Avro]) -> JsonSchema:
        component = component_name(name, self._form)
        if component not in self.components:
            self.components[component] = {}  # recursive types refer to it while it's being written
            self.components[component] = self._definition(name, schema)
        return {"$ref": f"#/components/schemas/{component}"}

    def _definition(self, name: str, schema: dict[str, Avro]) -> JsonSchema:
        written: JsonSchema = {"title": name}
        if "doc" in schema:
            written["description"] = schema["doc"]
        space = name.rpartition(".")[0]
        if schema["type"] == "enum":
            return {**written, "type": "string", "enum": list(schema["symbols"])}
        if schema["type"] == "fixed":
            if self._form is Form.PLAIN and schema.get("logicalType") in LOGICAL:
                return {**written, **LOGICAL[str(schema["logicalType"])]}
            return {**written, **BYTES[self._form]}
        properties: dict[str, JsonSchema] = {}
        required: list[str] = []
        for field in schema["fields"]:
            properties[field["name"]] = self._field(field, space)
            if "default" not in field:
                required.append(field["name"])
        written |= {"type": "object", "properties": properties, "additionalProperties": False}
        return {**written, "required": required} if required else written

    def _field(self, field: dict[str, Avro], space: str) -> JsonSchema:
        written = self.of(field["type"], space)
        for ours, theirs in (("doc", "description"), ("default", "default")):
            if ours in field:
                written[theirs] = field[ours]
        return written

    def _of_union(self, branches: list[Avro], space: str) -> JsonSchema:
        written = [self.of(branch, space) for branch in branches]
        if self._form is Form.AVRO:
            written = [
                each if branch == "null" else self._tagged(branch, each, space)
                for branch, each in zip(branches, written, strict=True)
            ]
        return written[0] if len(written) == 1 else {"anyOf": written}

    def _tagged(self, branch: Avro, written: JsonSchema, space: str) -> JsonSchema:
        tag = branch_tag(branch, space, self._names)
        return {
            "type": "object",
            "properties": {tag: written},
            "required": [tag],
            "additionalProperties": False,
        }


def branch_tag(branch: Avro, space: str, names: Names) -> str:
    """The tag of a union's branch in Avro JSON: a named type's full name, else the name of the type."""
    if isinstance(branch, str):
        found = names.find(branch, space)
        return branch if found is None else found[0]
    schema = cast("dict[str, Avro]", branch)
    return full_name(schema, space) if "name" in schema else str(schema["type"])


def example(avro: Avro, names: Names, space: str = "", field: str = "", depth: int = 0) -> Any:
    """A value in plain JSON: a field's attribute `example`, or its default, or one made up from its type."""
    if isinstance(avro, list):
        branches = cast("list[Avro]", avro)
        return None if depth and "null" in branches else example(branches[-1], names, space, field, depth)
    if isinstance(avro, str):
        found = names.find(avro, space)
        if found is not None:
            return example(found[1], names, space, field, depth)
        avro = {"type": avro}
    schema = cast("dict[str, Avro]", avro)
    kind = schema["type"]
    if kind in ("record", "error"):
        if depth >= MOST_NESTED:
            return {}
        space = full_name(schema, space).rpartition(".")[0]
        return {each["name"]: _field_example(each, names, space, depth + 1) for each in schema["fields"]}
    if kind == "array":
        return [example(schema["items"], names, space, field, depth + 1)]
    if kind == "map":
        return {"key": example(schema["values"], names, space, field, depth + 1)}
    if kind == "enum":
        return schema["symbols"][0]
    if holds_json(schema):
        return {}
    simple = SchemaWriter(names, Form.PLAIN).of(schema if "name" not in schema else {"type": "bytes"}, space)
    if simple.get("format") in EXAMPLES_BY_FORMAT:
        return EXAMPLES_BY_FORMAT[simple["format"]]
    if "contentEncoding" in simple:
        return "AAEC"
    by_type: dict[str, Any] = {"boolean": True, "null": None, "string": field or "text"}
    return by_type.get(simple.get("type", ""), cast(Any, {}))


def _field_example(field: dict[str, Avro], names: Names, space: str, depth: int) -> Any:
    for key in ("example", "default"):
        if key in field:
            return field[key]
    return example(field["type"], names, space, field["name"], depth)
