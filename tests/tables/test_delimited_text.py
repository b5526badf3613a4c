"""Delimited text: what the compiled parsers read is what the careful one reads, wherever the text is cut."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from counterflow.tables import TableError, csv_file, delimited_text, open_table, read_table
from counterflow.tables.csv_numbers import parsed

CELLS = st.one_of(
    st.floats(width=64).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["", " ", "NA", "null", "None", "n/A", " 1.5 ", "1_000", "0x10", "1e5", "+.5", "5.", "-inf", "Infinity"]
    ),
    st.sampled_from(["1D3", "--1", "٣", "1 2", "nan ", '"7"', '"1\n2"', '"a,b"', '5"', "\t3", "1e400", "#1", "true"]),
)


@pytest.fixture(params=["pyarrow", "numpy", "neither"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "pyarrow":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    if request.param == "neither":
        monkeypatch.setattr(csv_file, "parsed", lambda *_: None)
    return str(request.param)


def outcome(path: Path, columns: list[str | int] | None = None) -> str:
    """The numbers, or the sentence."""
    try:
        return "\n".join(repr(row) for block in open_table(path, columns=columns).blocks() for row in block.tolist())
    except TableError as error:
        return str(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


@pytest.mark.parametrize("chosen", [None, ["b"]])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2) | st.lists(CELLS, max_size=4), min_size=1, max_size=6))
@example(rows=[["1", "2"], ["3", "9007199254740993"]])
@example(rows=[["1", "2"], [], ["3", "4", "5"]])
def test_every_parser_says_the_same(
    rows: list[list[str]], chosen: list[str] | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "x.csv"
    path.write_text("a,b\n" + "\n".join(",".join(row) for row in rows), encoding="utf-8")
    with monkeypatch.context() as patch:
        fast = outcome(path, chosen)
        patch.setattr(delimited_text, "CHUNK", 7)
        assert outcome(path, chosen) == fast
        patch.setitem(sys.modules, "pyarrow", None)
        assert outcome(path, chosen) == fast
        patch.setattr(csv_file, "parsed", lambda *_: None)
        assert outcome(path, chosen) == fast


TEXT = st.sampled_from(["", "x", '5" pipe', '"5"" pipe"', '"a,b"', '"\n"', '"one\n\n two"', 'size 6"', "é", '""'])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXT, CELLS, TEXT), min_size=1, max_size=8), end=st.sampled_from(["", "\n"]))
@example(rows=[('6" pipe', "3", '"\n"'), ("", "4", "")], end="")
def test_text_beside_the_numbers_moves_none_of_them(
    rows: list[tuple[str, str, str]], end: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "x.csv"
    path.write_text("t,a,u\n" + "\n".join(",".join(row) for row in rows) + end, encoding="utf-8")
    with monkeypatch.context() as patch:
        fast = outcome(path, ["a"])
        patch.setattr(delimited_text, "CHUNK", 6)
        assert outcome(path, ["a"]) == fast
        patch.setattr(csv_file, "parsed", lambda *_: None)
        assert outcome(path, ["a"]) == fast


def test_plain_numbers_take_the_compiled_way(parser: str) -> None:
    numbers = parsed(b"1,2\n3.5,-4e-3\n", 2, [0, 1], ",")
    assert numbers is not None
    assert numbers.tolist() == [[1, 2], [3.5, -4e-3]]


def test_missing_cells_and_text_beside_take_pyarrows_way() -> None:
    numbers = parsed(b'1,x,NA\n2,"y,z",nUlL\n', 3, [2, 0], ",")
    assert numbers is not None
    assert np.array_equal(numbers, [[np.nan, 1], [np.nan, 2]], equal_nan=True)


@pytest.mark.parametrize("size", [5, 16, 64])
def test_lines_keep_their_numbers_wherever_the_text_is_cut(
    size: int, parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited_text, "CHUNK", size)
    lines = ["a,b", *(f"{i},{i}.5" for i in range(20)), "", "", '"7",8', '"9\n",1', "2,x"]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    source = open_table(tmp_path / "x.csv")
    with pytest.raises(TableError, match="line 27, column 'b': expected a number, got 'x'"):
        list(source.blocks())
    assert [source.place(row) for row in (0, 19, 20, 21, 22)] == ["line 2", "line 21", "line 24", "line 26", "line 27"]


def test_cells_that_go_on_over_a_cut_are_whole(parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_text, "CHUNK", 4)
    rows = ["t,a,u", '"one\n\n two,\n""three""\n",1,"x\n\ny"', '5" pipe,2,', '6" pipe,3,"\n"']
    (tmp_path / "x.csv").write_text("\n".join(rows))
    assert read_table(open_table(tmp_path / "x.csv", columns=["a"])).values.tolist() == [[1], [2], [3]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_end_of_line_is_one(end: str, mark: str, parser: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes((mark + end.join(["a,b", "1,2", "", "3,4"])).encode())
    source = open_table(tmp_path / "x.csv")
    assert source.names == ("a", "b")
    assert read_table(source).values.tolist() == [[1, 2], [3, 4]]
    assert source.place(1) == "line 4"


def test_a_given_delimiter_takes_the_place_of_commas(parser: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a;b\n1;2\n")
    assert read_table(open_table(tmp_path / "x.csv", delimiter=";")).values.tolist() == [[1, 2]]


@pytest.mark.parametrize("cell", ["9007199254740993", "-90071992547409931", " 123456789012345678901"])
def test_an_integer_that_would_lose_digits_is_named(cell: str, parser: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"a,id\n1,2\n3,{cell}\n")
    with pytest.raises(
        TableError, match=rf"line 3: column 'id' holds the integer {cell.strip()}, and double precision"
    ):
        read_table(open_table(tmp_path / "x.csv"))


@pytest.mark.parametrize("cell", ["9007199254740994", "1e300", "123456789012345678901.5", "0.12345678901234567"])
def test_a_large_number_that_keeps_its_digits_or_is_a_float_is_read(cell: str, parser: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"a,id\n1,2\n3,{cell}\n")
    assert read_table(open_table(tmp_path / "x.csv")).values[1, 1] == float(cell)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited_text, "LONGEST_LINE", 100)
    (tmp_path / "x.csv").write_text("a,b\n" + 60 * "1," + "2\n")
    (tmp_path / "y.csv").write_text(60 * "1," + "2\n")
    monkeypatch.setattr(delimited_text, "CHUNK", 5)
    for name, line in (("x.csv", 2), ("y.csv", 1)):
        with pytest.raises(TableError, match=f"line {line} is longer than 100 bytes"):
            read_table(open_table(tmp_path / name))
