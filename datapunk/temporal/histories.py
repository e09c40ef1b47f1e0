"""Recorded histories of workflows, as files: what a change of their code is tried on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from temporalio.client import WorkflowHistory

LEFT_OUT = ("identity",)  # names the machine that it ran on, and no replay looks at it


def write_history(history: WorkflowHistory, file: Path) -> None:
    """Write what a workflow did, as Temporal's JSON.

    Raises:
        OSError: if the file can't be written.
    """
    events = _without(json.loads(history.to_json()), LEFT_OUT)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(events, indent=1) + "\n", encoding="utf-8")


def read_histories(folder: Path) -> Iterator[tuple[Path, WorkflowHistory]]:
    """All histories in a folder, with their files; those that Temporal's web UI wrote, too."""
    for file in sorted(folder.rglob("*.json")):
        yield file, WorkflowHistory.from_json(file.stem, file.read_text(encoding="utf-8"))


def workflow_of(history: WorkflowHistory) -> str:
    """The name of its class at Temporal."""
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {name: _without(each, names) for name, each in items if name not in names}
    if isinstance(value, list):
        return [_without(each, names) for each in cast("list[Any]", value)]
    return value
