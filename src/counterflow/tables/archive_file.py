"""The table in a .npz archive: one of its arrays, or all arrays of one axis as columns with names and types."""

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt

from .array_file import found_array
from .choice import FileColumn, Found
from .column_file import ColumnFile, Piece
from .number_type import instead_of_numbers, type_name
from .source import TableError
from .stored_array import ArrayHeader, damage_named, read_header, rows_of


def find_npz(path: Path, array: str | None = None) -> Found:
    """The only table of an archive, or the array called `array`.

    Raises:
        TableError: not an archive, several tables and no choice, or no array of that name.
    """
    headers = _headers(path)
    if not headers:
        raise TableError(f"{path} holds no arrays")
    if array is not None:
        if array not in headers:
            raise TableError(f"{path} holds no array called {array!r}, only {_listed(headers)}")
        chosen = {array: headers[array]}
    else:
        chosen = _only_table(path, headers)
    if all(_is_column(header) for header in chosen.values()):
        return _found_columns(path, chosen)
    ((name, header),) = chosen.items()
    return found_array(path, header, lambda: _opened(path, name))


def _headers(path: Path) -> dict[str, ArrayHeader]:
    headers = {}
    with damage_named(str(path)), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            with damage_named(f"{path}, array {name!r}"), archive.open(member) as stream:
                headers[name] = read_header(cast(BufferedIOBase, stream), f"{path}, array {name!r}", member.file_size)
    return headers


def _is_column(header: ArrayHeader) -> bool:
    return len(header.shape) == 1 and header.dtype.names is None


def _only_table(path: Path, headers: dict[str, ArrayHeader]) -> dict[str, ArrayHeader]:
    """The columns, or the one array that is a table; numbers without an axis say something of the others."""
    columns = {name: header for name, header in headers.items() if _is_column(header)}
    tables = {name: header for name, header in headers.items() if header.shape and name not in columns}
    if len(tables) + bool(columns) > 1:
        raise TableError(f"{path} holds {len(headers)} arrays ({_listed(headers)}): choose one with --array NAME")
    return columns or tables or dict(list(headers.items())[:1])


def _listed(headers: dict[str, ArrayHeader]) -> str:
    more = f" and {len(headers) - 20:,} more" if len(headers) > 20 else ""
    return ", ".join(list(headers)[:20]) + more


def _found_columns(path: Path, headers: dict[str, ArrayHeader]) -> Found:
    names = list(headers)
    columns = [
        FileColumn(name, type_name(header.dtype), None, instead_of_numbers(header.dtype))
        for name, header in headers.items()
    ]

    def opened(order: list[int]) -> ColumnFile:
        chosen = {names[i]: headers[names[i]] for i in order}
        return ColumnFile(path, columns, order, _reader(path, chosen), rows=_equal_length(path, chosen))

    return Found(str(path), columns, opened)


def _equal_length(path: Path, headers: dict[str, ArrayHeader]) -> int:
    (first, header), *others = headers.items()
    for name, other in others:
        if other.shape != header.shape:
            raise TableError(
                f"{path}: the arrays differ in length "
                f"({first!r} has {header.shape[0]}, {name!r} has {other.shape[0]}); "
                "choose columns of one length with --columns, or one array with --array"
            )
    return header.shape[0]


def _reader(path: Path, headers: dict[str, ArrayHeader]) -> Callable[[int], Iterator[Piece]]:
    def pieces(step: int) -> Iterator[Piece]:
        with damage_named(str(path)), zipfile.ZipFile(path) as archive, contextlib.ExitStack() as stack:
            streams = [stack.enter_context(archive.open(f"{name}.npy")) for name in headers]
            parts = [
                _column(header, cast(BufferedIOBase, stream), step)
                for header, stream in zip(headers.values(), streams, strict=True)
            ]
            yield from zip(*parts, strict=True)

    return pieces


def _column(header: ArrayHeader, stream: BufferedIOBase, step: int) -> Iterator[npt.NDArray[Any]]:
    with damage_named(header.label):
        yield from rows_of(stream, header, step)


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[BufferedIOBase]:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        yield cast(BufferedIOBase, stream)
