"""Whether a schema may follow another: Avro's rules of schema resolution, checked before anything is written.

Events must be readable in both directions and across all versions (FULL_TRANSITIVE): old ones are replayed by
new code, and new ones reach subscribers that know only an old schema. Commands and queries need new code to read
old messages (BACKWARD_TRANSITIVE). Source: Avro 1.12 specification, "Schema Resolution"; beyond it, a changed
logical type counts as incompatible, because the same bytes would mean something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from datapunk.messages.schema import AvroSchema, full_name
from datapunk.messages.upcasters import upcaster_of

PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
LOGICAL = ("logicalType", "precision", "scale")
NAMED = ("record", "error", "enum", "fixed")


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
        if kind == "events":
            found += [
                f"readers of version {version} can't read the present {current.name}: {reason}"
                for reason in unreadable(old, current)
            ]
    return found


def unreadable(reader: AvroSchema, writer: AvroSchema) -> list[str]:
    """Why data of the writer's schema can't be read with the reader's; empty if it can."""
    comparison = _Comparison(_names(reader.definition), _names(writer.definition))
    return list(comparison.compare(reader.definition, writer.definition, reader.name.rpartition(".")[2]))


class _Comparison:
    def __init__(self, reader_types: Mapping[str, Any], writer_types: Mapping[str, Any]) -> None:
        self._reader_types = reader_types
        self._writer_types = writer_types
        self._under_way: set[tuple[str, str]] = set()

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
                yield f"{path}: {_kind(writer)} fits no branch of the union"
            return
        read, written = _kind(reader), _kind(writer)
        if read != written:
            if read not in PROMOTIONS.get(written, set()):
                yield f"{path}: {written} can't become {read}"
            return
        for attribute in LOGICAL:
            if _attribute(reader, attribute) != _attribute(writer, attribute):
                was, is_now = _attribute(writer, attribute), _attribute(reader, attribute)
                yield f"{path}: {attribute} was {was!r} and is {is_now!r}: the same bytes would mean something else"
        if read in NAMED:
            yield from self._compare_named(reader, writer, path)
        elif read == "array":
            yield from self.compare(reader["items"], writer["items"], f"{path}[]")
        elif read == "map":
            yield from self.compare(reader["values"], writer["values"], f"{path}{{}}")

    def _compare_named(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> Iterator[str]:
        short = [str(node["name"]).rpartition(".")[2] for node in (reader, writer)]
        aliases = {str(alias).rpartition(".")[2] for alias in reader.get("aliases", [])}
        if short[0] != short[1] and short[1] not in aliases:
            yield f"{path}: the type was called {short[1]} and is called {short[0]} now, without an alias"
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
                pair = (full_name(reader), full_name(writer))
                if pair in self._under_way:
                    return  # a type within itself is compared already
                self._under_way.add(pair)
                yield from self._compare_fields(reader, writer, path)

    def _compare_fields(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> Iterator[str]:
        written = {str(item["name"]): item for item in writer["fields"]}
        for item in cast("list[dict[str, Any]]", reader["fields"]):
            names = [str(item["name"]), *map(str, item.get("aliases", []))]
            found = next((written[name] for name in names if name in written), None)
            if found is not None:
                yield from self.compare(item["type"], found["type"], f"{path}.{item['name']}")
            elif "default" not in item:
                yield f"{path}.{item['name']}: it isn't in what was written, and has no default"


def _names(definition: Any) -> dict[str, Any]:
    """Every named type in a self-contained schema, by short and full name."""
    found: dict[str, Any] = {}

    def collect(avro: Any, space: str) -> None:
        if isinstance(avro, list):
            for branch in cast("list[Any]", avro):
                collect(branch, space)
        elif isinstance(avro, dict):
            node = cast("dict[str, Any]", avro)
            if node.get("type") in NAMED:
                name = full_name(node, space)
                found[name] = found[name.rpartition(".")[2]] = node
                space = name.rpartition(".")[0]
            for part in (node.get("type"), node.get("items"), node.get("values")):
                collect(part, space)
            for item in node.get("fields", []):
                collect(item["type"], space)

    collect(definition, "")
    return found


def _look_up(avro: Any, types: Mapping[str, Any]) -> Any:
    if isinstance(avro, str):
        return types.get(avro, avro)
    if isinstance(avro, dict) and isinstance(inner := cast("dict[str, Any]", avro).get("type"), (dict, list)):
        return _look_up(inner, types)
    return cast("Any", avro)


def _kind(avro: Any) -> str:
    return avro if isinstance(avro, str) else str(avro["type"])


def _attribute(avro: Any, name: str) -> Any:
    return cast("dict[str, Any]", avro).get(name) if isinstance(avro, dict) else None
