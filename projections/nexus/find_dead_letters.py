"""`nexus.FindDeadLetters`, `nexus.CountDeadLetters` and `nexus.GetDeadLetter`."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from datapunk import Asked, Rejected, answers
from datapunk.broker.properties import Properties, decode_properties
from datapunk.errors import InvalidEnvelope
from projections.nexus.dead_letter_filter import TABLE, conditions
from projections.nexus.dead_letters import DeadLetters
from schemas.nexus.queries import (
    CountDeadLetters,
    DeadLetterCounts,
    DeadLetterFound,
    DeadLetterPage,
    FindDeadLetters,
    GetDeadLetter,
)
from schemas.nexus.types import (
    DeadLetter,
    DeadLetterCount,
    DeadLetterEdit,
    DeadLetterKind,
    DeadLetterState,
    DeadLetterStep,
    DeadLetterSummary,
)

MAX_PAGE = 1000  # letters
MAX_COUNTS = 1000
MAX_BODY = 1024 * 1024  # bytes of a body that an answer has
SUMMARY = (
    "id, module, type, reason, kind, message, state, is_crowded, is_edited, attempts, actor, tenant, message_id, size, "
    "died_at, parked_at, updated_at"
)
COLUMNS = sql.SQL(SUMMARY)


@answers(FindDeadLetters, DeadLetters)
async def find_dead_letters(query: FindDeadLetters, asked: Asked) -> DeadLetterPage:
    """A page, in the order in which letters were put aside, or the other way round."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_PAGE}, not {query.limit}")
    condition, values = conditions(query, asked.tenant)
    beyond, order = (sql.SQL(">"), sql.SQL("asc")) if query.oldest_first else (sql.SQL("<"), sql.SQL("desc"))
    if query.after is not None:
        condition += sql.SQL(" and (died_at, id) {} (%(after_died_at)s, %(after_id)s)").format(beyond)
        values["after_died_at"], values["after_id"] = _place(query.after)
    cursor = await asked.rows.execute(
        sql.SQL("select {} from {} where {} order by died_at {}, id {} limit %(limit)s").format(
            COLUMNS, TABLE, condition, order, order
        ),
        {**values, "limit": query.limit + 1},
    )
    found = [_summary(row) for row in await cursor.fetchall()]
    page = found[: query.limit]
    return DeadLetterPage(letters=page, next=_cursor(page[-1]) if len(found) > query.limit else None)


@answers(CountDeadLetters, DeadLetters)
async def count_dead_letters(query: CountDeadLetters, asked: Asked) -> DeadLetterCounts:
    """Groups by cause and state, the largest first."""
    condition, values = conditions(query, asked.tenant)
    cursor = await asked.rows.execute(
        sql.SQL(
            "select module, type, reason, state, count(*), min(parked_at), max(parked_at), sum(count(*)) over ()"
            " from {} where {} group by module, type, reason, state order by count(*) desc, 1, 2, 3, 4 limit {}"
        ).format(TABLE, condition, MAX_COUNTS),
        values,
    )
    counts: list[DeadLetterCount] = []
    total = 0
    for module, type, reason, state, count, oldest_at, latest_at, all in await cursor.fetchall():
        total = int(all)
        counts.append(
            DeadLetterCount(
                module=module,
                type=type,
                reason=reason,
                state=DeadLetterState(state),
                count=count,
                oldest_at=oldest_at,
                latest_at=latest_at,
            )
        )
    return DeadLetterCounts(counts=counts, total=total)


@answers(GetDeadLetter, DeadLetters)
async def get_dead_letter(query: GetDeadLetter, asked: Asked) -> DeadLetterFound:
    """One, with its original; or `dead_letter_unknown`."""
    key = {"owner": asked.tenant, "id": query.id}
    cursor = await asked.rows.execute(
        sql.SQL("select {}, letter from {} where owner = %(owner)s and id = %(id)s").format(COLUMNS, TABLE), key
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("dead_letter_unknown", f"there is no dead letter {query.id}")
    cursor = await asked.rows.execute(
        "select properties, substr(body, 1, %(most)s), length(body) > %(most)s from originals where id = %(id)s",
        {"id": query.id, "most": MAX_BODY},
    )
    properties, body, is_cut = await cursor.fetchone() or (None, b"", False)
    return DeadLetterFound(
        summary=_summary(row[:-1]),
        letter=msgspec.convert(row[-1], DeadLetter),
        properties=_shown(properties),
        body=bytes(body),
        is_cut=is_cut,
        edit=await _edit(asked, key),
        history=await _history(asked, key),
    )


async def _edit(asked: Asked, key: dict[str, Any]) -> DeadLetterEdit | None:
    cursor = await asked.rows.execute(
        "select message_id, substr(body, 1, %(most)s), content_type, type, actor from nexus_dead_letters.edits"
        " where owner = %(owner)s and id = %(id)s",
        {**key, "most": MAX_BODY},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    message_id, body, content_type, type, actor = row
    return DeadLetterEdit(
        message_id=message_id,
        body=None if body is None else bytes(body),
        content_type=content_type,
        type=type,
        actor=actor,
    )


async def _history(asked: Asked, key: dict[str, Any]) -> list[DeadLetterStep]:
    cursor = await asked.rows.execute(
        "select at, what, by, why from nexus_dead_letters.steps where owner = %(owner)s and id = %(id)s"
        " order by version",
        key,
    )
    return [DeadLetterStep(at=at, what=what, by=by, why=why) for at, what, by, why in await cursor.fetchall()]


def _summary(row: Any) -> DeadLetterSummary:
    values = dict(zip(SUMMARY.split(", "), row, strict=True))
    values["kind"], values["state"] = DeadLetterKind(values["kind"]), DeadLetterState(values["state"])
    return DeadLetterSummary(**values)


def _shown(properties: bytes | None) -> str:
    """AMQP properties as JSON for people."""
    if properties is None:
        return "null"
    try:
        decoded = decode_properties(bytes(properties))
    except InvalidEnvelope:
        return "null"
    given = {name: value for name in Properties.__slots__ if (value := getattr(decoded, name)) is not None}
    return msgspec.json.encode(given, enc_hook=_plain).decode().replace("\\u0000", "�")


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes | bytearray) else str(value)


def _cursor(last: DeadLetterSummary) -> str:
    assert last.died_at is not None  # a column that is never null
    return f"{last.died_at.isoformat()}/{last.id}"


def _place(cursor: str) -> tuple[datetime, UUID]:
    died_at, _, id = cursor.partition("/")
    try:
        return datetime.fromisoformat(died_at), UUID(id)
    except ValueError:
        raise Rejected("cursor_invalid", "`after` must be the `next` of an earlier page") from None
