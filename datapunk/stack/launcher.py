"""The two ways to run the stack, behind one interface: native processes, or Docker Compose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from datapunk.stack.record import StackRecord

OnChange = Callable[[StackRecord], None]
"""Told how things stand whenever they change."""


class Launcher(ABC):
    """Starts, shows and stops the stack of one folder.

    Args:
        directory: where data, logs and records of the stack are kept.
    """

    name: ClassVar[Literal["native", "compose"]]

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @abstractmethod
    def current(self) -> StackRecord | None:
        """The stack that runs (or starts) now; None when none does."""

    @abstractmethod
    def start(self, only: Collection[str], on_change: OnChange) -> StackRecord:
        """Start it in the background, and return when it's ready.

        Raises:
            StackError: it did not become ready; nothing runs then.
        """

    @abstractmethod
    def wait(self, on_change: OnChange) -> StackRecord:
        """Wait until the stack that somebody else started is ready.

        Raises:
            StackError: it ended before it was.
        """

    @abstractmethod
    def run(self, only: Collection[str], on_change: OnChange, on_ready: OnChange) -> None:
        """Start it, keep it running until the process is told to end (Ctrl-C), then stop it.

        Raises:
            StackError: it did not become ready; nothing runs then.
        """

    @abstractmethod
    def stop(self) -> list[str]:
        """Stop all that runs; returns the titles of the parts that did."""

    @abstractmethod
    def logs(self, names: Collection[str], lines: int, *, follow: bool) -> Iterator[tuple[str, str]]:
        """The last lines of each part's log as (part, line); with `follow`, then all that come, for ever.

        Args:
            names: of parts; all when empty.
            lines: how many of each.
            follow: whether to wait for more.
        """
