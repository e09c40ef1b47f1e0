"""Whether a schema may follow another: Avro's rules of schema resolution, checked before anything is written.

Events must be readable in both directions and across all versions (FULL_TRANSITIVE): old ones are replayed by
new code, and new ones reach subscribers that know only an old schema. Commands and queries need new code to read
old messages (BACKWARD_TRANSITIVE). Source: Avro 1.12 specification, "Schema Resolution"; beyond it, a changed
logical type counts as incompatible, because the same bytes would mean something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from datapunk.messages.grammar import tag_of
from datapunk.messages.schema import AvroSchema
from datapunk.messages.upcasters import upcaster_of

PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
LOGICAL = ("logicalType", "precision", "scale")


def violations(kind: str, current: AvroSchema, released: list[AvroSchema]) -> list[str]:
    """What forbids the present schema, given its released history; empty if nothing does.

    Args:
        kind: `commands`, `events` or `queries`: the folder it's in.
        current: the schema as it's to be.
        released: all released versions, oldest first.
    """
    found: list[str] = []
    for version, old in enumerate(released, 1):
        if upcaster_of(current.name, version) is None:
            found += [
                f"{current.name} can't read messages of version {version}: {reason}"
                for reason in unreadable(current, old)
            ]
        elif old.fingerprint == current.fingerprint:
            found.append(
                f"{current.name} and its version {version} have the same fingerprint, so the upcaster would never be "
                "called: what means something else needs another name"
            )
        if kind == "events":
            found += [
                f"readers of version {version} can't read the present {current.name}: {reason}"
                for reason in unreadable(old, current)
            ]
    return found


def unreadable(reader: AvroSchema, writer: AvroSchema) -> list[str]:
    """Why data of the writer's schema can't be read with the reader's; empty if it can."""
    comparison = _Comparison(reader.normal.types, writer.normal.types)
    return list(comparison.compare(reader.normal.root, writer.normal.root, reader.name.rpartition(".")[2]))


class _Comparison:
    def __init__(self, reader_types: Mapping[str, Any], writer_types: Mapping[str, Any]) -> None:
        self._reader_types = reader_types
        self._writer_types = writer_types
        self._compared: dict[tuple[str, str], list[str]] = {}

    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        reader, writer = _look_up(reader, self._reader_types), _look_up(writer, self._writer_types)
        if isinstance(writer, list):
            # Whatever branch was written must be readable.
            for branch in cast("list[Any]", writer):
                yield from self.compare(reader, branch, path)
            return
        if isinstance(reader, list):
            reasons = [list(self.compare(branch, writer, path)) for branch in cast("list[Any]", reader)]
            if all(reasons):
                yield f"{path}: {tag_of(writer)} fits no branch of the union"
            return
        read, written = kind_of(reader), kind_of(writer)
        if read != written and read not in PROMOTIONS.get(written, set()):
            yield f"{path}: {written} can't become {read}"
            return
        yield from _compare_logical(reader, writer, path)
        if read in ("record", "enum", "fixed"):
            yield from self._compare_named(reader, writer, path)
        elif read == "array":
            yield from self.compare(reader["items"], writer["items"], f"{path}[]")
        elif read == "map":
            yield from self.compare(reader["values"], writer["values"], f"{path}{{}}")

    def _compare_named(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> Iterator[str]:
        if reader["name"] != writer["name"] and writer["name"] not in reader.get("aliases", []):
            yield f"{path}: the type was called {writer['name']} and is called {reader['name']} now, without an alias"
            return
        match reader["type"]:
            case "fixed":
                if reader["size"] != writer["size"]:
                    yield f"{path}: {writer['size']} bytes became {reader['size']}"
            case "enum":
                missing = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
                if missing and "default" not in reader:
                    yield f"{path}: the symbols {', '.join(missing)} are unknown, and the enum has no default"
            case _:
                pair = (reader["name"], writer["name"])
                if pair not in self._compared:
                    self._compared[pair] = []  # a type within itself is being compared already
                    self._compared[pair] = list(self._compare_fields(reader, writer, path))
                yield from self._compared[pair]

    def _compare_fields(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> Iterator[str]:
        written = {str(item["name"]): item for item in writer["fields"]}
        for item in cast("list[dict[str, Any]]", reader["fields"]):
            names = [str(item["name"]), *map(str, item.get("aliases", []))]
            found = next((written[name] for name in names if name in written), None)
            if found is not None:
                yield from self.compare(item["type"], found["type"], f"{path}.{item['name']}")
            elif "default" not in item:
                yield f"{path}.{item['name']}: it isn't in what was written, and has no default"


def _compare_logical(reader: Any, writer: Any, path: str) -> Iterator[str]:
    was, is_now = logical_of(writer), logical_of(reader)
    for attribute in LOGICAL:
        before, after = was.get(attribute), is_now.get(attribute)
        if before != after:
            yield f"{path}: {attribute} was {before!r} and is {after!r}: the same bytes would mean something else"


def _look_up(avro: Any, types: Mapping[str, Any]) -> Any:
    return types.get(avro, avro) if isinstance(avro, str) else avro


def kind_of(avro: Any) -> str:
    """The kind of type, in normal form: of a primitive its name, else `record`, `array`, …"""
    return avro if isinstance(avro, str) else str(avro["type"])


def logical_of(avro: Any) -> dict[str, Any]:
    """The attributes that make a type a logical one."""
    if not isinstance(avro, dict):
        return {}
    return {name: value for name, value in cast("dict[str, Any]", avro).items() if name in LOGICAL}
