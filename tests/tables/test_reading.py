"""Readers: the numbers that were written, in blocks, and a place for everything that is not a number."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from counterflow.tables import MissingValues, TableError, match_columns, open_table, read_table
from counterflow.tables import source as source_module

X = np.array([[1.0, -2.5, 3e10], [0.25, 1e-7, -4.0], [7.0, 8.0, 9.5]])


@pytest.fixture(params=["named.csv", "bare.csv", "c.npy", "fortran.npy", "one.npz", "packed.npz"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    match request.param:
        case "named.csv":
            lines = [",".join(map(repr, row)) for row in X.tolist()]
            path.write_text("a, b ,c\n" + "\n\n".join(lines) + "\n")
        case "bare.csv":
            path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(",".join(map(repr, row)) for row in X.tolist()).encode())
        case "c.npy":
            np.save(path, X)
        case "fortran.npy":
            np.save(path, np.asfortranarray(X))
        case "one.npz":
            np.savez(path, x=X)
        case _:
            np.savez_compressed(path, x=np.asfortranarray(X))
    return path


def test_every_format_gives_the_numbers_back(table: Path) -> None:
    assert np.array_equal(read_table(open_table(table)).values, X)


def test_blocks_of_one_row_give_the_same_numbers(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "BLOCK_CELLS", 3)
    blocks = list(open_table(table).blocks())
    assert [len(block) for block in blocks] == [1, 1, 1]
    assert np.array_equal(np.concatenate(blocks), X)
    assert np.array_equal(read_table(open_table(table)).values, X)


def test_a_source_can_be_read_twice(table: Path) -> None:
    source = open_table(table)
    assert np.array_equal(next(source.blocks()), next(source.blocks()))


@pytest.mark.parametrize("dtype", ["<i2", ">i8", ">f4", "<f2", "?"])
def test_numbers_of_every_kind_and_byte_order_are_read(dtype: str, tmp_path: Path) -> None:
    x = np.array([[1, 0], [1, 1], [0, 1]], dtype=dtype)
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(read_table(open_table(tmp_path / "x.npy")).values, x.astype(float))


def test_names_are_those_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('"mass, GeV",pt\n1,2\n')
    assert open_table(path).names == ("mass, GeV", "pt")


def test_a_first_line_of_numbers_is_data(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("1,2\n3,4\n")
    source = open_table(path)
    assert source.names is None
    assert len(next(source.blocks())) == 2


def test_missing_cells_are_counted_with_their_first_place(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n\n3,NA\n4,inf\n,n/a\n5,6\n")
    with pytest.raises(MissingValues) as error:
        read_table(open_table(path))
    assert str(error.value) == (
        f"{path}: 3 rows have cells without a finite number (3 missing or NaN and 1 infinite), "
        "first at line 4, column 'b'"
    )


def test_dropping_keeps_the_other_rows_and_counts(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[1.0, np.nan], [2.0, 3.0], [np.inf, 4.0]]))
    table = read_table(open_table(tmp_path / "x.npy"), drop_missing=True)
    assert table.dropped == 2
    assert table.values.tolist() == [[2.0, 3.0]]
    assert table.place(0) == "row 2"


def test_text_is_refused_even_when_missing_cells_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n,4\n5,six\n")
    with pytest.raises(TableError, match=r"line 4, column 'b': expected a number, got 'six'"):
        read_table(open_table(path), drop_missing=True)


def test_a_line_after_a_quoted_line_break_keeps_its_number(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('"a\nb",c\n1,2\n3,x\n')
    with pytest.raises(TableError, match="line 4"):
        read_table(open_table(path))


def test_a_damaged_member_of_an_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.arange(4000.0).reshape(-1, 2))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"array 'x' is damaged"):
        read_table(open_table(path))


def test_a_member_that_is_no_array_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"hello, this is no array")
    with pytest.raises(TableError, match="does not begin as a NumPy array does"):
        open_table(path)


def test_a_pickled_array_is_never_unpickled(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([[object()]]), allow_pickle=True)
    (tmp_path / "x.npy").write_bytes(stream.getvalue())
    with pytest.raises(TableError, match=r"holds Python objects \(dtype object\)"):
        open_table(tmp_path / "x.npy")


def test_reordered_names_are_matched(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("b,a\n1,2\n")
    assert match_columns(open_table(path), ("a", "b"), 2) == [1, 0]


def test_names_that_agree_need_no_order(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    assert match_columns(open_table(path), ("a", "b"), 2) is None
    assert match_columns(open_table(path), None, 2) is None
