"""Two processes' caches and their feeder on a real Redis, against what was true when: reads that are held up, news that
gets lost, feeders that begin anew, in any order.

An answer may be older than the truth, but never older than what its process had been told of when it was asked, nor
than the position that was asked for.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import rule

from datapunk.settings import load_settings
from tests.datapunk.cache.instances import Instances, instances
from tests.state_machine import MachineOnServers, run_on_servers
from tests.working import DEADLINE_S

KEY, CACHES = "a", 2
MOMENT_S = 0.02  # for what can be done at once; what can't goes on, and is looked at later

numbers = st.integers(0, CACHES - 1)


@dataclass(eq=False)
class Asking:
    """Somebody waits for an answer; `floor` is the oldest that is right."""

    task: asyncio.Task[bytes]
    floor: int


class Told(MachineOnServers):
    """What may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.asking: list[Asking] = []
        self.held_up: list[asyncio.Event] = []
        self.at: Instances = self.run(self.stack.enter_async_context(instances(self.settings.redis_url, CACHES)))
        self.run(self.at.heard())

    @rule()
    def change(self) -> None:
        self.at.truth.change(KEY)

    @rule(updating=st.booleans(), is_heard=st.booleans())
    def change_and_tell(self, updating: bool, is_heard: bool) -> None:
        self.at.truth.change(KEY)
        self.run(self.at.told.tell(updating=updating))
        if is_heard:
            self.run(self.at.heard())

    @rule()
    def hear(self) -> None:
        self.run(self.at.heard())

    @rule()
    def begin_anew(self) -> None:
        self.run(self.at.told.begin())

    @rule(number=numbers)
    def lose_the_network(self, number: int) -> None:
        self.run(self.at.caches[number].central.redis.connection_pool.disconnect())

    @rule(number=numbers)
    def ask(self, number: int) -> None:
        self.run(self._ask(number, is_held_up=False))

    @rule(number=numbers)
    def ask_and_be_held_up(self, number: int) -> None:
        self.run(self._ask(number, is_held_up=True))

    @rule(number=numbers)
    def ask_for_the_latest(self, number: int) -> None:
        self.run(self._ask(number, is_held_up=False, after=self.at.truth.position))

    async def _ask(self, number: int, *, is_held_up: bool, after: int = 0) -> None:
        asked, truth, gate = self.at.caches[number], self.at.truth, asyncio.Event()
        if is_held_up:
            self.held_up.append(gate)
        else:
            gate.set()

        async def read() -> bytes:
            value = truth.at(KEY, truth.position)
            await gate.wait()
            return b"%d" % value

        floor = truth.at(KEY, max(after, asked.local.position))
        task = asyncio.create_task(asked.get(KEY, read, after=after))
        self.asking.append(Asking(task, floor))
        await self._look(MOMENT_S)

    @rule(which=st.integers(0, 3))
    def let_go(self, which: int) -> None:
        if which < len(self.held_up):
            self.held_up.pop(which).set()
        self.run(self._look(MOMENT_S))

    async def _look(self, within_s: float) -> None:
        """At all that have got their answers."""
        if not self.asking:
            return
        done, _ = await asyncio.wait([each.task for each in self.asking], timeout=within_s)
        for each in [each for each in self.asking if each.task in done]:
            self.asking.remove(each)
            value = int(each.task.result())
            assert value >= each.floor, f"{value} is older than {each.floor}"

    def teardown(self) -> None:
        self.run(self._end())

    async def _end(self) -> None:
        """In the end all have their answers, and all caches have the truth."""
        try:
            for gate in self.held_up:
                gate.set()
            async with asyncio.timeout(DEADLINE_S):
                while self.asking:
                    await self._look(DEADLINE_S)
            await self.at.heard()
            latest = self.at.truth.at(KEY, self.at.truth.position)
            assert [await self.at.ask(number, KEY) for number in range(CACHES)] == [latest] * CACHES
        finally:
            await self.stack.aclose()


def test_no_answer_is_older_than_what_its_process_was_told_of(redis_url: str) -> None:
    settings = load_settings().model_copy(update={"redis_url": redis_url})
    run_on_servers(Told, settings, usually=40, steps=20)
