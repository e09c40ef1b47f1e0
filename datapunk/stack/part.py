"""What every part of the stack (a server) has in common: how it's found, started, asked and stopped."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from datapunk.stack.account import Account


@dataclass(frozen=True, slots=True)
class Command:
    """One process to start.

    `environment` is added to a minimal one; `account` is whom it runs as (None: whoever starts it).
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port on loopback that a part listens on, and the setting by which a user can choose another."""

    number: int
    purpose: str
    setting: str


class Part(ABC):
    """A real server on this machine. One subclass a file; nothing is started or written before `prepare`.

    Args:
        home: where its data and configuration live; made by `prepare`.
        throwaway: it serves one test run and is deleted afterwards, so that nothing has to survive a power
            cut and stopping may be abrupt. What clients see is the same.
    """

    name: ClassVar[str]
    """As people type it: `postgres`."""

    title: ClassVar[str]
    """As people read it: `PostgreSQL`."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    """Asks the server to finish cleanly."""

    stop_quickly_signal: ClassVar[signal.Signals] = signal.SIGKILL
    """Ends a throwaway server at once."""

    def __init__(self, home: Path, *, throwaway: bool = False) -> None:
        self.home = home
        self.throwaway = throwaway

    @property
    @abstractmethod
    def ports(self) -> tuple[Port, ...]:
        """Every port it will listen on."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Its address, as shown to people."""

    @property
    @abstractmethod
    def endpoints(self) -> Mapping[str, str]:
        """The `DATAPUNK_*` variables by which programs find it."""

    @abstractmethod
    def installed(self) -> str:
        """The version of the program on this machine; empty where it can't be told without a start.

        Raises:
            PartMissing: it isn't installed; says how to install it.
        """

    @abstractmethod
    def prepare(self) -> tuple[Command, ...]:
        """Make its home ready and say what to start: the server last, before it what it needs beside it.

        Raises:
            PartMissing: its program isn't installed.
            PartFailed: its home can't be made ready.
        """

    @abstractmethod
    def ask(self) -> str:
        """Talk to the server in its own protocol, and return its version.

        Raises:
            NotAnswering: it doesn't answer (yet).
        """

    def finish(self) -> None:
        """Called once it answers, before it counts as ready."""
        return

    def discard(self) -> None:
        """Called after a throwaway server has stopped: remove what it keeps outside of its home."""
        return
