"""What state machines on real servers share: one event loop for all runs of a test, and how many runs there are."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from datapunk.settings import Settings
from tests.properties import machine

T = TypeVar("T")


class MachineOnServers(RuleBasedStateMachine):
    """Rules are plain functions; what they await goes through `run`."""

    settings: Settings
    runner: asyncio.Runner

    @classmethod
    async def enter(cls, stack: AsyncExitStack) -> None:
        """Set up what all runs share, once.

        Args:
            stack: closed after the last run.
        """

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """Do it, on the event loop of all runs."""
        return self.runner.run(act)


def run_on_servers(kind: type[MachineOnServers], settings: Settings, *, usually: int, steps: int) -> None:
    """Test a machine.

    Args:
        kind: of machine.
        settings: where the servers are.
        usually: how many runs, in the profile `ci`.
        steps: most steps of one.
    """
    with asyncio.Runner() as runner:
        here: Any = type(f"{kind.__name__}Here", (kind,), {"settings": settings, "runner": runner})
        stack = AsyncExitStack()
        try:
            runner.run(here.enter(stack))
            run_state_machine_as_test(here, settings=machine(usually, steps))
        finally:
            runner.run(stack.aclose())
