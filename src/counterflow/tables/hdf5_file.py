"""The table in an HDF5 file: the one-dimensional datasets of a group, or one dataset of two axes or of records."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .choice import FileColumn, Found
from .column_file import ColumnFile, Piece
from .extra import optional
from .number_type import instead_of_numbers, type_name
from .source import TableError, reason

# Bytes of decompressed chunks that HDF5 keeps for all columns that are read together, and at least for each.
CACHED, LEAST_CACHED = 2**26, 2**20


@dataclasses.dataclass(frozen=True)
class _Dataset:
    """What is known of a dataset without reading it.

    Attributes:
        name: Its path in the file, without the first slash.
        shape, dtype: Of the array.
        unit: Its attribute `units` or `unit`.
        instead: What it holds instead of numbers; None for records, whose fields are looked at one by one.
        chunk: Rows that are compressed together; 1 if none are.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    unit: str | None
    instead: str | None
    chunk: int

    @property
    def is_column(self) -> bool:
        return len(self.shape) == 1 and not self.dtype.names

    @property
    def is_table(self) -> bool:
        return len(self.shape) == 1 if self.dtype.names else len(self.shape) == 2 and self.instead is None

    @property
    def group(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def title(self) -> str:
        return self.name.rpartition("/")[2]


def find_hdf5(path: Path, array: str | None = None) -> Found:
    """The only table of a file, or the group or dataset called `array`.

    Raises:
        TableError: not HDF5, damaged, several tables and no choice, or nothing of that name.
    """
    h5py = optional("h5py", path, "reading HDF5")
    with _opened(h5py, path) as file:
        datasets = _datasets(h5py, file)
        tables = [one.name for one in datasets.values() if one.is_table]
        tables += dict.fromkeys(one.group for one in datasets.values() if one.is_column and one.instead is None)
        name = _only(path, tables) if array is None else array.strip("/")
        if name not in file and name:
            raise TableError(f"{path} holds no group or dataset called {array!r}, only {_listed(tables)}")
        thing = file[name or "/"]
        if isinstance(thing, h5py.Group):
            # In the order of the group itself, which may be that of creation.
            inside = [f"{name}/{title}".strip("/") for title in thing]
            columns = [datasets[full] for full in inside if full in datasets and datasets[full].is_column]
            return _found_columns(h5py, path, name or "/", columns)
        dataset = _described(h5py, name, thing)  # not looked up: it may be a link, which was not visited
    if dataset.is_column:
        return _found_columns(h5py, path, dataset.group or "/", [dataset])
    if dataset.is_table and dataset.dtype.names:
        return _found_records(h5py, path, dataset)
    return _found_matrix(h5py, path, dataset)


@contextlib.contextmanager
def _opened(h5py: Any, path: Path, cached: int = LEAST_CACHED) -> Iterator[Any]:
    try:
        with h5py.File(path, "r", rdcc_nbytes=cached) as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        if isinstance(error, OSError) and error.errno:  # what the operating system refused
            raise
        raise TableError(f"{path} is damaged, cut short or cannot be read as HDF5 ({reason(error)})") from None


def _datasets(h5py: Any, file: Any) -> dict[str, _Dataset]:
    """All datasets that are not empty by type, by their paths."""
    datasets = {}

    def visit(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.shape is not None:
            datasets[name] = _described(h5py, name, thing)

    file.visititems(visit)
    return datasets


def _described(h5py: Any, name: str, thing: Any) -> _Dataset:
    chunks, dtype = thing.chunks, thing.dtype
    instead = None if dtype.names else _instead(h5py, dtype)
    return _Dataset(name, thing.shape or (), dtype, _unit(thing.attrs), instead, chunks[0] if chunks else 1)


def _unit(attributes: Any) -> str | None:
    unit = attributes.get("units", attributes.get("unit")) if len(attributes) else None
    if isinstance(unit, bytes):
        return unit.decode("utf-8", "replace")
    return unit if isinstance(unit, str) else None


def _instead(h5py: Any, dtype: np.dtype[Any]) -> str | None:
    if dtype.kind == "O":
        if h5py.check_string_dtype(dtype) is not None:
            return "text"
        return "lists" if h5py.check_vlen_dtype(dtype) is not None else "references"
    return instead_of_numbers(dtype)


def _only(path: Path, tables: list[str]) -> str:
    if not tables:
        raise TableError(f"{path} holds no table: no dataset of numbers with one or two axes, and none of records")
    if len(tables) > 1:
        raise TableError(f"{path} holds {len(tables)} tables ({_listed(tables)}): choose one with --array NAME")
    return tables[0]


def _listed(tables: list[str]) -> str:
    more = f" and {len(tables) - 20:,} more" if len(tables) > 20 else ""
    return ", ".join(name or "/" for name in tables[:20]) + more


def _found_columns(h5py: Any, path: Path, group: str, datasets: list[_Dataset]) -> Found:
    label = str(path) if group == "/" else f"{path}, group {group!r}"
    if not datasets:
        raise TableError(f"{label} holds no dataset of one axis that could be a column")
    columns = [
        FileColumn(one.title, None if one.instead else type_name(one.dtype), one.unit, one.instead) for one in datasets
    ]

    def opened(order: list[int]) -> ColumnFile:
        chosen = [datasets[i] for i in order]
        first = chosen[0]
        for one in chosen:
            if one.shape != first.shape:
                raise TableError(
                    f"{label}: the datasets differ in length ({first.title!r} has {first.shape[0]}, "
                    f"{one.title!r} has {one.shape[0]}); choose columns of one length with --columns"
                )
        return ColumnFile(path, columns, order, _column_reader(h5py, path, chosen), rows=first.shape[0])

    return Found(label, columns, opened)


def _column_reader(h5py: Any, path: Path, datasets: list[_Dataset]) -> Callable[[int], Iterator[Piece]]:
    def pieces(step: int) -> Iterator[Piece]:
        # A chunk is decompressed whole; with pieces at least as long, that happens to each at most twice.
        step = max(step, *(one.chunk for one in datasets))
        with _opened(h5py, path, max(LEAST_CACHED, CACHED // len(datasets))) as file:
            columns = [file[one.name] for one in datasets]
            for start in range(0, datasets[0].shape[0], step):
                yield [column[start : start + step] for column in columns]

    return pieces


def _found_records(h5py: Any, path: Path, dataset: _Dataset) -> Found:
    dtype, rows = dataset.dtype, dataset.shape[0]
    names = list(dtype.names or ())
    instead = [_instead(h5py, dtype[name]) for name in names]
    columns = [
        FileColumn(name, None if other else type_name(dtype[name]), None, other)
        for name, other in zip(names, instead, strict=True)
    ]

    def opened(order: list[int]) -> ColumnFile:
        chosen = [names[i] for i in order]

        def pieces(step: int) -> Iterator[Piece]:
            with _opened(h5py, path, CACHED) as file:
                for start in range(0, rows, step):
                    values = file[dataset.name].fields(chosen)[start : start + step]
                    yield [values[name] for name in chosen]

        return ColumnFile(path, columns, order, pieces, rows=rows, width=len(names))

    return Found(f"{path}, dataset {dataset.name!r}", columns, opened)


def _found_matrix(h5py: Any, path: Path, dataset: _Dataset) -> Found:
    label, shape, dtype = f"{path}, dataset {dataset.name!r}", dataset.shape, dataset.dtype
    instead = "records" if dtype.names else dataset.instead
    if instead is not None:
        raise TableError(f"{label} holds {instead} (dtype {dtype}), expected integers or floats")
    if len(shape) != 2:
        raise TableError(f"{label} has shape {shape}, expected two axes, rows and columns")
    rows, count = shape
    columns = [FileColumn(None, type_name(dtype))] * count

    def opened(order: list[int]) -> ColumnFile:
        def pieces(step: int) -> Iterator[Piece]:
            with _opened(h5py, path, CACHED) as file:
                for start in range(0, rows, step):
                    values: npt.NDArray[Any] = file[dataset.name][start : start + step]
                    yield [values[:, i] for i in order]

        return ColumnFile(path, columns, order, pieces, rows=rows, width=count)

    return Found(label, columns, opened)
