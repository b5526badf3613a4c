"""Columns to HDF5: a dataset for each, in their order, with its unit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .column_file import Piece
from .column_type import common_type
from .extra import optional
from .layout import Layout
from .source import TableError


def write_hdf5(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """Datasets of one axis with an attribute `units`; without names one dataset of two axes, `x`.

    Raises:
        TableError: a name that HDF5 would take for a path.
    """
    h5py = optional("h5py", layout.path, "writing HDF5")
    for i, name in enumerate(layout.names or ()):
        if "/" in name or "\0" in name or name in ("", "."):
            raise TableError(f"{layout.words(i)} has a name that HDF5 cannot keep (it would be a path)")
    # In the order of creation, not of the alphabet.
    with h5py.File(path, "w", track_order=True) as file:
        if layout.names is None:
            matrix = file.create_dataset("x", layout.shape, common_type(layout.columns))
            for start, piece in _placed(pieces):
                block = np.stack([column.astype(matrix.dtype) for column in piece], axis=1)
                matrix[start : start + len(block)] = block.reshape(len(block), *layout.shape[1:])
            return
        datasets = []
        for name, column in zip(layout.names, layout.columns, strict=True):
            datasets.append(file.create_dataset(name, (layout.rows,), np.dtype(column.dtype)))
            if column.unit is not None:
                datasets[-1].attrs["units"] = column.unit
        for start, piece in _placed(pieces):
            for dataset, values in zip(datasets, piece, strict=True):
                dataset[start : start + len(values)] = values


def _placed(pieces: Iterator[Piece]) -> Iterator[tuple[int, Piece]]:
    start = 0
    for piece in pieces:
        yield start, piece
        start += len(piece[0])
