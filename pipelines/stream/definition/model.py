"""What a definition of a pipeline may say. The JSON Schema for editors is made from these classes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

NAME = r"^[a-z][a-z0-9_-]{0,62}$"
FIELD = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
DURATION = r"^([0-9]+(ms|s|m|h|d))+$"

Name = Annotated[str, Meta(pattern=NAME, description="A lower-case letter, then lower-case letters, digits, _ and -.")]
Field = Annotated[str, Meta(pattern=FIELD, description="A field's name.")]
Duration = Annotated[str, Meta(pattern=DURATION, description="Such as 90s, 1h30m or 7d.")]
Cel = Annotated[str, Meta(min_length=1, max_length=10_000, description="An expression in CEL over a record's fields.")]
Fields = Annotated[list[Field], Meta(min_length=1, max_length=20)]


class _Part(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    pass


class Origin(_Part, kw_only=True):
    """Where records come from: exactly one of the three."""

    events: Annotated[str, Meta(description="A pattern of events: <module>.<actor kind>.<EventType>.")] | UnsetType = (
        UNSET
    )
    dataset: Annotated[str, Meta(description="A dataset of Lake: its records, as they come.")] | UnsetType = UNSET
    pipeline: Annotated[str, Meta(description="Another pipeline: its results.")] | UnsetType = UNSET


class Source(Origin, kw_only=True):
    """What a pipeline reads, and when each record happened."""

    event_time: Annotated[Cel, Meta(description="When a record happened, as a timestamp; else when it came.")] = "_time"
    out_of_order: Annotated[Duration, Meta(description="By how much records may come out of order.")] = "0s"
    key: Annotated[Field, Meta(description="The field by which records are spread over partitions.")] | UnsetType = (
        UNSET
    )


class FlatMap(_Part, kw_only=True):
    """A record for each item of a list."""

    each: Annotated[Cel, Meta(description="A list.")]
    name: Annotated[Field, Meta(description="The field that an item becomes.")]


class Hopping(_Part, kw_only=True):
    """Windows that overlap."""

    size: Duration
    every: Annotated[Duration, Meta(description="How far apart windows start.")]


class Aggregate(_Part, kw_only=True):
    """What a window makes of its records: exactly one."""

    count: Annotated[Cel, Meta(description="How many records of which this holds.")] | UnsetType = UNSET
    sum: Cel | UnsetType = UNSET
    min: Cel | UnsetType = UNSET
    max: Cel | UnsetType = UNSET
    avg: Cel | UnsetType = UNSET
    distinct: Annotated[Cel, Meta(description="About how many different values.")] | UnsetType = UNSET
    quantile: Annotated[Cel, Meta(description="About the value below which `at` of all lie.")] | UnsetType = UNSET
    at: Annotated[float, Meta(ge=0, le=1, description="Of a quantile: 0.5 is the median.")] | UnsetType = UNSET


class Window(_Part, kw_only=True):
    """Aggregates over stretches of event time: exactly one of `tumbling`, `hopping` and `session`."""

    tumbling: Annotated[Duration, Meta(description="The size of windows that follow each other.")] | UnsetType = UNSET
    hopping: Hopping | UnsetType = UNSET
    session: Annotated[Duration, Meta(description="The gap that ends a session.")] | UnsetType = UNSET
    by: Annotated[list[Field], Meta(max_length=20, description="A result for each combination of these.")] = []
    aggregate: Annotated[dict[Field, Literal["count"] | Aggregate], Meta(min_length=1, max_length=100)]
    lateness: Annotated[Duration, Meta(description="How much longer a window waits for late records.")] = "0s"
    emit: Annotated[
        Literal["final", "changes"], Meta(description="One result a window, or one for each change, too.")
    ] = "final"


class Join(_Part, kw_only=True):
    """Another input, joined by key: exactly one of `table` and `stream`."""

    table: Annotated[Origin, Meta(description="The latest row of each key counts.")] | UnsetType = UNSET
    stream: Annotated[Source, Meta(description="Records within some time of each other.")] | UnsetType = UNSET
    on: Annotated[
        dict[Field, Cel],
        Meta(min_length=1, max_length=10, description="A field of the other input: what it equals of this one."),
    ]
    take: Annotated[
        dict[Field, Field], Meta(min_length=1, max_length=100, description="New field: field of the other input.")
    ]
    within: Annotated[Duration, Meta(description="Of a stream: at most so far apart.")] | UnsetType = UNSET
    keep_unmatched: Annotated[bool, Meta(description="Of a table: let records without a row through, too.")] = False


class Dedupe(_Part, kw_only=True):
    """Drop a record if one with the same fields came before."""

    by: Fields
    within: Annotated[Duration, Meta(description="How long a record is remembered.")]


class Enrich(_Part, kw_only=True):
    """Add what a query answers."""

    query: Annotated[str, Meta(description="The query's type, such as lake.GetDataset.")]
    with_: Annotated[dict[str, Cel], Meta(description="The query's fields.")] = msgspec.field(
        name="with", default_factory=dict
    )
    name: Annotated[Field, Meta(description="The field that the answer becomes.")]


class Python(_Part, kw_only=True):
    """A function of yours, by its name in the entry point group `datapunk.functions`."""

    function: str
    returns: Annotated[
        dict[Field, Literal["bool", "int", "double", "string", "bytes", "timestamp"]],
        Meta(min_length=1, max_length=100, description="The fields of what it returns, and their types."),
    ]


class Step(_Part, kw_only=True):
    """What is done with each record: exactly one."""

    filter: Annotated[Cel, Meta(description="Keep the records of which this holds.")] | UnsetType = UNSET
    map: (
        Annotated[
            dict[Field, Cel], Meta(min_length=1, max_length=100, description="A new record: each field's expression.")
        ]
        | UnsetType
    ) = UNSET
    flat_map: FlatMap | UnsetType = UNSET
    window: Window | UnsetType = UNSET
    join: Join | UnsetType = UNSET
    dedupe: Dedupe | UnsetType = UNSET
    enrich: Enrich | UnsetType = UNSET
    python: Python | UnsetType = UNSET


class Webhook(_Part, kw_only=True):
    """POST each result to a URL."""

    url: Annotated[str, Meta(pattern="^https?://", max_length=2_000)]
    secret: Annotated[str, Meta(description="The id of the signing secret, from `datapunk secrets create`.")]


class Sink(_Part, kw_only=True):
    """Where results go: exactly one."""

    dataset: Annotated[str, Meta(description="A dataset of Lake.")] | UnsetType = UNSET
    event: (
        Annotated[str, Meta(pattern="^[A-Z][A-Za-z0-9]{0,62}$", description="The name of an event of this pipeline.")]
        | UnsetType
    ) = UNSET
    webhook: Webhook | UnsetType = UNSET
    topic: (
        Annotated[
            str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,200}$", description="A routing key on the exchange stream.results.")
        ]
        | UnsetType
    ) = UNSET


class Definition(_Part, kw_only=True):
    """A pipeline: where records come from, what is done with them, where results go."""

    pipeline: Annotated[Name, Meta(description="Its id.")]
    description: Annotated[str, Meta(max_length=2_000)] = ""
    source: Source
    steps: Annotated[list[Step], Meta(max_length=50)] = []
    sinks: Annotated[list[Sink], Meta(min_length=1, max_length=10)]
    on_error: Annotated[
        Literal["dead_letter", "stop"], Meta(description="What becomes of a record that can't be handled.")
    ] = "dead_letter"


CHOICES: dict[type[Struct], tuple[str, ...]] = {
    Origin: ("events", "dataset", "pipeline"),
    Source: ("events", "dataset", "pipeline"),
    Aggregate: ("count", "sum", "min", "max", "avg", "distinct", "quantile"),
    Window: ("tumbling", "hopping", "session"),
    Join: ("table", "stream"),
    Step: ("filter", "map", "flat_map", "window", "join", "dedupe", "enrich", "python"),
    Sink: ("dataset", "event", "webhook", "topic"),
}  # of which a part has exactly one


def chosen(part: Struct) -> list[str]:
    """Which of its choices a part makes; exactly one in a definition that was read."""
    return [name for name in CHOICES[type(part)] if getattr(part, name) is not UNSET]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a definition, for editors."""
    schema = msgspec.json.schema(Definition)
    for part, names in CHOICES.items():
        schema["$defs"][part.__name__]["oneOf"] = [{"required": [name]} for name in names]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A pipeline of Datapunk",
        **schema,
    }
