"""What isn't whole, isn't an archive, or would mix histories is refused, and nothing of it is in the store."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.archive.exporting import Selection
from datapunk.errors import (
    ArchiveDamaged,
    ConfigurationError,
    DatapunkError,
    HistoryDiffers,
    UnknownSchema,
    VersionGap,
)
from datapunk.store.append import append
from tests.datapunk.archive.history import TABLES, contents, load, remember, save
from tests.events import batch, deposits, event

Change = Callable[[list[Any]], None]


def changed(path: Path, change: Change) -> Path:
    """JSON lines, changed."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def refuses(target: AsyncConnection[Any], path: Path, error: type[DatapunkError], says: str) -> None:
    """The import fails, and the store is as it was."""
    before = [await contents(target, table) for table in TABLES]
    with pytest.raises(error, match=says):
        await load(target, path)
    assert [await contents(target, table) for table in TABLES] == before


@pytest.mark.parametrize("name", ["x.jsonl", "x.avro", "x.jsonl.gz", "x.avro.gz"])
async def test_a_file_that_is_cut_off(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path, name: str
) -> None:
    await remember(connection)
    await save(connection, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for share in (0.3, 0.9, 0.99):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        await refuses(target, tmp_path / name, ArchiveDamaged, "cut off|damaged|header")


async def test_a_file_that_is_cut_off_after_a_line(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.jsonl")
    path = changed(tmp_path / "x.jsonl", lambda lines: lines.pop())
    await refuses(target, path, ArchiveDamaged, "cut off: 6 events and 7 commands, and no trailer")


CHANGES: dict[str, Change] = {
    "body": lambda lines: first(lines, "event")["data"].update(cents=2),
    "metadata": lambda lines: first(lines, "event")["metadata"].update(k="v"),
    "tenant": lambda lines: first(lines, "event").update(tenant="other"),
    "reply": lambda lines: first(lines, "command").update(reply="AAAA"),
    "a command less": lambda lines: lines.remove(next(line for line in lines if "command" in line)),
    "nothing to publish": lambda lines: lines.remove(next(line for line in lines if "unpublished" in line)),
    "checksum": lambda lines: lines[-1]["trailer"].update(sha256="0" * 64),
    "count": lambda lines: lines[-1]["trailer"].update(events=5),
}


async def test_a_file_that_was_changed(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    for name, change in CHANGES.items():
        path = tmp_path / f"{name}.jsonl"
        await save(connection, path)
        await refuses(target, changed(path, change), ArchiveDamaged, "isn't as it was written")


def first_line(lines: list[Any], kind: str) -> dict[str, Any]:
    return next(line for line in lines if kind in line)


def first(lines: list[Any], kind: str) -> dict[str, Any]:
    return first_line(lines, kind)[kind]


def add_field(schema: dict[str, Any]) -> None:
    schema["text"] = schema["text"].replace('"fields": [', '"fields": [{"name": "x", "type": "int"}, ', 1)


WRONG: dict[str, tuple[Change, type[DatapunkError], str]] = {
    "unknown kind": (lambda lines: lines.insert(1, {"x": 1}), ArchiveDamaged, "line 2 is no line of an archive"),
    "empty line": (lambda lines: lines.insert(1, {}), ArchiveDamaged, "line 2 .* it's empty"),
    "two headers": (lambda lines: lines.insert(1, lines[0]), ArchiveDamaged, "two headers"),
    "two trailers": (lambda lines: lines.append(lines[-1]), ArchiveDamaged, "after the trailer"),
    "no header": (lambda lines: lines.pop(0), ArchiveDamaged, "doesn't begin with a header"),
    "newer": (lambda lines: lines[0]["header"].update(format=2), ArchiveDamaged, "its format is 2.*upgrade"),
    "no body": (lambda lines: first(lines, "event").update(data={"cents": ""}), ArchiveDamaged, "Deposited"),
    "schema": (lambda lines: first(lines, "event").update(schema="0" * 16), UnknownSchema, "no schema with"),
    "order": (lambda lines: first(lines, "event").update(position=9), ArchiveDamaged, "2 comes after position 9"),
    "twice": (lambda lines: lines.insert(-2, first_line(lines, "command")), ArchiveDamaged, "in it twice"),
    "fingerprint": (lambda lines: add_field(first(lines, "schema")), ArchiveDamaged, "has fingerprint"),
}


async def test_a_file_that_was_made_wrongly(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    for name, (change, error, says) in WRONG.items():
        path = tmp_path / f"{name}.jsonl"
        await save(connection, path)
        await refuses(target, changed(path, change), error, says)


async def test_a_file_that_is_no_archive(target: AsyncConnection[Any], tmp_path: Path) -> None:
    for content in (b"", b"\n", b"hello\n", b"Obj\x01rubbish", gzip.compress(b""), b"\x1f\x8brubbish"):
        (tmp_path / "x").write_bytes(content)
        await refuses(target, tmp_path / "x", ArchiveDamaged, "archive|cut off|damaged")


async def test_a_bit_that_flipped_in_a_container(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    whole = bytearray((tmp_path / "x.avro").read_bytes())
    for place in range(-40, -len(whole) // 3, -97):
        flipped = bytearray(whole)
        flipped[place] ^= 0x10
        (tmp_path / "x.avro").write_bytes(flipped)
        await refuses(target, tmp_path / "x.avro", ArchiveDamaged, ".")


async def test_a_stream_whose_beginning_is_missing(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro", Selection(after=3))
    await refuses(target, tmp_path / "x.avro", VersionGap, "account/a .* versions 3 to 3.* without --after")


async def test_a_stream_with_a_hole(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await connection.execute("delete from events where position = 3")
    await save(connection, tmp_path / "x.avro")
    await refuses(target, tmp_path / "x.avro", VersionGap, "2 events, and versions 1 to 3")


async def test_another_history(connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    await remember(target)
    await refuses(target, tmp_path / "x.avro", HistoryDiffers, "account/a version 1 at position 1.* which differs")


async def test_more_history_than_the_store_has(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    await load(target, tmp_path / "x.avro")
    await append(connection, deposits(1, account="c"))
    await save(connection, tmp_path / "y.avro")
    await refuses(target, tmp_path / "y.avro", HistoryDiffers, "the store has no event there")


async def test_an_export_of_what_could_not_be_read_again_is_refused(
    connection: AsyncConnection[Any], tmp_path: Path
) -> None:
    await append(connection, batch(event("test.thing/x", 1)))
    with pytest.raises(UnknownSchema, match=r"position 1 .* datapunk store verify"):
        await save(connection, tmp_path / "x.jsonl")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_a_file_that_is_there_is_not_overwritten(connection: AsyncConnection[Any], tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("precious")
    with pytest.raises(ConfigurationError, match="there already"):
        await save(connection, tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text() == "precious"
