"""Columns to NumPy's formats: one array, or in an archive an array per column."""

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from .column_file import Piece
from .column_type import common_type
from .layout import Layout

COPIED = 2**20  # bytes


def write_npy(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """One array of the type that holds all columns."""
    with path.open("wb") as file:
        _write_array(file.write, layout, pieces)


def write_npz(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """An array per column if they have names, else one array, `x`."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        if layout.names is not None:
            _write_members(archive, path, layout, pieces)
            return
        with archive.open("x.npy", "w", force_zip64=True) as file:
            _write_array(file.write, layout, pieces)


def _write_array(write: Callable[[bytes], object], layout: Layout, pieces: Iterator[Piece]) -> None:
    dtype = common_type(layout.columns).newbyteorder("<")
    write(_header(dtype, layout.shape))
    for piece in pieces:
        write(np.stack([column.astype(dtype) for column in piece], axis=1).tobytes())


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def _write_members(archive: zipfile.ZipFile, path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """Rows arrive before columns are complete, so columns are collected in a file beside: one part of it for each."""
    dtypes = [np.dtype(column.dtype).newbyteorder("<") for column in layout.columns]
    ends = np.cumsum([dtype.itemsize * layout.rows for dtype in dtypes]).tolist()
    starts = [0, *ends[:-1]]
    with tempfile.TemporaryFile(dir=path.parent) as beside:
        row = 0
        for piece in pieces:
            for start, dtype, column in zip(starts, dtypes, piece, strict=True):
                beside.seek(start + row * dtype.itemsize)
                beside.write(column.astype(dtype).tobytes())
            row += len(piece[0])
        for name, start, end, dtype in zip(layout.needed_names, starts, ends, dtypes, strict=True):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(_header(dtype, (layout.rows,)))
                beside.seek(start)
                _copy(beside, file.write, end - start)


def _copy(source: IO[bytes], write: Callable[[bytes], object], size: int) -> None:
    for start in range(0, size, COPIED):
        write(source.read(min(COPIED, size - start)))
