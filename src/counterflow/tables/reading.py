"""A whole table in memory, for `fit`: every block of a source, with or without its incomplete rows."""

import dataclasses
from pathlib import Path

import numpy as np

from .checks import Gaps
from .source import Block, Source


@dataclasses.dataclass(frozen=True)
class Table:
    """Finite numbers with the names of their columns, and what was left out to get there."""

    path: Path
    names: tuple[str, ...] | None
    values: Block  # (rows, columns)
    dropped: int = 0


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
    blocks = [block[gaps.whole(block)] for block in source.blocks()]
    if not drop_missing:
        gaps.refuse()
    values = np.concatenate(blocks) if blocks else np.empty((0, source.columns))
    return Table(source.path, source.names, values, gaps.rows)
