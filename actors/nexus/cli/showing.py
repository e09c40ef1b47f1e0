"""Dead letters for people, and for programs."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich import box
from rich.markup import escape
from rich.table import Table

from actors.nexus.cli.editing import as_text
from datapunk.cli.messaging import Session, out, print_json
from datapunk.messages.registry import Registry
from schemas.nexus.queries import DeadLetterCounts, DeadLetterFound
from schemas.nexus.types import DeadLetterState, DeadLetterSummary

COLOURS = {
    DeadLetterState.Retrying: "yellow",
    DeadLetterState.Parked: "red",
    DeadLetterState.Redriven: "cyan",
    DeadLetterState.Resolved: "green",
    DeadLetterState.Discarded: "dim",
}
SHOWN_MESSAGE = 80  # characters of it in a list
MOST_LINES = 40  # of a body


def show_list(letters: Sequence[DeadLetterSummary], *, as_json: bool) -> None:
    """What each is, under its id: narrow enough for any terminal."""
    if as_json:
        print_json([msgspec.to_builtins(each) for each in letters])
        return
    table = Table(box=box.SIMPLE)
    table.add_column("Id, and when (UTC)", no_wrap=True)
    table.add_column("What", overflow="fold")
    for each in letters:
        what = escape(f"{each.type or each.module}{f' to {each.actor}' if each.actor else ''}")
        why = escape(f"{each.reason}: {each.message[:SHOWN_MESSAGE]}")
        table.add_row(f"{each.id}\n{_time(each.died_at or each.parked_at)}", f"{_state(each.state)} {what}\n{why}")
    out().print(table if letters else "no dead letters")


def show_counts(counts: DeadLetterCounts, *, as_json: bool) -> None:
    """One line a cause and state."""
    if as_json:
        print_json(msgspec.to_builtins(counts))
        return
    table = Table(box=box.SIMPLE)
    for column in ("Module", "Type", "Reason", "State", "Oldest (UTC)", "Latest (UTC)"):
        table.add_column(column)
    table.add_column("Count", justify="right")
    for each in counts.counts:
        table.add_row(
            escape(each.module),
            escape(each.type),
            escape(each.reason),
            _state(each.state),
            _time(each.oldest_at),
            _time(each.latest_at),
            f"{each.count:,}",
        )
    out().print(table if counts.counts else "no dead letters")


def show_letter(found: DeadLetterFound, session: Session, *, only_body: bool, as_json: bool) -> None:
    """All of one."""
    if only_body:
        sys.stdout.buffer.write(found.body)
        return
    if as_json:
        values: dict[str, Any] = msgspec.to_builtins(found)
        print_json({**values, "properties": json.loads(found.properties)})
        return
    summary, letter, console = found.summary, found.letter, out()
    console.print(f"[bold]{summary.id}[/bold]  {_state(summary.state)}  {escape(summary.type or summary.module)}")
    console.print(f"{escape(summary.reason)}: {escape(summary.message)}", style="red")
    table = Table(box=None, show_header=False)
    for name, value in (
        ("to", f"{letter.exchange} {letter.routing_key}"),
        ("from queue", letter.queue),
        ("actor", letter.actor),
        ("tenant", letter.tenant),
        ("message id", letter.message_id),
        ("put aside", f"{_time(letter.died_at)} by {letter.died_by}"),
        ("body", f"{letter.size:,} bytes, {letter.content_type or 'no content type'}"),
    ):
        if value:
            table.add_row(f"[dim]{name}[/dim]", escape(value))
    console.print(table)
    console.print(_body(found, session.registry, edited=False), markup=False)
    if found.edit is not None:
        console.print("[bold]edited[/bold]")
        console.print(_body(found, session.registry, edited=True), markup=False)
    steps = Table(box=box.SIMPLE)
    for column in ("At (UTC)", "What", "By", "Why"):
        steps.add_column(column)
    for step in found.history:
        steps.add_row(_time(step.at), step.what.removeprefix("DeadLetter"), escape(step.by), escape(step.why))
    console.print(steps)


def show_diff(found: DeadLetterFound, registry: Registry) -> None:
    """Line by line."""
    if found.edit is None:
        out().print("it was never edited")
        return
    before, after = (_described(found, registry, edited=edited) for edited in (False, True))
    for line in difflib.unified_diff(before, after, "original", "edited", lineterm="", n=5):
        colour = "green" if line.startswith("+") else "red" if line.startswith("-") else "default"
        out().print(line, markup=False, style=colour)


def _described(found: DeadLetterFound, registry: Registry, *, edited: bool) -> list[str]:
    edit = found.edit if edited else None
    letter = found.letter
    lines = [
        f"type: {(edit and edit.type) or letter.type}",
        f"actor-id: {(edit and edit.actor) or letter.actor or ''}",
        f"content-type: {(edit and edit.content_type) or letter.content_type or ''}",
        f"message-id: {edit.message_id if edit else letter.message_id or ''}",
    ]
    return [*lines, "", *_body(found, registry, edited=edited).splitlines()]


def _body(found: DeadLetterFound, registry: Registry, *, edited: bool) -> str:
    if not edited and found.summary.size and not found.body:
        return "its original isn't kept any more"
    text = as_text(found, registry, edited=edited)
    if text is None:
        edit = found.edit if edited else None
        body = found.body if edit is None or edit.body is None else edit.body
        return f"0x{body[:200].hex()}{'…' if len(body) > 200 else ''}"
    lines = text.splitlines()
    return "\n".join(lines[:MOST_LINES] + (["…"] if len(lines) > MOST_LINES or found.is_cut else []))


def _state(state: DeadLetterState) -> str:
    return f"[{COLOURS[state]}]{state.value.lower()}[/{COLOURS[state]}]"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
