"""Which dead letters a query is about, as SQL."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from schemas.nexus.queries import CountDeadLetters, FindDeadLetters

TABLE = sql.Identifier("nexus_dead_letters", "dead_letters")
EQUAL = ("module", "type", "reason", "actor", "tenant")


def conditions(query: FindDeadLetters | CountDeadLetters, owner: str) -> tuple[sql.Composed, dict[str, Any]]:
    """The condition that all of them meet, and its parameters."""
    parts: list[sql.Composable] = [sql.SQL("owner = %(owner)s")]
    values: dict[str, Any] = {"owner": owner}
    for name in EQUAL:
        value = getattr(query, name)
        if value is not None:
            parts.append(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)))
            values[name] = value
    if query.state is not None:
        parts.append(sql.SQL("state = %(state)s"))
        values["state"] = query.state.value
    if query.states:
        parts.append(sql.SQL("state = any(%(states)s)"))
        values["states"] = [state.value for state in query.states]
    if query.crowded is not None:
        parts.append(sql.SQL("is_crowded = %(crowded)s"))
        values["crowded"] = query.crowded
    if query.text is not None:
        parts.append(sql.SQL("message ilike %(text)s"))
        values["text"] = f"%{_literal(query.text)}%"
    if query.since is not None:
        parts.append(sql.SQL("parked_at >= %(since)s"))
        values["since"] = query.since
    if query.until is not None:
        parts.append(sql.SQL("parked_at < %(until)s"))
        values["until"] = query.until
    return sql.SQL(" and ").join(parts), values


def _literal(text: str) -> str:
    """Text in which nothing stands for anything else in a `like` pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
