"""Reading what was written with another schema (Avro 1.12 specification, "Schema Resolution").

Values are in Avro's JSON encoding here: it says which branch of a union a value is of, and what is left out gets
the reader's default when the reader decodes it. What can be resolved is what `datapunk.messages.evolution` lets
pass.
"""

from __future__ import annotations

from typing import Any, cast

from datapunk.errors import UndecodableMessage
from datapunk.messages.evolution import PROMOTIONS, kind_of, logical_of
from datapunk.messages.grammar import NormalForm, tag_of

Avro = Any  # a schema in normal form


def resolve(value: Any, writer: NormalForm, reader: NormalForm) -> Any:
    """A value of the reader's schema from one of the writer's.

    Args:
        value: in Avro JSON, known to be of the writer's schema.
        writer: the schema it was written with.
        reader: the schema it's wanted in.

    Raises:
        UndecodableMessage: if the schemas don't go together, for this value.
    """
    return _Resolution(writer.types, reader.types).of(value, writer.root, reader.root)


class _Resolution:
    def __init__(self, writer_types: dict[str, dict[str, Any]], reader_types: dict[str, dict[str, Any]]) -> None:
        self._writer_types, self._reader_types = writer_types, reader_types

    def of(self, value: Any, writer: Avro, reader: Avro) -> Any:
        if isinstance(writer, list):
            branches = {tag_of(branch): branch for branch in cast("list[Avro]", writer)}
            (tag, value), *_ = ("null", None) if value is None else next(iter(value.items())), None
            writer = branches[tag]
        if isinstance(writer, str):
            writer = self._writer_types.get(writer, writer)
        if isinstance(reader, list):
            branch = self._branch(cast("list[Avro]", reader), writer)
            return None if branch == "null" else {tag_of(branch): self._single(value, writer, branch)}
        return self._single(value, writer, reader)

    def _branch(self, branches: list[Avro], writer: Avro) -> Avro:
        """The branch of the same type and name; else of a name that's an alias of it; else that it can become."""
        found = [branch for branch in branches if self._fits(branch, writer)]
        if not found:
            raise UndecodableMessage(f"{tag_of(writer)} fits no branch of the union")
        return min(found, key=lambda branch: (tag_of(branch) != tag_of(writer), self._kind(branch) != kind_of(writer)))

    def _fits(self, reader: Avro, writer: Avro) -> bool:
        node: Any = self._reader_types.get(reader, reader) if isinstance(reader, str) else reader
        if logical_of(node) != logical_of(writer):
            return False
        kind, written = kind_of(node), kind_of(writer)
        if kind in ("record", "enum", "fixed"):
            return kind == written and writer["name"] in [node["name"], *node.get("aliases", ())]
        return kind == written or kind in PROMOTIONS.get(written, ())

    def _kind(self, reader: Avro) -> str:
        return kind_of(self._reader_types.get(reader, reader) if isinstance(reader, str) else reader)

    def _single(self, value: Any, writer: Avro, reader: Avro) -> Any:
        if isinstance(reader, str):
            reader = self._reader_types.get(reader, reader)
        if not self._fits(reader, writer):
            raise UndecodableMessage(f"{tag_of(writer)} can't become {tag_of(reader)}")
        match kind_of(writer), kind_of(reader):
            case "record", _:
                return self._record(value, writer, reader)
            case "array", _:
                return [self.of(item, writer["items"], reader["items"]) for item in value]
            case "map", _:
                return {key: self.of(item, writer["values"], reader["values"]) for key, item in value.items()}
            case "enum", _:
                return _symbol(value, reader)
            case "string", "bytes":
                return value.encode().decode("latin-1")
            case "bytes", "string":
                return value.encode("latin-1").decode()
            case _:
                return value

    def _record(self, value: dict[str, Any], writer: dict[str, Any], reader: dict[str, Any]) -> dict[str, Any]:
        written = {str(item["name"]): item["type"] for item in writer["fields"]}
        made: dict[str, Any] = {}
        for item in cast("list[dict[str, Any]]", reader["fields"]):
            name = next((name for name in (item["name"], *item.get("aliases", ())) if name in written), None)
            if name is not None:
                made[item["name"]] = self.of(value[name], written[name], item["type"])
        return made


def _symbol(symbol: str, reader: dict[str, Any]) -> str:
    if symbol in reader["symbols"]:
        return symbol
    if "default" not in reader:
        raise UndecodableMessage(f"{reader['name']} has no symbol {symbol}, and no default")
    return reader["default"]
