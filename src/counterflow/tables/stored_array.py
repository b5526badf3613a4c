"""One NumPy array in a file or in an archive: its header, and its rows read in order."""

import contextlib
import dataclasses
import math
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .source import TableError, reason

# NumPy's own bound is 10,000 bytes; a record of 100,000 columns takes 3 MB.
LONGEST_HEADER = 2**26


@dataclasses.dataclass(frozen=True)
class ArrayHeader:
    """What a stored array says of itself.

    Attributes:
        label: What sentences about it begin with.
        shape, fortran, dtype: Of the array; fortran: the first index varies fastest.
        start: Bytes before the first number.
    """

    label: str
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int


@contextlib.contextmanager
def damage_named(label: str) -> Iterator[None]:
    """Turns what a damaged archive raises into a sentence.

    Raises:
        TableError: the archive is damaged, cut short, encrypted, or none.
    """
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise TableError(f"{label} is damaged, cut short or not an archive of arrays ({reason(error)})") from None


def read_header(stream: BufferedIOBase, label: str, size: int) -> ArrayHeader:
    """The header at the beginning of a stream of `size` bytes.

    Raises:
        TableError: there is none, or fewer bytes follow than it promises.
    """
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=LONGEST_HEADER)
    except (ValueError, SyntaxError, tokenize.TokenError):  # what NumPy raises for a header that is no literal
        raise TableError(f"{label} does not begin as a NumPy array does") from None
    if version == (3, 0) and dtype.names:
        # Version 3 is version 2 in UTF-8, which was read as Latin-1; every byte is a character there.
        dtype.names = tuple(name.encode("latin-1").decode("utf-8") for name in dtype.names)
    header = ArrayHeader(label, shape, fortran and len(shape) > 1, dtype, stream.tell())
    _check_whole(header, size)
    return header


def _check_whole(header: ArrayHeader, size: int) -> None:
    if header.dtype.hasobject or not header.shape:
        return
    row = header.dtype.itemsize * math.prod(header.shape[1:])
    held = size - header.start
    if held < row * header.shape[0]:
        promised = f"its header promises {header.shape[0]} rows"
        raise TableError(f"{header.label} is cut short: {promised}, only {held // row} are there")


def rows_of(
    stream: BufferedIOBase, header: ArrayHeader, step: int, order: list[int] | None = None
) -> Iterator[npt.NDArray[Any]]:
    """Up to `step` rows at a time of the array in a stream; of two axes, the columns of `order`.

    Cost: memory of `step` rows; for an array in Fortran order in an archive a temporary copy on disk.
    """
    rows = header.shape[0]
    if not header.fortran:
        stream.seek(header.start)
        width = math.prod(header.shape[1:])
        for start in range(0, rows, step):
            count = min(step, rows - start)
            values = _numbers(stream, header, count * width).reshape(count, *header.shape[1:])
            yield values if order is None else values[:, order]
        return
    columns = range(header.shape[1]) if order is None else order
    with _seekable(stream) as file:
        for start in range(0, rows, step):
            count = min(step, rows - start)
            parts = []
            for column in columns:
                file.seek(header.start + (column * rows + start) * header.dtype.itemsize)
                parts.append(_numbers(file, header, count))
            yield np.stack(parts, axis=1)


def _numbers(stream: BufferedIOBase, header: ArrayHeader, count: int) -> npt.NDArray[Any]:
    held = stream.read(count * header.dtype.itemsize)
    if len(held) < count * header.dtype.itemsize:
        raise TableError(f"{header.label} is cut short: it ends before its last row")
    return np.frombuffer(held, header.dtype, count)


@contextlib.contextmanager
def _seekable(stream: BufferedIOBase) -> Iterator[BufferedIOBase]:
    """The stream itself, or a copy on disk of a member of an archive, in which a seek backwards would start afresh."""
    if not isinstance(stream, zipfile.ZipExtFile):
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        stream.seek(0)
        shutil.copyfileobj(stream, copy)
        yield cast(BufferedIOBase, copy)
