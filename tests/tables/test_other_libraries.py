"""The libraries of each format read what is written here, and what they write is read here."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import uproot

from counterflow.tables import open_table, read_table, write_columns
from tables.typed import COLUMNS, NAMES, TYPES, UNITS, arrays, values

X = values()
EXACT: dict[str, Any] = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}
ARRAYS = arrays()
FRAME = pd.DataFrame(ARRAYS)

READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    "pandas.csv": lambda path: {n: c.to_numpy() for n, c in pd.read_csv(path, **EXACT).items()},
    "pandas.tsv": lambda path: {n: c.to_numpy() for n, c in pd.read_csv(path, sep="\t", **EXACT).items()},
    "polars.csv": lambda path: {c.name: c.to_numpy() for c in pl.read_csv(path)},
    "numpy.npz": lambda path: dict(np.load(path)),
    "pandas.parquet": lambda path: {n: c.to_numpy() for n, c in pd.read_parquet(path).items()},
    "polars.pq": lambda path: {c.name: c.to_numpy() for c in pl.read_parquet(path)},
    "pandas.feather": lambda path: {n: c.to_numpy() for n, c in pd.read_feather(path).items()},
    "polars.arrow": lambda path: {c.name: c.to_numpy() for c in pl.read_ipc(path)},
    "h5py.h5": lambda path: _by_h5py(path),
    "uproot.root": lambda path: _by_uproot(path),
}


def _by_h5py(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        assert dict(file["zeta"].attrs) == {"units": "GeV"}
        return {name: data[:] for name, data in file.items()}


def _by_uproot(path: Path) -> dict[str, np.ndarray]:
    with uproot.open(path) as file:
        return {branch.name: branch.array(library="np") for branch in file["tree"].branches}


@pytest.mark.parametrize("reader", READERS)
def test_another_library_reads_what_is_written(reader: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{reader.partition('.')[2]}"
    write_columns(path, COLUMNS, [X[:9], X[9:]], rows=len(X))
    back = READERS[reader](path)
    assert list(back) == list(NAMES)
    for name, column in ARRAYS.items():
        assert np.array_equal(back[name].astype(column.dtype), column), name
        if path.suffix not in (".csv", ".tsv"):
            assert back[name].dtype == column.dtype.newbyteorder("="), name


def test_numpy_reads_the_one_array_of_a_npy_file(tmp_path: Path) -> None:
    write_columns(tmp_path / "x.npy", COLUMNS, [X], rows=len(X))
    assert np.array_equal(np.load(tmp_path / "x.npy"), X)


def _records() -> np.ndarray:
    records = np.empty(len(X), [(name, column.dtype) for name, column in ARRAYS.items()])
    for name, column in ARRAYS.items():
        records[name] = column
    return records


def _write_h5(path: Path, **options: object) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("events", track_order=True)
        group.attrs["made"] = "today"
        for name, column in ARRAYS.items():
            group.create_dataset(name, data=column, **options)


def _write_h5_records(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["deep/events"] = _records()


def _write_root(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mktree("t", {name: column.dtype for name, column in ARRAYS.items()}).extend(ARRAYS)


def _write_rntuple(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mkrntuple("t", ARRAYS)


WRITERS: dict[str, Callable[[Path], object]] = {
    "numpy records.npy": lambda path: np.save(path, _records()),
    "numpy columns.npz": lambda path: np.savez_compressed(path, **ARRAYS),
    "numpy records.npz": lambda path: np.savez(path, t=_records()),
    "pandas.parquet": lambda path: FRAME.to_parquet(path),
    "pandas, small groups.parquet": lambda path: FRAME.to_parquet(path, row_group_size=4, compression="gzip"),
    "polars.parquet": lambda path: pl.DataFrame(ARRAYS).write_parquet(path),
    "pandas.feather": lambda path: FRAME.to_feather(path),
    "polars.arrow": lambda path: pl.DataFrame(ARRAYS).write_ipc(path),
    "polars stream.arrow": lambda path: pl.DataFrame(ARRAYS).write_ipc_stream(path),
    "h5py.h5": _write_h5,
    "h5py, compressed chunks.h5": lambda path: _write_h5(path, chunks=(7,), compression="gzip"),
    "h5py records.hdf5": _write_h5_records,
    "uproot.root": _write_root,
    "uproot RNTuple.root": _write_rntuple,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_another_library_writes_is_read_with_names_and_types(writer: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{writer.partition('.')[2]}"
    WRITERS[writer](path)
    source = open_table(path, columns=NAMES if "RNTuple" in writer else None)  # uproot sorts the fields that it writes
    assert source.names == NAMES
    assert source.types == TYPES
    assert source.rows in (len(X), None)
    assert np.array_equal(read_table(source).values, X)


@pytest.mark.parametrize("extension", ["csv", "tsv", "csv.gz", "tsv.gz"])
def test_text_of_pandas_is_read(extension: str, tmp_path: Path) -> None:
    frame = FRAME.assign(flag=FRAME["flag"].astype(int))
    path = tmp_path / f"x.{extension}"
    frame.to_csv(path, sep="\t" if "tsv" in extension else ",", index=False)
    source = open_table(path)
    assert source.names == NAMES
    assert np.allclose(read_table(source).values, X, rtol=1e-7, atol=0)


def test_units_of_arrow_are_read_under_either_name(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("a", "f8", metadata={"units": "m"}), pa.field("b", "f8", metadata={"unit": "s"})])
    table = pa.table([[1.0], [2.0]], schema=schema)
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    pa.feather.write_feather(table, tmp_path / "x.feather")
    assert open_table(tmp_path / "x.parquet").units == open_table(tmp_path / "x.feather").units == ("m", "s")


def test_units_of_hdf5_are_read_under_either_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, key, unit in (("a", "units", "m"), ("b", "unit", np.bytes_("s")), ("c", "units", 3)):
            file[name] = np.zeros(2)
            file[name].attrs[key] = unit
    assert open_table(tmp_path / "x.h5").units == ("m", "s", None)


def test_pyarrow_reads_types_and_units(tmp_path: Path) -> None:
    write_columns(tmp_path / "x.parquet", COLUMNS, [X], rows=len(X))
    schema = pa.parquet.read_schema(tmp_path / "x.parquet")
    assert tuple(np.dtype(field.type.to_pandas_dtype()).name for field in schema) == TYPES
    units = tuple((field.metadata or {}).get(b"unit", b"").decode() or None for field in schema)
    assert units == UNITS


@pytest.mark.parametrize("extension", ["parquet", "feather"])
def test_missing_cells_of_every_type_are_nan(extension: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"i": [1, None, 3], "f": [None, 2.5, 0.0], "b": [True, None, False], "n": [None] * 3})
    frame = frame.with_columns(d=pl.Series([None, 1.25, 2]).cast(pl.Decimal(10, 2)))
    path = tmp_path / f"x.{extension}"
    frame.write_parquet(path) if extension == "parquet" else frame.write_ipc(path)
    source = open_table(path)
    assert source.types == ("int64", "float64", "bool", "float64", "float64")
    expected = [[1, np.nan, 1, np.nan, np.nan], [np.nan, 2.5, np.nan, np.nan, 1.25], [3, 0, 0, np.nan, 2]]
    assert np.array_equal(next(source.blocks()), expected, equal_nan=True)


def test_categories_of_numbers_are_numbers(tmp_path: Path) -> None:
    pd.DataFrame({"a": pd.Categorical([5, 7, None, 5])}).to_feather(tmp_path / "x.feather")
    source = open_table(tmp_path / "x.feather")
    assert source.types == ("int64",)
    assert np.array_equal(next(source.blocks())[:, 0], [5, 7, np.nan, 5], equal_nan=True)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("options", [{}, {"chunks": (5, 2), "compression": "gzip"}])
def test_a_dataset_of_two_axes_is_a_table_without_names(order: str, options: dict, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=np.asarray(X, order=order), **options)
        file["version"] = 3
    source = open_table(tmp_path / "x.h5", columns=[2, 1])
    assert source.names is None
    assert np.array_equal(read_table(source).values, X[:, [1, 0]])


def test_a_group_of_hdf5_or_one_dataset_in_it_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for name, shift in (("train", 0), ("test", 5)):
            file[f"{name}/b"] = np.arange(3.0) + shift
            file[f"{name}/a"] = np.arange(3) + shift
        file["link"] = h5py.SoftLink("/test/b")
    source = open_table(path, array="test")
    assert (source.names, source.types) == (("a", "b"), ("int64", "float64"))
    assert read_table(source).values[0].tolist() == [5, 5]
    for name in ("/test/b", "link"):
        assert read_table(open_table(path, array=name)).values.tolist() == [[5], [6], [7]]


def test_the_newest_cycle_of_a_tree_is_read(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "x.root") as file:
        for rows in (2, 3):
            file.mktree("dir/t", {"a": np.dtype("f8")}).extend({"a": np.arange(rows) + 0.0})
        file["h"] = np.histogram([1.0, 2.0])
    assert open_table(tmp_path / "x.root").rows == 3


def test_one_of_several_trees_can_be_chosen(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mktree("t", {"a": np.dtype("f8")}).extend({"a": np.zeros(2)})
        file.mktree("u", {"b": np.dtype("i4")}).extend({"b": np.ones(3, np.int32)})
    assert open_table(tmp_path / "x.root", array="u").names == ("b",)


def test_a_folder_of_parquet_files_is_one_table_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, start in (("b", 3), ("a", 0), ("c", 5)):
        rows = {"a": 3, "b": 2, "c": 4}[name]
        frame = pl.DataFrame({"x": np.arange(start, start + rows), "y": np.zeros(rows)})
        frame = frame.select("y", "x") if name == "b" else frame
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "_SUCCESS").touch()
    source = open_table(folder, columns=["x"])
    assert source.rows == 9
    assert read_table(source).values[:, 0].tolist() == list(range(9))
    assert [source.place(row) for row in (0, 3, 8)] == [
        "row 1 of a.parquet",
        "row 1 of b.parquet",
        "row 4 of c.parquet",
    ]


def test_a_compressed_csv_is_read_past_its_first_part(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("a,b\n")
    with gzip.open(path, "at") as file:
        file.write("1,2\n3,4\n")
    assert read_table(open_table(path)).values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_names_of_records_in_any_alphabet_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(2, [("été", "f4"), ("θ", "i8")]))
    assert open_table(tmp_path / "x.npy").names == ("été", "θ")


def test_a_path_with_a_colon_is_no_tree(tmp_path: Path) -> None:
    path = tmp_path / "a:b.root"
    write_columns(path, COLUMNS, [X], rows=len(X))
    assert open_table(path).names == NAMES
