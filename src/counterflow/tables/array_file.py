"""The table in a .npy file: an array of two axes, or of records with a name and a type for each column."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import BufferedIOBase
from pathlib import Path

from .choice import FileColumn, Found
from .column_file import ColumnFile, Piece
from .number_type import instead_of_numbers, type_name
from .source import TableError
from .stored_array import ArrayHeader, damage_named, read_header, rows_of

Opened = Callable[[], AbstractContextManager[BufferedIOBase]]


def find_npy(path: Path) -> Found:
    """The array of a .npy file.

    Raises:
        TableError: not a NumPy array, one that is cut short, or not a table of numbers.
    """
    with path.open("rb") as stream:
        header = read_header(stream, str(path), path.stat().st_size)
    return found_array(path, header, lambda: path.open("rb"))


def found_array(path: Path, header: ArrayHeader, opened: Opened) -> Found:
    """One array as a table: two axes are rows and columns, a record is a row.

    Raises:
        TableError: not a table of numbers.
    """
    if header.dtype.names is not None and len(header.shape) == 1:
        return _found_records(path, header, opened)
    _check_numbers(header)
    rows, count = header.shape
    columns = [FileColumn(None, type_name(header.dtype))] * count

    def read(order: list[int]) -> Callable[[int], Iterator[Piece]]:
        def pieces(step: int) -> Iterator[Piece]:
            with damage_named(header.label), opened() as stream:
                for values in rows_of(stream, header, step, None if order == list(range(count)) else order):
                    yield list(values.T)

        return pieces

    return Found(
        header.label,
        columns,
        lambda order: ColumnFile(
            path, columns, order, read(order), rows=rows, width=len(order) if header.fortran else count
        ),
    )


def _found_records(path: Path, header: ArrayHeader, opened: Opened) -> Found:
    names, dtype = header.dtype.names or (), header.dtype
    columns = [FileColumn(name, type_name(dtype[name]), None, instead_of_numbers(dtype[name])) for name in names]

    def read(order: list[int]) -> Callable[[int], Iterator[Piece]]:
        def pieces(step: int) -> Iterator[Piece]:
            with damage_named(header.label), opened() as stream:
                for values in rows_of(stream, header, step):
                    yield [values[names[i]] for i in order]

        return pieces

    return Found(
        header.label,
        columns,
        lambda order: ColumnFile(path, columns, order, read(order), rows=header.shape[0], width=len(names)),
    )


def _check_numbers(header: ArrayHeader) -> None:
    label, shape = header.label, header.shape
    instead = instead_of_numbers(header.dtype)
    if instead:
        raise TableError(f"{label} holds {instead} (dtype {header.dtype}), expected integers or floats")
    if len(shape) != 2:
        advice = {1: "; a single column is x[:, None]"}.get(len(shape), "; flatten each row: x.reshape(len(x), -1)")
        advice = advice if shape else ""
        raise TableError(f"{label} has shape {shape}, expected two axes, rows and columns{advice}")
    if shape[1] == 0:
        raise TableError(f"{label} has shape {shape}: no columns")
