"""Files as a load sees them, without servers: which records come out, and what is set aside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from datapunk.messages.codec import codec_of_text
from workflows.lake.files.chunks import Reject
from workflows.lake.files.inference import Inference
from workflows.lake.files.plan import Options, Plan
from workflows.lake.files.records import Portion, Target
from workflows.lake.files.sources import opened

LOAD = UUID(int=1)


@dataclass
class Loaded:
    """What became of a file."""

    schema: str
    portions: list[Portion] = field(default_factory=list[Portion])
    rejects: list[Reject] = field(default_factory=list[Reject])

    @property
    def fields(self) -> dict[str, Any]:
        """The types of the schema's fields."""
        return {each["name"]: each["type"] for each in json.loads(self.schema)["fields"]}

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The values of all records, as the platform decodes them."""
        codec = codec_of_text(self.schema)
        attributes = [each.attribute for each in codec.fields]
        return [
            tuple(getattr(record, attribute) for attribute in attributes)
            for portion in self.portions
            for record in codec.decode_json_array(portion.records.encode())
        ]


def load(
    source: Path | str,
    *,
    schema: str | None = None,
    key: str | None = None,
    partitions: int = 1,
    indexes: Sequence[str] = (),
    **options: Any,
) -> Loaded:
    """All that `datapunk lake load` does but send."""
    chosen = Options(**options)
    with opened(str(source), chosen.encoding) as file:
        plan = Plan.of(file, chosen)
        if schema is None:
            inference = Inference("table", is_text=plan.reader.is_text, nulls=chosen.nulls, ignored=chosen.ignored)
            plan.infer(inference, lambda _: None)
            schema = inference.schema(is_whole=True, never_null=(key,))
        target = Target("table", schema, key, partitions, tuple(indexes))
        records, loaded = plan.records(target, LOAD), Loaded(schema)
        for chunk in plan.chunks:
            portions, rejects = records.portions(chunk, plan.reader.read(chunk))
            loaded.portions += portions
            loaded.rejects += rejects
        file.check_unchanged()
    return loaded


def schema_of(**types: Any) -> str:
    """A schema with such fields."""
    fields = [{"name": name, "type": type} for name, type in types.items()]
    return json.dumps({"type": "record", "name": "table", "fields": fields})
