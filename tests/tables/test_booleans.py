"""Booleans in a table: words of text, or a type of their own; 1 and 0 to whoever reads them, and what is written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from counterflow.tables import TableError, csv_numbers, delimited_text, open_table, read_table

COMPILED = ["_by_pyarrow", "_by_numpy"]


def rows_of(path: Path) -> np.ndarray:
    return np.concatenate(list(open_table(path).blocks()))


@pytest.fixture(params=COMPILED)
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "_by_numpy":
        monkeypatch.setattr(csv_numbers, "_by_pyarrow", csv_numbers._by_numpy)


@pytest.mark.parametrize("words", [("True", "False"), ("true", "false"), ("TRUE", "FALSE"), ("tRuE", " faLse ")])
@pytest.mark.parametrize("header", ["flag,x\n", ""])
def test_true_and_false_in_any_case_are_one_and_zero(
    words: tuple[str, str], header: str, tmp_path: Path, either_parser: None
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{header}{words[0]},1.5\n{words[1]},2\n,3\n{words[0]},4\n")
    expected = np.array([[1, 1.5], [0, 2], [np.nan, 3], [1, 4]])
    assert np.array_equal(rows_of(path), expected, equal_nan=True)
    assert open_table(path).names == (("flag", "x") if header else None)


def test_a_file_of_booleans_alone_without_names_has_none(tmp_path: Path, either_parser: None) -> None:
    (tmp_path / "x.csv").write_text("True,False\nFalse,False\n")
    assert np.array_equal(rows_of(tmp_path / "x.csv"), [[1, 0], [0, 0]])


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_text, "CHUNK", 64)


@pytest.mark.parametrize("mark", ["", '"'])
def test_booleans_are_read_chunk_by_chunk(mark: str, tmp_path: Path, either_parser: None, small_chunks: None) -> None:
    """The flag is missing all through the first chunks, so that only a later one tells what it is."""
    rows = np.arange(300)
    flags = [None if row < 50 else bool(row % 3) for row in rows]
    lines = ("," if flag is None else f"{mark}{flag}{mark}," for flag in flags)
    (tmp_path / "x.csv").write_text("flag,x\n" + "".join(f"{line}{i % 10}\n" for i, line in enumerate(lines)))
    expected = np.stack([np.array(flags, float), rows % 10.0], 1)
    assert np.array_equal(rows_of(tmp_path / "x.csv"), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["True", "2"], "line 3: column 'flag' holds '2', and true and false above"),
        (["1", "True"], "line 3: column 'flag' holds 'True', and numbers above"),
        (["True", "yes"], "line 3, column 'flag': expected true or false, got 'yes'"),
        (["1", "yes"], "line 3, column 'flag': expected a number, got 'yes'"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.usefixtures("either_parser", "small_chunks")
def test_a_column_of_both_is_refused_with_its_line(cells: list[str], words: str, apart: bool, tmp_path: Path) -> None:
    """Next to each other, or in different chunks."""
    between = "" if not apart else f"{cells[0]},1\n" * 50
    (tmp_path / "x.csv").write_text(f"flag,x\n{cells[0]},1\n{between}{cells[1]},2\n")
    with pytest.raises(TableError) as caught:
        rows_of(tmp_path / "x.csv")
    expected = words.replace("line 3", f"line {3 + between.count(chr(10))}")
    assert expected in str(caught.value)


def test_what_pandas_and_r_write_of_booleans_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"flag": [True, False, True], "x": [0.5, 1.5, 2.5]})
    frame.to_csv(tmp_path / "pandas.csv", index=False)
    (tmp_path / "r.csv").write_text('"flag","x"\nTRUE,0.5\nFALSE,1.5\nTRUE,2.5\n')
    for name in ("pandas.csv", "r.csv"):
        assert np.array_equal(read_table(open_table(tmp_path / name)).values, frame.to_numpy(float)), name


@pytest.mark.parametrize("extension", ["parquet", "feather", "arrow"])
def test_booleans_of_arrow_with_gaps_and_dictionaries_are_one_and_zero(extension: str, tmp_path: Path) -> None:
    flags = pa.array([True, None, False])
    table = pa.table({"flag": flags, "coded": flags.dictionary_encode(), "whole": pa.array([True, True, False])})
    path = tmp_path / f"x.{extension}"
    if extension == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, str(path))
    assert open_table(path).types == ("bool", "bool", "bool")
    expected = np.array([[1, 1, 1], [np.nan, np.nan, 1], [0, 0, 0]])
    assert np.array_equal(rows_of(path), expected, equal_nan=True)
