"""What users of Faust rely on, on RabbitMQ."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import faust
from workers import eventually, running

KEYS = [b"a", b"b", b"c", b"d", b"e"]


def app_of(broker: str, **settings: Any) -> faust.App:
    defaults: dict[str, Any] = {"broker_commit_interval": 0.2, "stream_recovery_delay": 0.0, "topic_partitions": 4}
    return faust.App("features", broker=broker, store="memory://", web_enabled=False, **{**defaults, **settings})


class Sale(faust.Record):
    """Something that was sold."""

    shop: str
    cents: int


async def sells(topic: Any, n: int) -> list[Sale]:
    sales = [Sale(shop=f"shop-{i % 3}", cents=i) for i in range(n)]
    for i, sale in enumerate(sales):
        await topic.send(key=KEYS[i % 5], value=sale, timestamp=1_700_000_000 + i)
    return sales


async def test_group_by_sends_what_has_one_key_to_one_place(broker: str) -> None:
    app = app_of(broker)
    sales = app.topic("sales", key_type=bytes, value_type=Sale)
    takings = app.Table("takings", default=int)
    seen: list[int] = []

    @app.agent(sales)
    async def add(stream: faust.StreamT[Sale]) -> None:
        async for sale in stream.group_by(Sale.shop):
            takings[sale.shop] += sale.cents
            seen.append(sale.cents)

    async with running(app):
        sent = await sells(sales, 60)
        await eventually(lambda: len(seen) == 60, "all is added up")
        expected: Counter[str] = Counter()
        for sale in sent:
            expected[sale.shop] += sale.cents
        assert dict(takings.items()) == expected


async def test_a_windowed_table_tells_what_was_when(broker: str) -> None:
    app = app_of(broker)
    sales = app.topic("sales", key_type=bytes, value_type=Sale)
    hourly = app.Table("hourly", default=int).tumbling(10.0, expires=timedelta(days=36_500)).relative_to_stream()
    last: list[dict[str, int]] = []

    @app.agent(sales, concurrency=1)
    async def add(stream: faust.StreamT[Sale]) -> None:
        async for sale in stream:
            hourly[sale.shop] += 1
            last.append({sale.shop: hourly[sale.shop].current()})

    async with running(app):
        for i in range(20):
            await sales.send(key=b"k", value=Sale(shop="s", cents=i), timestamp=1_700_000_000 + i)
        await eventually(lambda: len(last) == 20, "all is counted")
    assert [found["s"] for found in last] == [*range(1, 11), *range(1, 11)]


async def test_take_hands_out_batches(broker: str) -> None:
    app = app_of(broker, topic_partitions=1)
    numbers = app.topic("numbers", value_type=int)
    batches: list[list[int]] = []

    @app.agent(numbers)
    async def read(stream: faust.StreamT[int]) -> None:
        async for batch in stream.take(4, within=1.0):
            batches.append([*batch])

    async with running(app):
        for n in range(10):
            await numbers.send(value=n)
        await eventually(lambda: sum(map(len, batches)) == 10, "all was taken")
    assert [n for batch in batches for n in batch] == list(range(10))
    assert max(map(len, batches)) == 4


async def test_faust_send_sends(broker: str, tmp_path: Path) -> None:
    app = app_of(broker)
    got: list[Any] = []

    @app.agent(app.topic("sent", value_type=str))
    async def read(stream: faust.StreamT[str]) -> None:
        async for text in stream:
            got.append(text)

    (tmp_path / "sender.py").write_text(
        f"import faust\napp = faust.App('sender', broker={broker!r}, store='memory://', topic_partitions=4)\n"
    )
    async with running(app):
        line = [sys.executable, "-m", "faust", "-A", "sender:app", "send", "sent", '"hello"']
        process = await asyncio.create_subprocess_exec(*line, cwd=tmp_path)
        assert await process.wait() == 0
        await eventually(lambda: got, "it has come")
    assert got == ["hello"]


async def test_an_agent_that_fails_misses_nothing_that_comes_after(broker: str) -> None:
    app = app_of(broker, topic_partitions=1)
    numbers = app.topic("numbers", value_type=int)
    got: list[int] = []

    @app.agent(numbers)
    async def read(stream: faust.StreamT[int]) -> None:
        async for n in stream:
            if n == 3:
                raise ValueError("three")
            got.append(n)

    async with running(app):
        for n in range(6):
            await numbers.send(value=n)
        await eventually(lambda: got[-1:] == [5], "the rest was read")
    assert got == [0, 1, 2, 4, 5]
