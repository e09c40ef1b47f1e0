"""What the author of a module writes for the read side: `Projection`, `projects`, `answers`.

A projection owns tables and fills them from events; a query handler reads them. The engine sees to the rest:
each event is applied exactly once, in order, in the transaction that moves the checkpoint; a changed
projection is rebuilt beside the old one and switched to in one step.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from psycopg import AsyncConnection, sql

from datapunk.errors import ConfigurationError
from datapunk.messages.message import Answer, Event, Query

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)
Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E_co]):
    """An event as it was recorded.

    Attributes:
        event: what happened.
        position: its place among all events.
        tenant: whose it is.
        actor: the id of the actor it happened to, as in `weather`.
        version: its place among that actor's events, from 1.
        at: when it was committed.
    """

    event: E_co
    position: int
    tenant: str
    actor: str
    version: int
    at: datetime


# A rebuild's schemas are named for the projection's, with an ending: see `datapunk.generation`.
SCHEMA_LENGTH = 48  # of 63 that Postgres keeps, less the longest ending
RESERVED = re.compile(r"_(old|g\d+)$")

Rows = AsyncConnection[tuple[Any, ...]]
Handler = Callable[[Any, Rows, Sequence[Recorded[Any]]], Awaitable[None]]


def projects(
    event: type[E],
) -> Callable[
    [Callable[[Any, Rows, Sequence[Recorded[E]]], Awaitable[None]]],
    Callable[[Any, Rows, Sequence[Recorded[E]]], Awaitable[None]],
]:
    """Mark the method that applies events of this class to the tables.

    It gets a run of consecutive events at a time, in order, so that it can write them in one statement; and a
    connection inside a transaction whose `search_path` is the projection's own schema: name tables plainly.
    """

    def mark(
        method: Callable[[Any, Rows, Sequence[Recorded[E]]], Awaitable[None]],
    ) -> Callable[[Any, Rows, Sequence[Recorded[E]]], Awaitable[None]]:
        method.__projects__ = event  # type: ignore[attr-defined]
        return method

    return mark


class Projection:
    """Tables derived from events, rebuildable at any time.

    A subclass declares `module` and `name`; its tables are created by the .sql file beside its Python file, of
    the same name, and live in the Postgres schema `<module>_<name>`.

    Attributes:
        module: the module it belongs to.
        name: unique in the module.
        version: raise it when the tables or the handlers change: it's then rebuilt from history.
    """

    module: ClassVar[str]
    name: ClassVar[str]
    version: ClassVar[int] = 1
    handlers: ClassVar[dict[type[Event], Handler]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for attribute in ("module", "name"):
            if not isinstance(getattr(cls, attribute, None), str):
                raise ConfigurationError(f"{cls.__name__} needs a class attribute {attribute!r}")
        if RESERVED.search(cls.schema()) or len(cls.schema()) > SCHEMA_LENGTH:
            raise ConfigurationError(
                f"{cls.__name__}: call it neither …_old nor …_g1 (rebuilding uses these), "
                f"and its schema {cls.schema()!r} in at most {SCHEMA_LENGTH} characters"
            )
        handlers: dict[type[Event], Handler] = {}
        for attribute in dir(cls):
            method = getattr(cls, attribute)
            event = getattr(method, "__projects__", None)
            if event is None:
                continue
            if event in handlers:
                raise ConfigurationError(f"{cls.__name__} has two methods for {event.__name__}")
            handlers[event] = cast(Handler, method)
        cls.handlers = handlers

    @classmethod
    def full_name(cls) -> str:
        """As the command line and the metrics name it: `lake.datasets`."""
        return f"{cls.module}.{cls.name}"

    @classmethod
    def schema(cls) -> str:
        """The Postgres schema that readers use: `lake_datasets`."""
        return f"{cls.module}_{cls.name}"

    async def create(self, rows: Rows) -> None:
        """Create the tables, in the schema that `search_path` names."""
        script = Path(cast(str, sys.modules[type(self).__module__].__file__)).with_suffix(".sql")
        if not script.exists():
            raise ConfigurationError(f"{type(self).__name__} expects its tables in {script}")
        await rows.execute(sql.SQL(cast(Any, script.read_text())))


@dataclass(frozen=True, slots=True)
class Asked:
    """The circumstances of a query: a read-only connection (one snapshot for the whole query), and whose it is."""

    rows: Rows
    tenant: str


@dataclass(frozen=True, slots=True)
class Cached:
    """That the answers to a query are kept, until an event touches them.

    Attributes:
        key: what a query asks about, as in a dataset's id. Queries of a tenant with the same key have the same answer.
        touched_by_actor: for each class of event that the query's projections apply, whose answer it changes: what
            `key` says of it, by the id of the actor that it happened to.
        touched_by: the same, for events of which that can't be told by the id: they're read for it. None: nobody's.
    """

    key: Callable[[Any], str]
    touched_by_actor: Mapping[type[Event], Callable[[str], str]] = field(
        default_factory=dict[type[Event], Callable[[str], str]]
    )
    touched_by: Mapping[type[Event], Callable[[Recorded[Any]], str] | None] = field(
        default_factory=dict[type[Event], "Callable[[Recorded[Any]], str] | None"]
    )


def key_of(tenant: str, key: str) -> str:
    """What an answer is kept under."""
    return f"{tenant}/{key}"


@dataclass(frozen=True, slots=True)
class QueryHandler:
    """A function that answers one class of query from the tables of some projections."""

    query: type[Query]
    projections: tuple[type[Projection], ...]
    function: Callable[[Any, Asked], Awaitable[Answer]]
    cached: Cached | None = None


def answers(
    query: type[Q], *projections: type[Projection], cached: Cached | None = None
) -> Callable[[Callable[[Q, Asked], Awaitable[Answer]]], QueryHandler]:
    """Make a function the handler of a query. It may raise `Rejected` to answer with an error.

    Args:
        query: the class of query.
        projections: those it reads; a reader that asks for its own write waits for these.
        cached: for a query that is asked far more often than its answer changes: keep answers, and until when.

    Raises:
        ConfigurationError: if `cached` says nothing of an event that the projections apply.
    """
    applied = {event for projection in projections for event in projection.handlers}
    if cached is not None and (forgotten := applied - {*cached.touched_by_actor, *cached.touched_by}):
        names = ", ".join(sorted(event.message_type for event in forgotten))
        raise ConfigurationError(
            f"{query.message_type} is cached: say whose answer {names} changes, in `touched_by_actor` or `touched_by`"
        )

    def wrap(function: Callable[[Q, Asked], Awaitable[Answer]]) -> QueryHandler:
        return QueryHandler(query, projections, function, cached)

    return wrap


async def update_row(rows: Rows, table: str, recorded: Recorded[Any], /, **values: Any) -> None:
    """Set columns of the row of an event's actor, and `updated_at`: for tables to which few events a second come.

    Args:
        rows: of the projection.
        table: has the columns `tenant`, `id` and `updated_at`.
        recorded: the event.
        values: by column.
    """
    values["updated_at"] = recorded.at
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values)
    await rows.execute(
        sql.SQL("update {} set {} where tenant = %s and id = %s").format(sql.Identifier(table), assignments),
        (*values.values(), recorded.tenant, recorded.actor),
    )
