"""Which messages there are: what the HTTP API, its documentation and the command line know of each."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import ModuleType
from typing import Any

from datapunk.errors import SchemaError, UnknownMessageType, UnsupportedContentType
from datapunk.messages.json_schema import Names, example
from datapunk.messages.message import Answer, Command, Event, Message, Query
from datapunk.messages.plain import PlainCodec
from datapunk.messages.registry import Registry
from datapunk.module import Module

FOLDERS = ("commands", "events", "queries", "types")


class Kind(StrEnum):
    """What a message is for."""

    COMMAND = "command"
    EVENT = "event"
    QUERY = "query"
    ANSWER = "answer"


@dataclass(frozen=True)
class MessageType:
    """One type of message.

    Attributes:
        name: as in `lake.CreateDataset`.
        kind: what it's for.
        module: the module it belongs to.
        cls: its generated class.
        avro: its schema, parsed.
        fingerprint: 16 hexadecimal digits.
        names: named types that the schema refers to.
    """

    name: str
    kind: Kind
    module: str
    cls: type[Message]
    avro: dict[str, Any]
    fingerprint: str
    names: Names

    @property
    def doc(self) -> str:
        """What its author says about it."""
        return str(self.avro.get("doc", ""))

    @cached_property
    def plain(self) -> PlainCodec[Any]:
        """Reads and writes it as plain JSON.

        Raises:
            UnsupportedContentType: if it has no plain form.
        """
        try:
            return PlainCodec(self.cls, self.avro, self.names.by_name)
        except SchemaError as error:
            raise UnsupportedContentType(str(error)) from None

    @cached_property
    def example(self) -> Any:
        """One of it in plain JSON, as Python values."""
        return example(self.avro, self.names)


class Catalogue:
    """All message types of some modules.

    Args:
        registry: knows their schemas.
        modules: which.
    """

    def __init__(self, registry: Registry, modules: Sequence[Module]) -> None:
        self.modules = tuple(modules)
        self.types: dict[str, MessageType] = {}
        for module in modules:
            for cls in _message_classes(module):
                schema = registry.codec(cls).schema
                self.types[cls.message_type] = MessageType(
                    name=cls.message_type,
                    kind=_kind(cls),
                    module=module.name,
                    cls=cls,
                    avro=schema.definition,
                    fingerprint=schema.fingerprint,
                    names=Names([schema.definition]),
                )

    def of_kind(self, *kinds: Kind) -> list[MessageType]:
        """All types of some kinds, by name."""
        return [each for _, each in sorted(self.types.items()) if each.kind in kinds]

    def find(self, name: str, kind: Kind) -> MessageType:
        """A type by its name.

        Raises:
            UnknownType: naming what was perhaps meant.
        """
        found = self.types.get(name)
        if found is not None and found.kind is kind:
            return found
        raise UnknownType(name, kind, similar(name, [each.name for each in self.of_kind(kind)]))


class UnknownType(UnknownMessageType):
    """No installed module has such a message.

    Attributes:
        similar: names that were perhaps meant, the most similar first.
    """

    def __init__(self, name: str, kind: Kind, similar: list[str]) -> None:
        hint = f"; did you mean {', '.join(similar)}?" if similar else ""
        super().__init__(f"there is no {kind} {name[:200]!r}{hint}")
        self.similar = similar


def similar(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names most similar to one that isn't; case, and the module before the dot, matter less."""
    candidates = list(known)
    short = {each: each.rpartition(".")[2].lower() for each in candidates}
    wanted, wanted_short = name.lower()[:200], name.rpartition(".")[2].lower()[:200]

    def likeness(candidate: str) -> float:
        whole = difflib.SequenceMatcher(None, wanted, candidate.lower()).ratio()
        return max(whole, difflib.SequenceMatcher(None, wanted_short, short[candidate]).ratio())

    ranked = sorted(((likeness(each), each) for each in candidates), key=lambda pair: (-pair[0], pair[1]))
    return [each for score, each in ranked[:most] if score >= 0.6]


def _message_classes(module: Module) -> list[type[Message]]:
    classes: dict[str, type[Message]] = {}
    for folder in FOLDERS:
        try:
            package: ModuleType = importlib.import_module(f"{module.schemas}.{folder}")
        except ModuleNotFoundError as error:
            if error.name != f"{module.schemas}.{folder}":
                raise
            continue
        for value in vars(package).values():
            if isinstance(value, type) and issubclass(value, (Command, Event, Query, Answer)):
                name = getattr(value, "message_type", None)
                if isinstance(name, str):
                    classes[name] = value
    return [classes[name] for name in sorted(classes)]


def _kind(cls: type[Message]) -> Kind:
    for base, kind in ((Command, Kind.COMMAND), (Event, Kind.EVENT), (Query, Kind.QUERY)):
        if issubclass(cls, base):
            return kind
    return Kind.ANSWER
