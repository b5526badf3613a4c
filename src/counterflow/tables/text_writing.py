"""Columns to delimited text."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .column_file import Piece
from .layout import Layout

# As many significant digits as give the number back; of a double, the fewest that do.
_FORMATS = {"float16": "%.5g", "float32": "%.9g", "float64": "%r"}


def write_csv(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """A line of names if there are any, then a line per row, with commas."""
    _write(path, layout, pieces, ",")


def write_tsv(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """The same with tabs."""
    _write(path, layout, pieces, "\t")


def _write(path: Path, layout: Layout, pieces: Iterator[Piece], delimiter: str) -> None:
    line = delimiter.join(_FORMATS.get(column.dtype, "%d") for column in layout.columns) + "\n"
    with path.open("w", encoding="utf-8", newline="") as file:
        if layout.names is not None:
            csv.writer(file, delimiter=delimiter, lineterminator="\n").writerow(layout.names)
        for piece in pieces:
            # Doubles hold every number of every type here: they came from doubles.
            block = np.stack([column.astype(np.float64) for column in piece], axis=1)
            file.write((line * len(block)) % tuple(block.ravel().tolist()))
