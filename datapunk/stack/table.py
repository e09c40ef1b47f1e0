"""The stack as people see it: a live table while it starts, a table or JSON afterwards."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from datapunk.stack.record import PartState, PartStatus, StackRecord

_STYLES = {
    PartState.WAITING: "dim",
    PartState.STARTING: "yellow",
    PartState.READY: "green",
    PartState.EXTERNAL: "green",
    PartState.FAILED: "bold red",
    PartState.STOPPING: "yellow",
    PartState.STOPPED: "dim",
}


def stack_table(record: StackRecord, elapsed_s: float | None = None) -> Table:
    """One row a part: name, state, version, where, seconds until ready.

    Args:
        record: what to show.
        elapsed_s: while starting: seconds since the start, shown for what isn't ready yet.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Part", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Version", no_wrap=True)
    table.add_column("Where", overflow="fold")
    table.add_column("Seconds", justify="right", no_wrap=True)
    for part in record.parts:
        seconds = part.seconds
        if not seconds and elapsed_s is not None and part.state in (PartState.STARTING, PartState.WAITING):
            seconds = elapsed_s
        where = part.where + (f"\n{part.detail}" if part.detail else "")
        table.add_row(part.title, _state(part), part.version, where, f"{seconds:.1f}" if seconds else "")
    return table


class LiveTable:
    """The table: kept current on a terminal, printed once elsewhere. Later changes are told line by line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._record = StackRecord(launcher="")
        self._is_finished = False
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=10)

    def show(self, record: StackRecord) -> None:
        """Show this from now on."""
        before = {part.name: part for part in self._record.parts}
        self._record = record
        if not self._is_finished:
            return
        for part in record.parts:
            if part.state != before[part.name].state and part.state in (PartState.FAILED, PartState.READY):
                self._console.print(Text(f"{part.title}: {part.state.value} {part.detail}", _STYLES[part.state]))

    def finish(self, record: StackRecord) -> None:
        """Leave the table as it is now."""
        self._record = record
        self._is_finished = True
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._console.print(stack_table(record))

    def __enter__(self) -> LiveTable:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What failed before anything was started needs no table.
        was_started = any(part.state is not PartState.WAITING for part in self._record.parts)
        if not self._is_finished and (error is None or was_started):
            self.finish(self._record)
        self._live.stop()

    def _render(self) -> RenderableType:
        return stack_table(self._record, time.monotonic() - self._began)


def _state(part: PartStatus) -> RenderableType:
    style = _STYLES[part.state]
    label = part.state.value + (f" (restarted {part.restarts}×)" if part.restarts else "")
    if part.state in (PartState.STARTING, PartState.STOPPING):
        return Spinner("dots", Text(label, style), style=style)
    return Text(label, style)
