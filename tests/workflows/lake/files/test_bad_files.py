"""Files that aren't as they should be: a clear error, or rows set aside with where and why; never a wrong row."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from tests.loading_files import Loaded, load, schema_of
from tests.unprivileged import unprivileged
from workflows.lake.files.chunks import Reject
from workflows.lake.files.errors import BadFile, FileChanged
from workflows.lake.files.plan import Options, Plan
from workflows.lake.files.records import Target
from workflows.lake.files.sources import find, opened

PLACES = b"id,name\n1,Oslo\n2,Bergen\n"
TARGET = Target("places", schema_of(id="long", name="string"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "places.csv"


def refused(path: Path, data: bytes, **options: Any) -> str:
    path.write_bytes(data)
    with pytest.raises(BadFile) as refusal:
        load(path, **options)
    return str(refusal.value)


def loaded(path: Path, data: bytes, **options: Any) -> Loaded:
    path.write_bytes(data)
    return load(path, **options)


def compressible(size: int) -> bytes:
    return b"id,name\n" + b"1,Oslo\n" * (size // 7)


@pytest.mark.parametrize("cut", [10, 40, -1])
def test_a_truncated_gzip_file_is_refused_before_a_row_is_read(file: Path, cut: int) -> None:
    packed = gzip.compress(b"id,name\n" + b"".join(b"%d,x%d\n" % (i, i * i) for i in range(100)))
    assert "cut off" in refused(file, packed[:cut])


@pytest.mark.parametrize("cut", [8, 40, -1])
def test_a_truncated_zstandard_file_is_refused(file: Path, cut: int) -> None:
    packed = zstandard.compress(b"id,name\n" + b"".join(b"%d,x%d\n" % (i, i * i) for i in range(100)))
    assert "cut off" in refused(file, packed[:cut])


def test_damaged_compression_is_refused(file: Path) -> None:
    packed = bytearray(gzip.compress(PLACES * 100))
    packed[30] ^= 0xFF
    assert "damaged" in refused(file, bytes(packed))


def test_several_frames_of_zstandard_are_one_file(file: Path) -> None:
    frames = zstandard.compress(PLACES) + zstandard.compress(b"3,Molde\n")
    assert loaded(file, frames).rows == [(1, "Oslo"), (2, "Bergen"), (3, "Molde")]


def test_a_bomb_is_refused_before_it_fills_the_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.lake.files.unpacking.FREE_EXPANSION", 1024 * 1024)
    assert "250 times its size" in refused(file, gzip.compress(compressible(20 * 1024 * 1024)))


def test_a_zip_archive_of_several_files_is_refused(file: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", PLACES)
        archive.writestr("b.csv", PLACES)
    assert "zip archive of 2 files" in refused(file, buffer.getvalue())


def test_a_wrong_delimiter_is_told_with_the_right_one(file: Path) -> None:
    assert "is the delimiter ';'?" in refused(file, PLACES.replace(b",", b";"), delimiter=",")


@pytest.mark.parametrize("delimiter", [b";", b"\t", b"|"])
def test_the_delimiter_is_found(file: Path, delimiter: bytes) -> None:
    assert loaded(file, PLACES.replace(b",", delimiter)).rows == [(1, "Oslo"), (2, "Bergen")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(file: Path) -> None:
    assert list(loaded(file, b"\xef\xbb\xbf" + PLACES).fields) == ["id", "name"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
def test_other_encodings_are_read(file: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    data = f"{mark}id,name\n1,Tromsø\n".encode(encoding)
    assert loaded(file, data, encoding=None if encoding.startswith("utf-16") else encoding).rows == [(1, "Tromsø")]


def test_mixed_encodings_set_the_odd_rows_aside(file: Path) -> None:
    data = "id,name\n1,Tromsø\n".encode() + "2,Bodø\n".encode("latin-1") + b"3,Oslo\n"
    found = loaded(file, data)
    assert found.rows == [(1, "Tromsø"), (3, "Oslo")]
    assert found.rejects == [Reject(2, None, "not UTF-8: byte 0xf8 at 5", "2,Bod\\xf8", raw=b"2,Bod\xf8")]


def test_a_header_in_another_encoding_is_refused(file: Path) -> None:
    assert "--encoding" in refused(file, "id,nåme\n1,x\n".encode("latin-1"))


def test_an_empty_file_is_refused(file: Path) -> None:
    assert "0 bytes" in refused(file, b"")


def test_a_header_alone_is_a_file_of_no_rows(file: Path) -> None:
    assert loaded(file, b"id,name\n").rows == []


def test_duplicate_headers_are_refused(file: Path) -> None:
    assert "several columns called 'id'" in refused(file, b"id,name,id\n1,x,2\n")


def test_a_column_without_a_name_is_refused(file: Path) -> None:
    assert "no name for column 2" in refused(file, b"id,,name\n1,x,2\n")


def test_columns_that_would_be_one_field_are_refused(file: Path) -> None:
    assert "would both be the field a_b" in refused(file, b"a b,a-b\n1,2\n")


def test_ragged_rows_are_set_aside(file: Path) -> None:
    found = loaded(file, b'id,name\n1\n2,Bergen\n3,"a,b",c\n\n4,"x\ny"\n')
    assert found.rows == [(2, "Bergen"), (4, "x\ny")]
    assert [(reject.row, reject.reason, reject.original) for reject in found.rejects] == [
        (1, "1 values, and the header has 2", "1"),
        (3, "3 values, and the header has 2", '3,"a,b",c'),
    ]


def test_a_quote_that_is_never_closed_is_refused_by_its_row(file: Path) -> None:
    assert "row 2: a quote is opened" in refused(file, b'id,name\n1,Oslo\n2,"Bergen\n3,Molde\n')


def test_quotes_can_be_characters_like_others(file: Path) -> None:
    assert loaded(file, b'id,name\n1,5" pipe\n2,"\n', has_quotes=False).rows == [(1, '5" pipe'), (2, '"')]


def test_ten_thousand_columns_are_refused(file: Path) -> None:
    header = ",".join(f"c{number}" for number in range(10_000))
    assert "10,000 columns" in refused(file, f"{header}\n{'1,' * 9_999}1\n".encode())


def test_nested_parquet_becomes_records_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "nested.parquet"
    pl.DataFrame({"id": [1, 2], "tags": [["a", None], None], "at": [{"x": 1.5, "y": None}, None]}).write_parquet(path)
    rows = load(path).rows
    assert [(id, tags) for id, tags, _ in rows] == [(1, ["a", None]), (2, None)]
    assert (rows[0][2].x, rows[1][2]) == (1.5, None)


def test_parquet_of_a_type_that_avro_lacks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "durations.parquet"
    pl.DataFrame({"took": pl.Series([1], dtype=pl.Duration("us"))}).write_parquet(path)
    with pytest.raises(BadFile, match="column took: values of the type Duration"):
        load(path)


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "avro"])
def test_a_file_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    frame = pl.DataFrame({"id": range(1000), "name": [f"n{number}" for number in range(1000)]})
    {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "avro": frame.write_avro}[suffix](path)
    data = path.read_bytes()
    for size in (len(data) - 1, len(data) // 2, 20):
        refused(path, data[:size])


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "avro"])
def test_a_file_of_another_format_than_its_name_says_is_refused(tmp_path: Path, suffix: str) -> None:
    assert f"no {suffix} file" in refused(tmp_path / f"table.{suffix}", PLACES)


def test_a_file_that_changes_while_it_is_read_is_refused(file: Path) -> None:
    file.write_bytes(PLACES)
    with opened(str(file)) as found:
        plan = Plan.of(found, Options())
        with file.open("ab") as more:
            more.write(b"3,Molde\n")
        with pytest.raises(FileChanged, match="changed while it was read"):
            list(plan.portions(TARGET, plan.load_id(TARGET, "default")))


def test_a_file_that_goes_while_it_is_read_is_told(file: Path) -> None:
    file.write_bytes(PLACES)
    with opened(str(file)) as found:
        file.unlink()
        with pytest.raises(FileChanged, match="taken away"):
            found.check_unchanged()


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="is a directory"):
        load(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        load(tmp_path / "nothing.csv")


def test_a_pattern_that_nothing_is_like_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no file is like"):
        find([f"{tmp_path}/*.csv"])


def test_a_file_without_permission_is_refused(file: Path) -> None:
    file.write_bytes(PLACES)
    file.chmod(0)
    with unprivileged(), pytest.raises(BadFile, match="Permission denied"):
        load(file)


def test_values_that_do_not_fit_are_set_aside_with_where_and_why(file: Path) -> None:
    schema = schema_of(id="int", born={"type": "int", "logicalType": "date"}, size="double")
    data = b"id,born,size\n1,2020-02-29,1.5\nx,2020-02-30,2\n99999999999,2020-01-01,3\n4,,5\n5,2021-01-01,inf\n"
    found = loaded(file, data, schema=schema)
    assert [row[0] for row in found.rows] == [1]
    assert [(reject.row, reject.column, reject.reason) for reject in found.rejects] == [
        (2, "id", "not an int: 'x'"),
        (3, "id", "not an int: '99999999999'"),
        (4, "born", "no value, and the schema wants one"),
        (5, "size", "no finite number: 'inf'"),
    ]
    assert found.rejects[0].original == "x,2020-02-30,2"


def test_what_postgres_could_not_store_is_set_aside(file: Path) -> None:
    found = loaded(file, b"id,name\n1,a\0b\n2," + b"x" * 2_001 + b"\n3,fine\n", indexes=["name"])
    assert [row[0] for row in found.rows] == [3]
    assert [reject.row for reject in found.rejects] == [1, 2]


def test_bad_lines_of_json_are_set_aside(tmp_path: Path) -> None:
    data = b'{"id":1}\n{"id":\n[2]\n\n{"id":3}\n{"id":"\xff"}\n'
    found = loaded(tmp_path / "table.jsonl", data)
    assert found.rows == [(1,), (3,)]
    assert [reject.row for reject in found.rejects] == [2, 3, 6]


def test_a_json_list_is_no_json_lines(tmp_path: Path) -> None:
    assert "an object a line" in refused(tmp_path / "table.json", b'[{"id":1}]')


def test_a_column_that_the_dataset_lacks_is_refused_unless_left_out(file: Path) -> None:
    schema = schema_of(id="long")
    assert "no field for the column 'name'" in refused(file, PLACES, schema=schema)
    assert loaded(file, PLACES, schema=schema, ignored=("name",)).rows == [(1,), (2,)]


def test_a_field_that_the_file_lacks_is_refused(file: Path) -> None:
    assert "no column for size" in refused(file, PLACES, schema=schema_of(id="long", name="string", size="long"))
