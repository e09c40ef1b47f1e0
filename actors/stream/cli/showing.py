"""Plans and pipelines, for people and for programs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from rich import box
from rich.markup import escape
from rich.table import Table

from datapunk.cli.messaging import out, print_json
from pipelines.stream.field_types import Fields, record_schema
from pipelines.stream.plan import Plan
from schemas.stream.queries import Pipeline
from schemas.stream.types import PipelineState, PipelineSummary

COLOURS = {
    PipelineState.Running: "green",
    PipelineState.Paused: "yellow",
    PipelineState.Draining: "cyan",
    PipelineState.Stopped: "dim",
}


def change(text: str, applied: Pipeline | None) -> str:
    """What applying a definition would do."""
    if applied is None:
        return "new"
    version = applied.summary.version
    return f"version {version}, unchanged" if applied.versions[0].text == text else f"version {version} → {version + 1}"


def plan_values(plan: Plan, says: str) -> dict[str, Any]:
    """A plan for programs."""
    steps = [
        {"kind": step.kind, "does": step.said, "fields": {name: str(type) for name, type in step.fields.items()}}
        for step in plan.steps
    ]
    return {
        "pipeline": plan.definition.pipeline,
        "change": says,
        "inputs": [{"name": each.name, "kind": each.reference[0], "of": each.reference[1]} for each in plan.inputs],
        "source_fields": {name: str(type) for name, type in plan.entry.items()},
        "steps": steps,
        "output": record_schema("Result", plan.output),
    }


def show_plan(plan: Plan, says: str) -> None:
    """Each step, and which fields leave it: new ones first, those that it drops last."""
    out().print(f"[bold]{plan.definition.pipeline}[/bold]: {says}")
    table = Table(box=box.SIMPLE)
    for column in ("Step", "What", "Fields after it"):
        table.add_column(column, overflow="fold")
    kind, name = plan.inputs[0].reference
    table.add_row("source", escape(f"{kind} {name}"), escape(_fields({}, plan.entry)))
    before: Fields = plan.entry
    for step in plan.steps:
        after = "[dim]the same[/dim]" if step.fields == before else escape(_fields(before, step.fields))
        table.add_row(step.kind, escape(step.said), after)
        before = step.fields
    out().print(table)


def _fields(before: Fields, after: Fields) -> str:
    if before and all(after.get(name) == type for name, type in before.items()):
        new = {name: type for name, type in after.items() if name not in before}
        return ", ".join(f"+ {name}: {type}" for name, type in new.items())
    return ", ".join(f"{name}: {type}" for name, type in after.items())


def difference(applied: Pipeline | None, text: str, name: str) -> str:
    """From what is applied to what is in a file, as `diff -u` has it; nothing if they're the same."""
    old = applied.versions[0].text if applied else ""
    said = f"{name} version {applied.summary.version}" if applied else "nothing"
    return "".join(
        difflib.unified_diff(
            old.splitlines(keepends=True), text.splitlines(keepends=True), fromfile=said, tofile=f"{name} in the file"
        )
    )


def show_list(pipelines: Sequence[PipelineSummary], *, as_json: bool) -> None:
    """A line each."""
    if as_json:
        print_json([msgspec.to_builtins(each) for each in pipelines])
        return
    table = Table(box=box.SIMPLE)
    for column in ("Pipeline", "State", "Version", "Updated (UTC)", "Description"):
        table.add_column(column, overflow="fold")
    for each in pipelines:
        table.add_row(
            each.pipeline,
            _state(each),
            str(each.version),
            f"{each.updated_at:%Y-%m-%d %H:%M:%S}",
            escape(each.description),
        )
    out().print(table if pipelines else "no pipelines")


def show_pipeline(found: Pipeline, version: int | None, *, as_json: bool) -> None:
    """One, and a version of its definition: by default the latest."""
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    summary = found.summary
    why = f": {escape(summary.reason)}" if summary.reason else ""
    out().print(f"[bold]{summary.pipeline}[/bold] version {summary.version}, {_state(summary)}{why}")
    for each in found.versions:
        out().print(f"[dim]version {each.version}, defined {each.defined_at:%Y-%m-%d %H:%M:%S} (UTC)[/dim]")
    chosen = next((each for each in found.versions if version in (None, each.version)), None)
    if chosen is None:
        out().print(f"there is no version {version}")
        return
    out().print()
    out().print(escape(chosen.text.rstrip()))
    out().print()
    fields = ", ".join(str(each["name"]) for each in json.loads(chosen.output)["fields"])
    out().print(f"[dim]results have:[/dim] {fields}")


def _state(summary: PipelineSummary) -> str:
    return f"[{COLOURS[summary.state]}]{summary.state.value.lower()}[/{COLOURS[summary.state]}]"
