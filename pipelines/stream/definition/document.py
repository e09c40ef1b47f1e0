"""YAML as plain values, each with its place. It's YAML 1.2's core: `on` and `no` are texts, and 1:30 is one, too."""

from __future__ import annotations

import re
from typing import Any, cast

import yaml

from pipelines.stream.definition.problems import InvalidDefinition, Place, Problem

MAX_TEXT = 100_000  # characters
MAX_DEPTH = 20

Path = tuple[str | int, ...]


class Document:
    """A YAML text, read.

    Args:
        text: the YAML.

    Attributes:
        value: what it says, as dicts, lists and scalars.
        text: the YAML.

    Raises:
        InvalidDefinition: if it isn't YAML, or uses what has no meaning here: anchors, tags, keys that are no texts.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._values: dict[Path, yaml.Node] = {}
        self._keys: dict[Path, yaml.Node] = {}
        if len(text) > MAX_TEXT:
            raise _invalid(Place(1, 1), f"it has {len(text):,} characters, and {MAX_TEXT:,} is the most")
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise _invalid(_place(mark), f"this isn't YAML: {error.problem or error.context}") from None
        except yaml.reader.ReaderError as error:
            before = text[: error.position]
            place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
            raise _invalid(place, f"the character {error.character!r} isn't allowed in YAML") from None
        except RecursionError:
            raise _invalid(Place(1, 1), "it's nested too deeply") from None
        if node is None:
            raise _invalid(Place(1, 1), "it's empty; a pipeline has at least a name, a source and sinks")
        self.value = self._read(node, ())

    def place(self, path: Path) -> Place:
        """Where a value is; of what isn't there, where it would have to be."""
        while path not in self._values:
            path = path[:-1]
        return _place(self._values[path].start_mark)

    def place_of_key(self, path: Path) -> Place:
        """Where the key of a value is."""
        return _place(self._keys[path].start_mark) if path in self._keys else self.place(path)

    def place_in(self, path: Path, line: int, column: int) -> Place:
        """Where a place within a text is, as far as quotes and folding leave that to be told."""
        node = self._values.get(path)
        start = self.place(path)
        if not isinstance(node, yaml.ScalarNode):
            return start
        if node.style == "|":
            body = self.text.splitlines()[start.line : start.line + line]
            indented = next((len(each) - len(each.lstrip()) for each in body if each.strip()), 0)
            return Place(start.line + line, indented + column)
        if line > 1 or node.style == ">" or node.start_mark.line != node.end_mark.line:
            return start
        return Place(start.line, start.column + column - 1 + (1 if node.style else 0))

    def _read(self, node: yaml.Node, path: Path) -> Any:
        self._values[path] = node
        if len(path) > MAX_DEPTH:
            raise _invalid(_place(node.start_mark), "it's nested too deeply")
        if isinstance(node, yaml.MappingNode):
            made: dict[str, Any] = {}
            for key_node, value_node in node.value:
                if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:null":
                    raise _invalid(_place(key_node.start_mark), "a key must be a text")
                key = str(key_node.value)
                if key in made:
                    raise _invalid(_place(key_node.start_mark), f"{key!r} is there twice")
                self._keys[*path, key] = key_node
                made[key] = self._read(value_node, (*path, key))
            return made
        if isinstance(node, yaml.SequenceNode):
            return [self._read(each, (*path, number)) for number, each in enumerate(node.value)]
        return _scalar(cast(yaml.ScalarNode, node))


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - filled below

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _invalid(_place(event.start_mark), "anchors and aliases aren't taken; write it out")
        if getattr(event, "tag", None) is not None:
            raise _invalid(_place(event.start_mark), "tags aren't taken")
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    kind = node.tag.rpartition(":")[2]
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text)
    if kind == "float":
        return float(text)
    return None if kind == "null" else text


def _place(mark: Any) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


def _invalid(place: Place, message: str) -> InvalidDefinition:
    return InvalidDefinition([Problem(place, message)])
