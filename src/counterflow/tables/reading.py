"""A whole table in memory, for `fit`: every block of a source, with or without its incomplete rows."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .checks import Gaps
from .source import Block, Source

FIRST_CELLS = 2**27  # 1 GiB, of which only what is filled is taken from the machine


@dataclasses.dataclass(frozen=True)
class Table:
    """Finite numbers with the names of their columns, and what was left out to get there."""

    source: Source
    values: Block  # (rows, columns)
    rows: npt.NDArray[np.int64]  # which rows of the source they are
    dropped: int = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns."""
        return self.source.names

    def place(self, row: int) -> str:
        """Where row `row` of `values` stands in the file, in the user's words."""
        return self.source.place(int(self.rows[row]))


def read_table(source: Source, *, drop_missing: bool = False) -> Table:
    """All rows of a source.

    Args:
        source: From `open_table`.
        drop_missing: Leave out rows with missing or infinite cells, and count them, rather than refuse.

    Raises:
        MissingValues: there are such rows, and drop_missing is off.
        TableError: from the source.

    Cost: 8 bytes a cell; up to twice that for a moment where the file does not say how many rows
        it has, or has more than FIRST_CELLS cells.
    """
    gaps, kept = Gaps(source), [np.empty(0, np.bool_)]
    # Not more than FIRST_CELLS for a promise: a damaged file may promise any number of rows.
    values, filled = np.empty((min(source.rows or 0, FIRST_CELLS // source.columns), source.columns)), 0
    for block in source.blocks():
        kept.append(gaps.whole(block))
        rows = block[kept[-1]]
        if filled + len(rows) > len(values):
            values = _with_room(values[:filled], filled + len(rows))
        values[filled : filled + len(rows)] = rows
        filled += len(rows)
    if not drop_missing:
        gaps.refuse()
    return Table(source, values[:filled], np.flatnonzero(np.concatenate(kept)), gaps.rows)


def _with_room(values: Block, rows: int) -> Block:
    """The same values in an array of at least twice as many rows, so that all copies together cost as much as one."""
    larger = np.empty((max(rows, 2 * len(values)), values.shape[1]))
    larger[: len(values)] = values
    return larger
