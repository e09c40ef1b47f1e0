"""Messages of every age are read as what they'd be today."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from psycopg import AsyncConnection

from datapunk.errors import (
    ConfigurationError,
    SchemaError,
    UndecodableMessage,
    UnknownMessageType,
    UnknownSchema,
    UnsupportedContentType,
)
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.upcasters import upcasts
from tests.datapunk.messages.scratch import Scratch, scratch

__all__ = ["scratch"]

SKU = {"name": "sku", "type": "string"}
PIECES = {"name": "pieces", "type": "int"}
ENCODINGS = [AVRO_JSON, AVRO_BINARY]


def sold(scratch: Scratch, **values: Any) -> dict[str, tuple[str, bytes]]:
    """An event as today's code writes it: fingerprint and body, by content type."""
    registry = scratch.registry()
    cls = registry.class_of("shop.Sold")
    message = msgspec.convert(values, cls)
    return {kind: (registry.fingerprint(cls), registry.encode(message, kind)) for kind in ENCODINGS}


def read(scratch: Scratch, written: dict[str, tuple[str, bytes]], content_type: str) -> dict[str, Any]:
    fingerprint, body = written[content_type]
    return msgspec.structs.asdict(scratch.registry().decode("shop.Sold", body, content_type, fingerprint))


@pytest.mark.parametrize("content_type", ENCODINGS)
def test_an_event_of_a_released_version_gets_the_defaults_of_today(scratch: Scratch, content_type: str) -> None:
    scratch.write("events", "Sold", SKU)
    scratch.release()
    written = sold(scratch, sku="tea")
    scratch.write("events", "Sold", SKU, {"name": "pieces", "type": "int", "default": 1})
    assert read(scratch, written, content_type) == {"sku": "tea", "pieces": 1}


@pytest.mark.parametrize("content_type", ENCODINGS)
def test_an_event_of_two_versions_ago_is_read_directly(scratch: Scratch, content_type: str) -> None:
    scratch.write("events", "Sold", SKU, PIECES)
    scratch.release()
    written = sold(scratch, sku="tea", pieces=3)
    scratch.write("events", "Sold", SKU, {**PIECES, "type": "long"})
    scratch.release()
    scratch.write("events", "Sold", SKU, {"name": "amount", "type": "double", "aliases": ["pieces"]})
    assert read(scratch, written, content_type) == {"sku": "tea", "amount": 3.0}


@pytest.mark.parametrize("content_type", ENCODINGS)
def test_an_upcaster_gets_the_old_record_and_gives_the_new(scratch: Scratch, content_type: str) -> None:
    scratch.write("events", "Sold", {"name": "customer", "type": "string"})
    scratch.release()
    written = sold(scratch, customer="Ada Lovelace")
    scratch.write("events", "Sold", {"name": "first", "type": "string"}, {"name": "last", "type": "string"})
    cls = scratch.registry().class_of("shop.Sold")

    @upcasts(cls, from_version=1)
    def split(old: dict[str, Any]) -> dict[str, Any]:
        first, _, last = old["customer"].partition(" ")
        return {"first": first, "last": last}

    assert read(scratch, written, content_type) == {"first": "Ada", "last": "Lovelace"}
    with pytest.raises(ConfigurationError, match=r"shop.Sold version 1 has two upcasters"):
        upcasts(cls, from_version=1)(split)


def test_what_an_upcaster_gives_must_fit(scratch: Scratch) -> None:
    scratch.write("events", "Sold", SKU)
    scratch.release()
    written = sold(scratch, sku="tea")
    scratch.write("events", "Sold", SKU, PIECES)
    upcasts(scratch.registry().class_of("shop.Sold"), from_version=1)(lambda old: {**old, "pieces": "many"})
    with pytest.raises(UndecodableMessage, match=r"shop.Sold version 1"):
        read(scratch, written, AVRO_BINARY)


def test_a_record_in_a_union_stays_in_its_branch(scratch: Scratch) -> None:
    def money(*more: dict[str, Any]) -> dict[str, Any]:
        kinds = [
            {"type": "record", "name": name, "fields": [{"name": "amount", "type": "long"}, *more]}
            for name in ("Cash", "Card")
        ]
        return {"name": "paid", "type": kinds}

    scratch.write("events", "Sold", money())
    scratch.release()
    registry = scratch.registry()
    cls = registry.class_of("shop.Sold")
    body = registry.codec(cls).encode_binary(registry.codec(cls).decode_json(b'{"paid":{"shop.Card":{"amount":5}}}'))
    scratch.write("events", "Sold", money({"name": "tip", "type": "long", "default": 0}))
    message: Any = scratch.registry().decode("shop.Sold", body, AVRO_BINARY, registry.fingerprint(cls))
    assert (type(message.paid).__name__, message.paid.amount, message.paid.tip) == ("Card", 5, 0)


def test_an_old_body_that_is_nested_too_deeply_is_refused(scratch: Scratch) -> None:
    inside = {"name": "inside", "type": ["null", "Sold"], "default": None}
    scratch.write("events", "Sold", inside)
    scratch.release()
    fingerprint = scratch.registry().fingerprint(scratch.registry().class_of("shop.Sold"))
    scratch.write("events", "Sold", inside, {**PIECES, "default": 1})
    with pytest.raises(UndecodableMessage, match="more than 64 deep"):
        scratch.registry().decode("shop.Sold", b"\2" * 100_000 + b"\0", AVRO_BINARY, fingerprint)


def test_what_nobody_knows_is_said_so(scratch: Scratch) -> None:
    scratch.write("events", "Sold", SKU)
    registry = scratch.registry()
    with pytest.raises(UnknownSchema, match=r"shop.Sold: no schema with fingerprint '0123456789abcdef'"):
        registry.decode("shop.Sold", b"", AVRO_BINARY, "0123456789abcdef")
    with pytest.raises(UnknownMessageType, match=r"'shop.Stolen'"):
        registry.decode("shop.Stolen", b"", AVRO_BINARY, None)
    with pytest.raises(UnsupportedContentType, match="text/plain"):
        registry.decode("shop.Sold", b"", "text/plain", None)


def test_a_released_version_that_differs_in_words_only_is_the_present_one(scratch: Scratch) -> None:
    scratch.write("events", "Sold", SKU, doc="Something was sold.")
    scratch.release()
    scratch.write("events", "Sold", SKU, doc="Somebody bought something.")
    assert scratch.registry().versions["shop.Sold"] == 1


def test_a_class_that_was_not_generated_is_missed(scratch: Scratch) -> None:
    scratch.write("events", "Sold", SKU)
    registry = scratch.registry
    scratch.generate()
    scratch.write("events", "Bought", SKU)
    scratch.generate = lambda: None  # type: ignore[method-assign]
    with pytest.raises(SchemaError, match=r"shop.Bought has no class; run `datapunk schemas generate`"):
        registry()


async def test_processes_learn_each_others_schemas_from_the_table(
    scratch: Scratch, connection: AsyncConnection[Any]
) -> None:
    # A newer process writes what an older one, still running, has never heard of.
    scratch.write("events", "Sold", SKU)
    older = scratch.registry()
    scratch.write("events", "Sold", SKU, {**PIECES, "default": 1})
    newer = scratch.registry()
    await newer.sync(connection)
    cls = newer.class_of("shop.Sold")
    body, fingerprint = newer.encode(cls(sku="tea", pieces=3), AVRO_BINARY), newer.fingerprint(cls)  # type: ignore[call-arg]
    with pytest.raises(UnknownSchema):
        older.decode("shop.Sold", body, AVRO_BINARY, fingerprint)
    await older.sync(connection)
    assert msgspec.structs.asdict(older.decode("shop.Sold", body, AVRO_BINARY, fingerprint)) == {"sku": "tea"}


async def test_the_table_keeps_every_version_once(scratch: Scratch, connection: AsyncConnection[Any]) -> None:
    scratch.write("events", "Sold", SKU)
    scratch.release()
    scratch.write("events", "Sold", SKU, {**PIECES, "default": 1})
    for _ in range(2):
        await scratch.registry().sync(connection)
    found = await connection.execute("select version from schemas where name = 'shop.Sold' order by version")
    assert [version for (version,) in await found.fetchall()] == [1, 2]


def test_generated_classes_bear_any_name_that_avro_allows(scratch: Scratch) -> None:
    symbols = {"type": "enum", "name": "Kind", "symbols": ["mro", "None", "class", "_x_", "name"]}
    scratch.write(
        "events",
        "Sold",
        {"name": "class", "type": symbols},
        {"name": "date", "type": {"type": "int", "logicalType": "date"}},
        {"name": "Decimal", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
        {"name": "UUID", "type": ["null", {"type": "string", "logicalType": "uuid"}], "default": None},
        {"name": "id", "type": {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}},
        {"name": "other_date", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "kind", "type": "Kind"},
    )
    registry = scratch.registry()
    cls: Any = registry.class_of("shop.Sold")
    kind = registry.decode(
        "shop.Sold",
        b'{"class":"_x_","date":1,"Decimal":"\\u0001","id":"0123456789abcdef","kind":"None"}',
        AVRO_JSON,
        None,
    )
    values = msgspec.structs.asdict(kind)
    assert (values["class_"].value, values["kind"].value) == ("_x_", "None")
    assert (values["date"], values["Decimal"]) == (date(1970, 1, 2), Decimal("0.01"))
    assert values["id"] == UUID(bytes=b"0123456789abcdef")
    assert registry.decode("shop.Sold", registry.encode(kind, AVRO_BINARY), AVRO_BINARY, None) == kind
    assert msgspec.convert(msgspec.to_builtins(kind), cls) == kind
