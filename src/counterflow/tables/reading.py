"""A whole table in memory, for `fit`: every block of a source, with or without its incomplete rows."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .checks import Gaps
from .source import Block, Source


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

    Cost: 8 bytes a cell, twice while the blocks are joined.
    """
    gaps = Gaps(source)
    blocks, kept = [np.empty((0, source.columns))], [np.empty(0, np.bool_)]
    for block in source.blocks():
        kept.append(gaps.whole(block))
        blocks.append(block[kept[-1]])
    if not drop_missing:
        gaps.refuse()
    return Table(source, np.concatenate(blocks), np.flatnonzero(np.concatenate(kept)), gaps.rows)
