"""What the Avro schema of a dataset's records must be like, so that every record of it fits a row of a table."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Rejected
from datapunk.errors import SchemaError
from datapunk.messages.codec import FieldDescription, codec_of_text

MAX_COLUMN_BYTES = 63  # Postgres cuts longer identifiers, and two fields could become one column
MAX_FIELDS = 1000  # Postgres bears 1,600 columns, and a query needs some for itself
MAX_INDEXES = 16  # each is one more table for each partition
KEYS = frozenset({("string", None), ("string", "uuid"), ("int", None), ("long", None), ("enum", None)})
TIMES = frozenset(
    {("int", "date")}
    | {("long", f"{kind}-{unit}") for kind in ("timestamp", "local-timestamp") for unit in ("millis", "micros")}
)
STRUCTURES = frozenset({"array", "map", "record", "error", "union", "null"})

# Postgres keeps a row in one page, whatever it moves out of it: 8,160 bytes, less the row's header and place.
MAX_ROW_BYTES = 8_000
BYTES_IN_ROW = {"boolean": 4, "int": 4, "float": 4, "long": 12, "double": 12}  # with what aligns them
BYTES_IN_ROW_OF_UUID = 16
BYTES_IN_ROW_AT_MOST = 28  # of anything of any length: what is longer is moved out


def check_record_schema(text: str, key: str | None, indexes: Sequence[str]) -> None:
    """Reject a schema, a key or an index that can't serve.

    Raises:
        Rejected: `schema_invalid`, `key_invalid` or `index_invalid`, saying which field and why.
    """
    try:
        fields = codec_of_text(text).fields
    except SchemaError as error:
        raise Rejected("schema_invalid", str(error)) from None
    _check_columns(fields)
    by_name = {field.name: field for field in fields}
    if key is not None:
        field = by_name.get(key)
        if field is None:
            raise Rejected("key_invalid", f"the schema has no field {key!r}")
        if field.is_nullable or (field.type, field.logical_type) not in KEYS:
            raise Rejected("key_invalid", f"field {key}: a key is a string, uuid, int, long or enum, and never null")
    if len(indexes) > MAX_INDEXES:
        raise Rejected("index_invalid", f"a dataset has at most {MAX_INDEXES} indexes, not {len(indexes)}")
    for number, name in enumerate(indexes):
        if name not in by_name:
            raise Rejected("index_invalid", f"the schema has no field {name!r}")
        if by_name[name].type in STRUCTURES:
            raise Rejected(
                "index_invalid", f"field {name}: arrays, maps, records and unions of several types can't be indexed"
            )
        if name in indexes[:number]:
            raise Rejected("index_invalid", f"field {name}: it's listed twice")


def check_retention_field(text: str, name: str) -> None:
    """Reject a field that tells no time.

    Raises:
        Rejected: `retention_invalid`.
    """
    field = next((field for field in codec_of_text(text).fields if field.name == name), None)
    if field is None:
        raise Rejected("retention_invalid", f"the schema has no field {name!r:.100}")
    if (field.type, field.logical_type) not in TIMES:
        raise Rejected("retention_invalid", f"field {name}: retention counts from a date or a timestamp")


def _check_columns(fields: Sequence[FieldDescription]) -> None:
    if not 1 <= len(fields) <= MAX_FIELDS:
        raise Rejected("schema_invalid", f"a record has 1 to {MAX_FIELDS} fields, not {len(fields)}")
    lowered: dict[str, str] = {}
    for field in fields:
        name = field.name
        if len(name.encode()) > MAX_COLUMN_BYTES:
            raise Rejected("schema_invalid", f"field {name}: a name has at most {MAX_COLUMN_BYTES} bytes")
        if name.startswith("_"):
            raise Rejected("schema_invalid", f"field {name}: names that start with '_' are reserved")
        twin = lowered.setdefault(name.lower(), name)
        if twin != name:
            raise Rejected("schema_invalid", f"fields {twin} and {name} differ only in upper and lower case")
    size = sum(map(_bytes_in_row, fields))
    if size > MAX_ROW_BYTES:
        raise Rejected(
            "schema_invalid",
            f"a row of these {len(fields)} fields takes up to {size:,} bytes, and {MAX_ROW_BYTES:,} is the most; put "
            "some of them into a nested record, which is one column",
        )


def _bytes_in_row(field: FieldDescription) -> int:
    if field.logical_type == "uuid":
        return BYTES_IN_ROW_OF_UUID
    return BYTES_IN_ROW.get(field.type, BYTES_IN_ROW_AT_MOST)
