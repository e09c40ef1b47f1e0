"""Rows that were set aside: in a file that is whole or not there, and no more of them than may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workflows.lake.files.chunks import Reject
from workflows.lake.files.errors import BadFile, TooManyBadRows
from workflows.lake.files.rejects import Rejects, most_bad

WRONG = Reject(7, "id", "not a long: 'x'", "x,Oslo")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rejects.jsonl"


def test_rejects_are_json_lines_with_the_original(path: Path) -> None:
    with Rejects(path) as rejects:
        rejects.add("places.csv", [WRONG])
        rejects.check(1, 1)
        assert rejects.count == 1
    assert json.loads(path.read_text()) == {
        "row": 7,
        "column": "id",
        "reason": "not a long: 'x'",
        "original": "x,Oslo",
        "file": "places.csv",
    }


def test_what_is_no_text_is_there_as_bytes(path: Path) -> None:
    reject = Reject(1, None, "not UTF-8", "\\xf8", raw=b"\xf8")
    with Rejects(path) as rejects:
        rejects.add("places.csv", [reject])
        rejects.keep()
        (read,) = rejects
    assert read.raw == reject.raw
    assert json.loads(path.read_text())["raw"] == "+A=="


def test_without_rejects_there_is_no_file(path: Path) -> None:
    with Rejects(path) as rejects:
        rejects.add("places.csv", [])
        rejects.keep()
    assert list(path.parent.iterdir()) == []


def test_until_all_rows_were_looked_at_the_earlier_file_stays(path: Path) -> None:
    path.write_text("earlier")
    with Rejects(path) as rejects:
        rejects.add("places.csv", [WRONG])
        assert path.read_text() == "earlier"
    assert path.read_text() == "earlier"
    assert list(path.parent.iterdir()) == [path]


def test_rows_that_were_set_aside_before_keep_their_numbers(path: Path) -> None:
    with Rejects(path, numbers=[70, 80, 90]) as rejects:
        rejects.add("places.csv", [Reject(2, None, "ragged", "x")])
        assert [each.row for each in rejects.first] == [80]


@pytest.mark.parametrize(("text", "most"), [("0", 0), ("12", 12), ("1%", 10), ("0.25%", 2), ("100%", 1000)])
def test_how_many_may_be_bad(text: str, most: int) -> None:
    assert most_bad(text, 1000) == most


@pytest.mark.parametrize("text", ["-1", "x", "101%", "nan", "%", "1.5"])
def test_how_many_may_be_bad_must_make_sense(text: str) -> None:
    with pytest.raises(BadFile, match="--max-bad"):
        most_bad(text, 1000)


def test_too_many_bad_rows_are_told_with_the_first_of_them_and_kept(path: Path) -> None:
    with Rejects(path) as rejects:
        rejects.add("a.csv", [Reject(row, "id", "not a long: 'x'", "x") for row in (3, 5)])
        rejects.check(2, 10)
        with pytest.raises(TooManyBadRows, match=r"2 of 10 rows.*1 may.*\n.*row 3, column id: not a long: 'x'"):
            rejects.check(1, 10)
    assert len(path.read_text().splitlines()) == 2
