"""Arrays, maps, records and unions of several types, as Avro JSON: what the columns for structures hold.

They're taken from the text of the records and not from decoded ones, in which it's lost whether a 1 in a union was
an int or a long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from datapunk.messages.codec import codec_of_text
from datapunk.messages.text_cache import TextCache
from projections.lake.columns import columns_of

Texts = tuple[str | None, ...]  # of one record's structures, in the order of their columns


@TextCache
def structures_of(schema: str) -> Callable[[bytes, Sequence[Any]], list[Texts]] | None:
    """A function from the JSON text of records, and these decoded, to their structures; none: it has no structures."""
    columns = [column for column in columns_of(schema) if column.is_structure]
    if not columns:
        return None
    codec = codec_of_text(schema)
    attributes = [f"s{number}" for number in range(len(columns))]
    record = msgspec.defstruct(
        "Structures",
        [(attribute, Any, msgspec.UNSET) for attribute in attributes],
        rename={attribute: column.field for attribute, column in zip(attributes, columns, strict=True)},
    )
    decode = msgspec.json.Decoder(list[record]).decode
    decode_one = msgspec.json.Decoder(record).decode
    types = {field["name"]: field["type"] for field in codec.schema.definition["fields"]}
    writes = [_write_tagged if _has_one_branch(types[column.field]) else _write for column in columns]

    def structures(body: bytes, decoded: Sequence[Any]) -> list[Texts]:
        found: list[Texts] = []
        for index, parts in enumerate(decode(body)):
            values = msgspec.structs.astuple(parts)
            if msgspec.UNSET in values:  # defaults stand for what was left out
                values = msgspec.structs.astuple(decode_one(codec.encode_json(decoded[index])))
            found.append(tuple(write(value) for write, value in zip(writes, values, strict=True)))
        return found

    return structures


def _has_one_branch(avro: Any) -> bool:
    """Whether a type is a union of null and one other, whose tag says nothing."""
    return isinstance(avro, list) and len([branch for branch in avro if branch != "null"]) == 1


def _write(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _write_tagged(value: Any) -> str | None:
    return None if value is None else _write(next(iter(value.values())))
