"""One NumPy array, alone (.npy) or in an archive (.npz), as a source of rows that is read in order."""

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np

from .source import Block, Source, TableError

_NOT_NUMBERS = {"O": "Python objects", "S": "text", "U": "text", "c": "complex numbers", "V": "records"}
_NOT_NUMBERS |= {"M": "dates", "m": "time differences"}


class ArrayFile(Source):
    """A two-dimensional array of integers or floats; rows are read in order, without loading the file.

    Raises:
        TableError: not a NumPy array, one that is cut short, or not a table of numbers.

    Cost: memory of a block; of the whole array if it was saved in Fortran order.
    """

    def __init__(self, path: Path, label: str, size: int, opened: Callable[[], BufferedIOBase]) -> None:
        self.path, self.label, self.names = path, label, None
        self._opened = opened
        with _damage_named(label), opened() as stream:
            self.shape, self._fortran, self._dtype = _header(stream, label)
            held = size - stream.tell()
        _check_numbers(self.shape, self._dtype, label)
        self.rows, self.columns = self.shape
        promised = self.rows * self.columns * self._dtype.itemsize
        if held < promised:
            whole = held // (self.columns * self._dtype.itemsize)
            raise TableError(f"{label} is cut short: its header promises {self.rows} rows, only {whole} are there")

    def blocks(self) -> Iterator[Block]:
        with _damage_named(self.label), self._opened() as stream:
            _header(stream, self.label)
            if self._fortran:
                flat = np.frombuffer(stream.read(), self._dtype, count=self.rows * self.columns)
                values = flat.reshape(self.columns, self.rows).T
                for start in range(0, self.rows, self.block_rows):
                    yield values[start : start + self.block_rows].astype(np.float64)
                return
            for start in range(0, self.rows, self.block_rows):
                rows = min(self.block_rows, self.rows - start)
                held = stream.read(rows * self.columns * self._dtype.itemsize)
                yield np.frombuffer(held, self._dtype).reshape(rows, self.columns).astype(np.float64)

    def place(self, row: int) -> str:
        return f"row {row + 1}"


def open_npy(path: Path) -> ArrayFile:
    """The array of a .npy file."""
    return ArrayFile(path, str(path), path.stat().st_size, lambda: path.open("rb"))


def open_npz(path: Path, array: str | None = None) -> ArrayFile:
    """The only array of a .npz file, or the one called `array`.

    Raises:
        TableError: not an archive, several arrays and no choice, or no array of that name.
    """
    label = str(path)
    with _damage_named(label), zipfile.ZipFile(path) as archive:
        sizes = {m.filename.removesuffix(".npy"): m.file_size for m in archive.infolist()}
    listed = ", ".join(sizes)
    if not sizes:
        raise TableError(f"{path} holds no arrays")
    if array is None and len(sizes) > 1:
        raise TableError(f"{path} holds {len(sizes)} arrays ({listed}): choose one with --array NAME")
    name = next(iter(sizes)) if array is None else array
    if name not in sizes:
        raise TableError(f"{path} holds no array called {name!r}, only {listed}")
    return ArrayFile(path, f"{path}, array {name!r}", sizes[name], lambda: _open_member(path, f"{name}.npy"))


def _open_member(path: Path, member: str) -> BufferedIOBase:
    with zipfile.ZipFile(path) as archive:
        # The member keeps the file open until it is closed itself.
        return cast(BufferedIOBase, archive.open(member))


@contextlib.contextmanager
def _damage_named(label: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise TableError(f"{label} is damaged, cut short or not an archive of arrays ({error})") from None


def _header(stream: BufferedIOBase, label: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
        return np.lib.format.read_array_header_2_0(stream)
    except ValueError:
        raise TableError(f"{label} does not begin as a NumPy array does") from None


def _check_numbers(shape: tuple[int, ...], dtype: np.dtype, label: str) -> None:
    if dtype.kind in _NOT_NUMBERS:
        raise TableError(f"{label} holds {_NOT_NUMBERS[dtype.kind]} (dtype {dtype}), expected integers or floats")
    if len(shape) != 2:
        advice = {1: "; a single column is x[:, None]"}.get(len(shape), "; flatten each row: x.reshape(len(x), -1)")
        advice = advice if shape else ""
        raise TableError(f"{label} has shape {shape}, expected two axes, rows and columns{advice}")
    if shape[1] == 0:
        raise TableError(f"{label} has shape {shape}: no columns")
