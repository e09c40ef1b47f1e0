"""Avro schemas: read from .avsc files, made self-contained, and identified by fingerprint."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import fastavro
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form

from datapunk.errors import SchemaError
from datapunk.messages.grammar import NAMED, PRIMITIVES, NormalForm, full_name, normal_form

Avro = Any  # a schema as JSON: a name, a list of branches, or an object

MAX_TEXT = 1 << 20  # characters of a schema that came as text


@dataclass(frozen=True)
class AvroSchema:
    """A self-contained schema of a named type.

    Attributes:
        name: its full name, as in `lake.CreateDataset`.
        definition: the schema as JSON values, with every type it uses defined where it's first used.
    """

    name: str
    definition: dict[str, Any]

    @cached_property
    def text(self) -> str:
        """As it's kept in the registry and in released history: JSON with nothing left out."""
        return json.dumps(self.definition, indent=2, ensure_ascii=False)

    @cached_property
    def canonical(self) -> str:
        """Parsing Canonical Form (Avro specification, "Transforming into Parsing Canonical Form")."""
        return str(to_parsing_canonical_form(self.parsed))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits: CRC-64-AVRO of the canonical form, as in Avro's single-object encoding."""
        return str(fingerprint(self.canonical, "CRC-64-AVRO"))

    @cached_property
    def normal(self) -> NormalForm:
        """As compiled code and comparisons want it.

        Raises:
            SchemaError: if it isn't a valid schema.
        """
        try:
            return normal_form(self.definition)
        except SchemaError as error:
            raise SchemaError(f"not a valid Avro schema: {error}") from None

    @cached_property
    def parsed(self) -> Any:
        """As fastavro wants it.

        Raises:
            SchemaError: if it isn't a valid schema.
        """
        _ = self.normal  # the stricter judge
        try:
            return fastavro.parse_schema(copy.deepcopy(self.definition), named_schemas={}, _force=True)
        except (SchemaParseException, UnknownType, KeyError, TypeError, ValueError, RecursionError) as error:
            raise SchemaError(f"{self.name}: not a valid Avro schema: {error!r}") from None


def parse_text(text: str) -> AvroSchema:
    """A self-contained schema of a record, from JSON text.

    Raises:
        SchemaError: saying what is wrong.
    """
    if len(text) > MAX_TEXT:
        raise SchemaError(f"the schema has {len(text):,} characters; at most {MAX_TEXT:,} are taken")
    try:
        definition = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except RecursionError:
        raise SchemaError("the schema is nested too deeply") from None
    except ValueError as error:
        raise SchemaError(f"the schema isn't JSON: {error}") from None
    if not isinstance(definition, dict) or cast("dict[str, Any]", definition).get("type") != "record":
        raise SchemaError('the schema must be a record: an object with "type": "record", a name and fields')
    definition = cast("dict[str, Any]", definition)
    if not isinstance(definition.get("name"), str) or not isinstance(definition.get("fields"), list):
        raise SchemaError("a record schema needs a name and a list of fields")
    schema = AvroSchema(full_name(definition), definition)
    _ = schema.parsed
    return schema


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once: readers differ in which of two counts."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object has a key twice")
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def load_folder(folder: Path, shared: Mapping[str, dict[str, Any]] | None = None) -> dict[str, AvroSchema]:
    """The schemas in a folder's .avsc files, by full name.

    Args:
        folder: where the files are, directly.
        shared: definitions that these may refer to by full name.

    Raises:
        SchemaError: naming the file that is wrong.
    """
    definitions = read_definitions(sorted(folder.glob("*.avsc")))
    known = {**(shared or {}), **definitions}
    found: dict[str, AvroSchema] = {}
    for name, definition in definitions.items():
        try:
            found[name] = resolve(definition, known)
        except SchemaError as error:
            raise SchemaError(f"{folder / name.rpartition('.')[2]}.avsc: {error}") from None
    return found


def read_definitions(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """The definitions in .avsc files as they stand, by full name.

    Raises:
        SchemaError: if a file isn't JSON, or isn't named after what it defines.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        try:
            definition = json.loads(
                file.read_text(encoding="utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant
            )
        except ValueError as error:
            raise SchemaError(f"{file}: not JSON: {error}") from None
        if not isinstance(definition, dict) or "name" not in definition:
            raise SchemaError(f"{file}: an .avsc file here defines one named type")
        definition = cast("dict[str, Any]", definition)
        name = full_name(definition)
        if name.rpartition(".")[2] != file.stem:
            raise SchemaError(f"{file}: the file must be named after its type, {name.rpartition('.')[2]}.avsc")
        found[name] = definition
    return found


def resolve(definition: dict[str, Any], known: Mapping[str, dict[str, Any]]) -> AvroSchema:
    """Make a definition self-contained: each type it refers to is defined at its first use.

    Raises:
        SchemaError: if it refers to a type that nobody defines.
    """
    name = full_name(definition)
    inlined = _inline(definition, "", known, set())
    schema = AvroSchema(name, inlined)
    _ = schema.parsed
    return schema


def _inline(avro: Avro, namespace: str, known: Mapping[str, dict[str, Any]], defined: set[str]) -> Any:
    if isinstance(avro, str):
        if avro in PRIMITIVES:
            return avro
        name = avro if "." in avro or not namespace else f"{namespace}.{avro}"
        if name in defined:
            return name
        if name not in known:
            raise SchemaError(f"there is no type {name}; known are {', '.join(sorted(known)) or 'none'}")
        return _inline(known[name], "", known, defined)
    if isinstance(avro, list):
        return [_inline(branch, namespace, known, defined) for branch in cast("list[Avro]", avro)]
    if not isinstance(avro, dict):
        raise SchemaError(f"{avro!r} is not an Avro schema")
    node = dict(cast("dict[str, Any]", avro))
    kind = node.get("type")
    if kind in NAMED:
        name = full_name(node, namespace)
        defined.add(name)
        space = name.rpartition(".")[0]
        if kind in ("record", "error"):
            node["fields"] = [
                {**field, "type": _inline(field["type"], space, known, defined)} for field in node["fields"]
            ]
        return node
    if kind == "array":
        return {**node, "items": _inline(node["items"], namespace, known, defined)}
    if kind == "map":
        return {**node, "values": _inline(node["values"], namespace, known, defined)}
    if isinstance(kind, str) and kind in PRIMITIVES:
        return node
    return _inline(kind, namespace, known, defined)
