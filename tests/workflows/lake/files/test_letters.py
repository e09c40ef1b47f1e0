"""Rows that were set aside as commands, which load them once they're mended."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import polars as pl
import pytest

from datapunk.messages.message import Command
from schemas.lake.commands import IngestRows
from tests.loading_files import load, schema_of
from workflows.lake.files import letters
from workflows.lake.files.letters import Origin, set_aside, text_of
from workflows.lake.files.plan import Options, Plan
from workflows.lake.files.reading import Format
from workflows.lake.files.records import Target
from workflows.lake.files.rejects import Rejects
from workflows.lake.files.sources import opened

SCHEMA = schema_of(id="long", name="string")


class Post:
    """Takes letters instead of a broker."""

    def __init__(self) -> None:
        self.sent: list[tuple[UUID, str, IngestRows, str]] = []

    async def bury(self, command: Command, actor_id: str, id: UUID, *, reason: str, why: str, tenant: str) -> None:
        assert isinstance(command, IngestRows)
        self.sent.append((id, actor_id, command, why))


async def post(path: Path, schema: str = SCHEMA, **options: Any) -> Post:
    """The letters of a file."""
    chosen, target, taken = Options(**options), Target("towns", schema), Post()
    with opened(str(path), chosen.encoding) as file, Rejects(path.with_name("rejects")) as rejects:
        plan = Plan.of(file, chosen)
        plan.check(target, rejects, lambda _: None)
        rejects.keep()
        await set_aside(taken, Origin("i", "default", target, plan, chosen), rejects)  # type: ignore[arg-type]
    return taken


def loaded(command: IngestRows, folder: Path, schema: str = SCHEMA, **mended: str) -> list[tuple[Any, ...]]:
    """The records of a letter's rows, some texts in which were replaced."""
    rows = command.rows
    for old, new in mended.items():
        rows = [msgspec.structs.replace(row, original=row.original.replace(old, new), raw=None) for row in rows]
    path, options = folder / "mended", command.options
    path.write_bytes(text_of(command.header, rows))
    assert options is not None
    format = Format(options.format.value.lower())
    return load(path, schema=schema, format=format, delimiter=options.delimiter, has_quotes=options.has_quotes).rows


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('"the id",name\n1,Oslo\nx,"Ber""gen,\nand more"\n', {}),
        ('the id;name\n1;Oslo\nx;Ber"gen\n', {"has_quotes": False}),
        ("the id\tname\n1\tOslo\nx\tBergen\n", {"delimiter": "\t"}),
        ('{"the id":1,"name":"Oslo"}\n{"the id":"x","name":"Bergen"}\n', {"format": Format.JSONL}),
    ],
)
async def test_a_letter_has_the_bad_rows_such_that_they_load_once_mended(
    tmp_path: Path, text: str, options: dict[str, Any]
) -> None:
    (tmp_path / "towns.csv").write_text(text)
    schema = SCHEMA.replace('"id"', '"the_id"')
    ((_, actor, command, why),) = (await post(tmp_path / "towns.csv", schema, **options)).sent
    assert (actor, [row.row for row in command.rows]) == ("i:2", [2])
    assert why.endswith("towns.csv, row 2: 1 × not a long (the id)")
    ((id, name),) = loaded(command, tmp_path, schema, x="2")
    assert (id, name[:3]) == (2, "Ber")


async def test_rows_of_columns_are_lines_of_json(tmp_path: Path) -> None:
    columns = {
        "id": ["1", "x"],
        "born": [date(2020, 2, 29)] * 2,
        "raw": [b"\x01\xff"] * 2,
        "tags": [["a"], ["b", None]],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "towns.parquet")
    tags = {"type": "array", "items": ["null", "string"]}
    schema = schema_of(id="long", born={"type": "int", "logicalType": "date"}, raw="bytes", tags=tags)
    ((_, _, command, _),) = (await post(tmp_path / "towns.parquet", schema)).sent
    assert loaded(command, tmp_path, schema, x="2") == [(2, date(2020, 2, 29), b"\x01\xff", ["b", None])]


async def test_rows_that_are_no_text_stay_as_they_are_until_mended(tmp_path: Path) -> None:
    (tmp_path / "towns.csv").write_bytes(b"id,name\n1,Bod\xf8\n")
    ((_, _, command, _),) = (await post(tmp_path / "towns.csv")).sent
    assert loaded(command, tmp_path) == []
    assert loaded(command, tmp_path, **{"\\xf8": "ø"}) == [(1, "Bodø")]


async def test_many_rows_are_several_letters_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "MAX_ROWS", 3)
    monkeypatch.setattr(letters, "MAX_BYTES", 100)
    lines = [f"x{number},{'a' * (60 if number == 4 else 1)}" for number in range(8)]
    (tmp_path / "towns.csv").write_text("id,name\n" + "\n".join(lines))
    first, second = [(await post(tmp_path / "towns.csv")).sent for _ in range(2)]
    assert first == second
    assert [row.original for _, _, command, _ in first for row in command.rows] == lines
    assert max(len(command.rows) for _, _, command, _ in first) == 3
    assert len({id for id, *_ in first}) == len(first)


async def test_a_row_that_is_too_long_for_a_letter_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "towns.csv").write_text(f"id,name\ny,Oslo\nx,{'a' * 600_000}\nz,Bergen\n")
    sent = (await post(tmp_path / "towns.csv")).sent
    assert [[row.row for row in command.rows] for _, _, command, _ in sent] == [[1], [], [3]]
    assert "row 2: 1 × not a long (id); its 600,002 bytes are too many for a letter" in sent[1][3]


async def test_what_a_letter_bears_is_counted_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "towns.csv").write_text("id,name\n" + f"x,{'å' * 100_000}\n" * 2)
    assert len((await post(tmp_path / "towns.csv")).sent) == 2
