"""Every format gives back what was written to it: numbers, names, types and units, all or nothing."""

from pathlib import Path

import numpy as np
import pytest

from counterflow.tables import WRITABLE, ColumnType, TableError, open_table, read_table, write_columns
from counterflow.tables import source as source_module
from tables.typed import COLUMNS, NAMES, ROWS, TYPES, UNITS, values

NAMED = [extension for extension in WRITABLE if extension != ".npy"]
TYPED = [extension for extension in NAMED if extension not in (".csv", ".tsv")]
WITH_UNITS = [extension for extension in TYPED if extension not in (".npz", ".root")]
X = values()


@pytest.fixture(params=WRITABLE)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"x{request.param}"


def write(path: Path, columns: list[ColumnType] = COLUMNS, x: np.ndarray = X) -> None:
    write_columns(path, columns, [x[:5], x[5:5], x[5:]], rows=len(x))


def test_every_number_comes_back_as_its_type_has_it(path: Path) -> None:
    write(path)
    back = read_table(open_table(path)).values
    for i, dtype in enumerate(TYPES):
        assert np.array_equal(back[:, i].astype(dtype), X[:, i].astype(dtype)), dtype


@pytest.mark.parametrize("extension", NAMED)
def test_names_come_back_in_their_order(extension: str, tmp_path: Path) -> None:
    write(tmp_path / f"x{extension}")
    assert open_table(tmp_path / f"x{extension}").names == NAMES


@pytest.mark.parametrize("extension", TYPED)
def test_types_come_back(extension: str, tmp_path: Path) -> None:
    write(tmp_path / f"x{extension}")
    source = open_table(tmp_path / f"x{extension}")
    assert source.types == TYPES
    assert source.rows == ROWS


@pytest.mark.parametrize("extension", WITH_UNITS)
def test_units_come_back(extension: str, tmp_path: Path) -> None:
    write(tmp_path / f"x{extension}")
    assert open_table(tmp_path / f"x{extension}").units == UNITS


@pytest.mark.parametrize(
    "extension", [e for e in WRITABLE if e not in (".parquet", ".pq", ".feather", ".arrow", ".root")]
)
def test_a_table_without_names_comes_back_without_names(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{extension}"
    write(path, [ColumnType(None), ColumnType(None, "int16")], np.array([[0.5, 3], [2.5, -4]]))
    source = open_table(path)
    assert source.names is None
    assert read_table(source).values.tolist() == [[0.5, 3], [2.5, -4]]


@pytest.mark.parametrize("extension", [".parquet", ".feather", ".root"])
def test_a_format_that_needs_names_numbers_the_columns(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{extension}"
    write(path, [ColumnType(None), ColumnType(None, "int16")], np.array([[0.5, 3], [2.5, -4]]))
    assert open_table(path).names == ("column_1", "column_2")


def test_one_column_goes_round(path: Path) -> None:
    write(path, [ColumnType("only", "float64")], X[:, 1:2])
    assert np.array_equal(read_table(open_table(path)).values, X[:, 1:2])


def test_a_single_column_can_be_an_array_of_one_axis(tmp_path: Path) -> None:
    write_columns(tmp_path / "x.npy", [ColumnType("p", "float64")], [X[:, :1]], rows=ROWS, one_axis=True)
    assert np.array_equal(np.load(tmp_path / "x.npy"), X[:, 0])
    with pytest.raises(ValueError, match="expected one column for an array of one axis, got 2"):
        write_columns(tmp_path / "y.npy", COLUMNS[:2], [X[:, :2]], rows=ROWS, one_axis=True)


def test_no_rows_are_no_mistake_of_the_file(path: Path) -> None:
    write_columns(path, COLUMNS, [], rows=0)
    assert read_table(open_table(path)).values.shape == (0, len(COLUMNS))


def test_nan_and_infinity_go_round(path: Path) -> None:
    x = np.array([[np.nan, 1.0], [np.inf, -np.inf]])
    write(path, [ColumnType("a"), ColumnType("b", "float64")], x)
    assert np.array_equal(np.concatenate(list(open_table(path).blocks())), x, equal_nan=True)


def test_blocks_hold_no_more_cells_than_they_may(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path)
    monkeypatch.setattr(source_module, "BLOCK_CELLS", 4 * len(COLUMNS))
    lengths = [len(block) for block in open_table(path).blocks()]
    assert max(lengths) <= 4
    assert sum(lengths) == ROWS


def test_names_with_marks_and_letters_of_any_alphabet_go_round(path: Path) -> None:
    names = ["p.t", 'say "μ"', "x y;z", "l1 + l2", "été"]
    write(path, [ColumnType(name) for name in names], values([ColumnType(name) for name in names]))
    assert open_table(path).names in (tuple(names), None)
    if path.suffix != ".npy":
        assert open_table(path, columns=["x y;z"]).names == ("x y;z",)


@pytest.mark.parametrize(("rows", "words"), [(ROWS + 1, "expected 24 rows, got 23"), (ROWS - 1, "got more")])
def test_another_number_of_rows_leaves_nothing(rows: int, words: str, path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        write_columns(path, COLUMNS, [X[:20], X[20:]], rows=rows)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int8", 128),
        ("int8", 0.5),
        ("uint8", -1),
        ("int64", 2.0**63),
        ("uint64", 2.0**64),
        ("int32", np.nan),
        ("bool", 2),
        ("float32", 1e39),
        ("float16", 7e4),
    ],
)
def test_a_number_that_its_type_cannot_hold_is_named_and_leaves_nothing(
    dtype: str, value: float, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=rf"x.npz: column 'b' cannot hold .* as {dtype}"):
        write(tmp_path / "x.npz", [ColumnType("a"), ColumnType("b", dtype)], np.array([[1.0, 1.0], [0.0, value]]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "value"), [("int64", -(2.0**63)), ("uint64", 2.0**63), ("float32", np.inf)])
def test_the_ends_of_a_type_are_held(dtype: str, value: float, tmp_path: Path) -> None:
    write(tmp_path / "x.npy", [ColumnType(None, dtype)], np.array([[value]]))
    assert np.load(tmp_path / "x.npy").astype(float) == value


def test_whole_numbers_are_written_to_text_without_decimals(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    write(path, [ColumnType("n", "int64"), ColumnType("b", "bool"), ColumnType("f")], np.array([[2.0**53, 1, 0.5]]))
    assert path.read_text() == "n\tb\tf\n9007199254740992\t1\t0.5\n"


def test_names_for_some_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names for all of 2 columns or for none, got 1"):
        write(tmp_path / "x.csv", [ColumnType("a"), ColumnType(None)], X[:, :2])


def test_one_name_for_two_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two columns are called 'a'"):
        write(tmp_path / "x.csv", [ColumnType("a"), ColumnType("a")], X[:, :2])


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a type among bool, .* got 'complex64'"):
        ColumnType("a", "complex64")


@pytest.mark.parametrize(
    ("name", "column", "words"),
    [
        ("x.h5", ColumnType("a/b"), "column 'a/b' has a name that HDF5 cannot keep"),
        ("x.root", ColumnType("a", "float16"), "column 'a' is float16, a type that ROOT does not have"),
        ("x.txt", ColumnType("a"), r"cannot write .txt, only .csv, .npy, .npz"),
    ],
)
def test_what_a_format_cannot_keep_is_refused(name: str, column: ColumnType, words: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=words):
        write(tmp_path / name, [column], X[:, :1])
    assert list(tmp_path.iterdir()) == []
