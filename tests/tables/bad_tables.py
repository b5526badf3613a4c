"""Every bad table that a reader may be handed: how to make it, how it is opened, and what the sentence must hold."""

import datetime
import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import uproot

from counterflow.tables import ColumnType, write_columns

X = np.arange(6000.0).reshape(-1, 3)
BIG = 2**53 + 1
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
EXTENSIONS = ("csv", "tsv", "csv.gz", "npy", "npz", "parquet", "feather", "h5", "root")
BINARY = EXTENSIONS[3:]
KIND = {
    "csv.gz": "a gzip file",
    "npy": "a NumPy array",
    "npz": "an archive of arrays",
    "parquet": "a parquet file",
    "feather": "a feather file",
    "h5": "an HDF5 file",
    "root": "a ROOT file",
}


class Bad(NamedTuple):
    """One bad table: its name, how to make it, words of the sentence, options of `open_table`."""

    name: str
    prepare: Callable[[Path], object]
    words: tuple[str, ...]
    options: Mapping[str, Any] = MappingProxyType({})


def good(path: Path) -> None:
    """A table of three columns and 2,000 rows in any format."""
    if path.name.endswith(".csv.gz"):
        FRAME.to_csv(path, index=False)
        return
    write_columns(path, [ColumnType(name, "float64") for name in "abc"], [X], rows=len(X))


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _cut(share: float) -> Callable[[Path], object]:
    def prepare(path: Path) -> None:
        good(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return prepare


def _flipped(path: Path) -> None:
    good(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40 * [0xA5])
    path.write_bytes(content)


def _another(extension: str) -> Callable[[Path], object]:
    def prepare(path: Path) -> None:
        other = path.with_name(f"other.{extension}")
        good(other)
        other.rename(path)

    return prepare


def _gap(extension: str, value: float) -> Callable[[Path], object]:
    def prepare(path: Path) -> None:
        x = X.copy()
        x[1700, 1] = value
        if extension == "csv.gz":
            pd.DataFrame(x, columns=FRAME.columns).to_csv(path, index=False, na_rep="NA")
        else:
            write_columns(path, [ColumnType(name, "float64") for name in "abc"], [x], rows=len(x))

    return prepare


def _h5(**datasets: object) -> Callable[[Path], object]:
    def prepare(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for name, data in datasets.items():
                file[name] = data

    return prepare


def _root(**trees: dict[str, Any]) -> Callable[[Path], object]:
    def prepare(path: Path) -> None:
        with uproot.recreate(path) as file:
            for name, types in trees.items():
                file.mktree(name, types)

    return prepare


def _folder(**files: Callable[[Path], object]) -> Callable[[Path], object]:
    def prepare(path: Path) -> None:
        path.mkdir()
        for name, write in files.items():
            write(path / f"{name}.parquet")

    return prepare


def _nested(path: Path) -> None:
    _folder(a=good)(path)
    _folder(a=good)(path / "2026")


def _parquet(**columns: object) -> Callable[[Path], object]:
    return lambda path: pl.DataFrame(columns).write_parquet(path)


def _twice(path: Path) -> None:
    pa.parquet.write_table(pa.table([[1.0], [2.0]], names=["a", "a"]), path)


def _twice_feather(path: Path) -> None:
    table = pa.table([[1.0], [2.0]], names=["a", "a"])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _no_columns(path: Path) -> None:
    pa.parquet.write_table(pa.table({}), path)


def _no_columns_feather(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, pa.schema([])):
        pass


def _units(unit: str) -> Callable[[Path], object]:
    return lambda path: write_columns(path, [ColumnType("a", "float64", unit)], [X[:, :1]], rows=len(X))


INTEGERS = {"a": np.arange(3), "id": np.array([1, -BIG, 3])}
RECORDS = np.zeros(3, [("a", "f8"), ("v", "f4", (2,))])

_EVERY = [
    *(Bad(f"x.{e}", _bytes(b""), (f"x.{e}", "is empty (0 bytes)")) for e in EXTENSIONS),
    *(Bad(f"x.{e}", _cut(0.6), (f"x.{e}", "cut short")) for e in BINARY),
    Bad("x.csv.gz", _cut(0.6), ("x.csv.gz", "cut short")),
    *(Bad(f"x.{e}", _bytes(b"a,b\n1,2\n"), (f"x.{e} does not begin as {kind}",)) for e, kind in KIND.items()),
    *(
        Bad(f"x.{e}", _another(other), (f"x.{e} begins as {KIND[other]}", f"extension .{e.split('.')[-1]}"))
        for e in EXTENSIONS
        for other in KIND
        if other != e
    ),
    *(
        Bad(f"x.{e}", _gap(e, value), (f"x.{e}: 1 row has a cell", words, place, "column 2" if e == "npy" else "'b'"))
        for value, words in ((np.nan, "1 missing or NaN"), (-np.inf, "1 infinite"))
        for e in EXTENSIONS
        for place in ["first at line 1702" if e in ("csv", "tsv", "csv.gz") else "first at row 1701"]
    ),
    *(
        Bad(
            f"x.{e}",
            good,
            (f"x.{e}", "--array t names an array of a .npz file, a group of HDF5 or a tree", "this is"),
            {"array": "t"},
        )
        for e in ("csv", "tsv", "csv.gz", "npy", "parquet", "feather")
    ),
    *(Bad(f"x.{e}", good, (f"x.{e}", "delimiter ';'"), {"delimiter": ";"}) for e in BINARY),
]

_TEXT = [
    Bad("x.tsv", _bytes(b"a\tb\n1\t2\n3\thigh\n"), ("x.tsv, line 3, column 'b'", "'high'")),
    Bad("x.tsv", _bytes(b"a,b\n1,2\n"), ("x.tsv, line 1", "separated by commas, expected tabs")),
    Bad("x.csv", _bytes(b"a\tb\n1\t2\n"), ("x.csv, line 1", "separated by tabs, expected commas")),
    Bad("x.tsv", _bytes(b"a\ta\n1\t2\n"), ("x.tsv, line 1", "two columns are called 'a'")),
    Bad("x.tsv", _bytes(b"a\tb\n1\n"), ("x.tsv, line 2: 1 cell where the line of names has 2",)),
    Bad("x.csv", _bytes(b'a,b\n1,2\n"3,4\n5,6\n'), ("x.csv, line 4", "not comma-separated text")),
    Bad("x.csv", _bytes(b"a,b\n1,\xff\n"), ("x.csv, line 2", "not text in UTF-8 (byte 0xff)")),
    Bad("x.csv", _bytes("a,b\n1,2\n".encode("utf-16")), ("x.csv, line 1", "not text in UTF-8 (byte 0xff)")),
    Bad("x.csv", _bytes(b"\n\r\n\n"), ("x.csv holds no lines",)),
    Bad("x.csv.gz", _bytes(gzip.compress(b"")), ("x.csv.gz holds no lines",)),
    Bad("x.csv.gz", _flipped, ("x.csv.gz", "damaged")),
    Bad("x.csv", good, ("x.csv", "delimiter ';;' is one character"), {"delimiter": ";;"}),
    Bad("x.txt", _bytes(b"1 2\n"), ("x.txt", "cannot read .txt, only .csv")),
    Bad("x.gz", _bytes(gzip.compress(b"1,2\n")), ("x.gz", "cannot read .gz")),
]

_ARRAYS = [
    Bad("x.npz", _flipped, ("x.npz, array 'b'", "damaged")),
    Bad("x.npz", lambda path: np.savez(path), ("x.npz holds no arrays",)),
    Bad("x.npz", lambda path: np.savez(path, a=X[:3, 0], b=X[:4, 0]), ("'a' has 3, 'b' has 4", "--columns")),
    Bad("x.npz", lambda path: np.savez(path, x=X, y=X[:, 0]), ("2 arrays (x, y)", "--array")),
    Bad("x.npz", lambda path: np.savez(path, x=X), ("no array called 'y', only x",), {"array": "y"}),
    Bad("x.npz", lambda path: np.savez(path, n=3), ("array 'n' has shape (), expected two axes",)),
    Bad("x.npz", lambda path: np.savez(path, a=[1.0], t=["x"]), ("'t' holds text", "--columns")),
    Bad("x.npz", lambda path: np.savez(path, a=[1.0], d=np.array(["2026"], "M8[Y]")), ("'d' holds dates",)),
    Bad("x.npz", lambda path: np.savez(path, **INTEGERS), ("row 2", "'id'", f"integer {-BIG}", "double precision")),
    Bad("x.npy", lambda path: np.save(path, np.array([[1, BIG]])), ("row 1", "column 2", f"integer {BIG}")),
    Bad("x.npy", lambda path: np.save(path, np.array([[1, 2**64 - 1]], "u8")), ("row 1", "column 2")),
    Bad("x.npy", lambda path: np.save(path, np.zeros((3, 0))), ("no columns",)),
    Bad("x.npy", lambda path: np.save(path, RECORDS), ("'v' holds arrays",)),
    Bad("x.npy", lambda path: np.save(path, np.zeros(3, [("a", [("b", "f8")])])), ("'a' holds records",)),
]

_ARROW = [
    Bad("x.parquet", _flipped, ("x.parquet", "damaged")),
    Bad("x.parquet", _twice, ("x.parquet", "two columns are called 'a'")),
    Bad("x.feather", _twice_feather, ("x.feather", "two columns are called 'a'")),
    Bad("x.parquet", _no_columns, ("x.parquet has no columns",)),
    Bad("x.feather", _no_columns_feather, ("x.feather has no columns",)),
    Bad("x.parquet", _parquet(a=[1.0], t=["x"]), ("column 't' holds text, expected numbers; choose columns",)),
    Bad("x.parquet", _parquet(t=[pd.Timestamp(0)]), ("column 't' holds dates",)),
    Bad("x.parquet", _parquet(t=[datetime.timedelta(seconds=1)]), ("column 't' holds time differences",)),
    Bad("x.parquet", _parquet(t=[[1, 2]]), ("column 't' holds nested values",)),
    Bad("x.parquet", _parquet(t=[{"x": 1}]), ("column 't' holds nested values",)),
    Bad("x.parquet", _parquet(t=[b"x"]), ("column 't' holds bytes",)),
    Bad("x.parquet", _parquet(b=pl.Series(["x"], dtype=pl.Categorical)), ("'b' holds text",)),
    Bad("x.parquet", _parquet(**INTEGERS), ("x.parquet, row 2: column 'id'", f"integer {-BIG}")),
    Bad("x.parquet", _parquet(id=[None, 2, BIG]), ("x.parquet, row 3: column 'id'", f"integer {BIG}")),
    Bad("x.feather", lambda path: pl.DataFrame(INTEGERS).write_ipc(path), ("row 2: column 'id'",)),
    Bad("x.feather", _bytes(b"FEA1" + 90 * b"\0"), ("x.feather begins as a feather file of version 1",)),
]  # fmt: skip

_FOLDERS = [
    Bad("parts", lambda path: path.mkdir(), ("parts is a folder without parquet files",)),
    Bad("parts", _folder(a=good, b=_cut(0.6)), ("parts/b.parquet is damaged or cut short",)),
    Bad("parts", _folder(a=good, b=_flipped, c=good), ("parts/b.parquet is damaged or cut short",)),
    Bad("parts", _folder(a=good, b=_bytes(b"")), ("parts/b.parquet is empty",)),
    Bad("parts", _folder(a=good, b=_parquet(a=[1.0], b=[1.0])), ("parts/b.parquet has no column 'c', which a",)),
    Bad("parts", _folder(a=_parquet(a=[1.0]), b=good), ("parts/b.parquet has a column 'b', which a.parquet has not",)),
    Bad("parts", _folder(a=_parquet(a=[1.0]), b=_parquet(a=[1])), ("b.parquet: column 'a' has type int64, in a.",)),
    Bad("parts", _folder(a=_units("m"), b=_units("cm")), ("b.parquet: column 'a' has unit cm, in a.parquet",)),
    Bad("parts", _folder(a=good, b=_gap("parquet", np.nan)), ("parts: 1 row", "row 1701 of b.parquet", "'b'")),
    Bad("parts", _nested, ("parts", "a folder of more (2026)")),
]  # fmt: skip

_HDF5 = [
    Bad("x.h5", _h5(), ("x.h5 holds no table",)),
    Bad("x.h5", _h5(x=np.zeros((2, 2, 2))), ("x.h5 holds no table",)),
    Bad("x.h5", _h5(x=np.zeros((2, 2, 2))), ("dataset 'x' has shape (2, 2, 2)",), {"array": "x"}),
    Bad("x.h5", _h5(x=X, y=X), ("2 tables (x, y)", "--array")),
    Bad("x.h5", _h5(**{"g/a": X[0], "h/a": X[0]}), ("2 tables (g, h)", "--array")),
    Bad("x.h5", _h5(x=X), ("no group or dataset called 'y', only x",), {"array": "y"}),
    Bad("x.h5", _h5(**{"g/x": X}), ("group 'g' holds no dataset of one axis",), {"array": "g"}),
    Bad("x.h5", _h5(a=X[0], b=X[:, 0]), ("'a' has 3, 'b' has 2000", "--columns")),
    Bad("x.h5", _h5(a=X[0], t=["x", "y", "z"]), ("column 't' holds text",)),
    Bad("x.h5", _h5(a=X[0], t=np.bytes_(["x", "y", "z"])), ("column 't' holds text",)),
    Bad("x.h5", _h5(x=np.bytes_([["x"]])), ("dataset 'x' holds text",), {"array": "x"}),
    Bad("x.h5", _h5(x=RECORDS), ("dataset 'x': column 'v' holds arrays",)),
    Bad("x.h5", _h5(**INTEGERS), ("row 2: column 'id'", f"integer {-BIG}")),
    Bad("x.h5", _h5(x=np.zeros((3, 0))), ("dataset 'x' has no columns",)),
    Bad("x.h5", _h5(x=h5py.Empty("f8")), ("dataset 'x' has shape ()",), {"array": "x"}),
]

_ROOT = [
    Bad("x.root", _root(), ("x.root holds no tree",)),
    Bad("x.root", _root(t={"a": "f8"}, u={"a": "f8"}), ("2 trees (t, u)", "--array")),
    Bad("x.root", _root(t={"a": "f8"}), ("no tree called 'u', only t",), {"array": "u"}),
    Bad("x.root", _root(t={"a": "f8", "j": "var * float32"}), ("tree 't': column 'j' holds lists", "--columns")),
    Bad("x.root", _root(t={"a": "f8", "s": "string"}), ("tree 't': column 's' holds text",)),
    Bad("x.root", _root(t={"v": np.dtype(("f8", (3,)))}), ("column 'v' holds arrays",)),
]

BAD = [*_EVERY, *_TEXT, *_ARRAYS, *_ARROW, *_FOLDERS, *_HDF5, *_ROOT]
