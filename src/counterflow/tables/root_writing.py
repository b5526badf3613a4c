"""Columns to ROOT: a branch for each in one tree."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .column_file import Piece
from .extra import optional
from .layout import Layout, regrouped
from .source import TableError

TREE = "tree"
BASKET_CELLS = 2**20  # of all branches, which are collected in memory


def write_root(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """A tree called `tree`; a branch has a name and a type, but no unit.

    Raises:
        TableError: a type that ROOT does not have.
    """
    uproot = optional("uproot", layout.path, "writing ROOT")
    for i, column in enumerate(layout.columns):
        if column.dtype == "float16":
            raise TableError(f"{layout.words(i)} is float16, a type that ROOT does not have")
    names = layout.needed_names
    types = {name: np.dtype(column.dtype) for name, column in zip(names, layout.columns, strict=True)}
    # The file is handed over open, since a path may not hold a colon.
    with path.open("r+b") as file, uproot.recreate(file) as root:
        tree = root.mktree(TREE, types)
        for piece in regrouped(pieces, max(1, BASKET_CELLS // len(names))):
            tree.extend(dict(zip(names, piece, strict=True)))
