"""What the Avro schema of a dataset's records must be like, so that it can become the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Rejected
from datapunk.errors import SchemaError
from datapunk.messages.codec import codec_of_text

MAX_COLUMN_BYTES = 63  # Postgres cuts longer identifiers, and two fields could become one column
MAX_FIELDS = 1000  # Postgres bears 1,600 columns of the smallest types
KEY_TYPES = frozenset({"string", "int", "long", "enum"})


def check_record_schema(text: str, key: str | None, indexes: Sequence[str]) -> None:
    """Reject a schema, a key or an index that can't serve.

    Raises:
        Rejected: `schema_invalid`, `key_invalid` or `index_invalid`, saying which field and why.
    """
    try:
        fields = {field.name: field for field in codec_of_text(text).fields}
    except SchemaError as error:
        raise Rejected("schema_invalid", str(error)) from None
    if not 1 <= len(fields) <= MAX_FIELDS:
        raise Rejected("schema_invalid", f"a record has 1 to {MAX_FIELDS} fields, not {len(fields)}")
    for name in fields:
        if len(name.encode()) > MAX_COLUMN_BYTES:
            raise Rejected("schema_invalid", f"field {name}: a name has at most {MAX_COLUMN_BYTES} bytes")
        if name.startswith("_"):
            raise Rejected("schema_invalid", f"field {name}: names that start with '_' are reserved")
    lowered = {name.lower() for name in fields}
    if len(lowered) != len(fields):
        raise Rejected("schema_invalid", "two fields differ only in upper and lower case")
    if key is not None:
        field = fields.get(key)
        if field is None:
            raise Rejected("key_invalid", f"the schema has no field {key!r}")
        if field.is_nullable or field.type not in KEY_TYPES:
            raise Rejected("key_invalid", f"field {key}: a key is a string, int, long or enum, and never null")
    for name in indexes:
        if name not in fields:
            raise Rejected("index_invalid", f"the schema has no field {name!r}")
        if fields[name].type in ("array", "map", "record"):
            raise Rejected("index_invalid", f"field {name}: arrays, maps and records can't be indexed")
