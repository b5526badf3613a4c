"""What a file of rows offers to its readers, whatever its format, and the error that names the place in it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.float64]  # (rows, columns); a missing cell is NaN

BLOCK_CELLS = 2**18  # cells read at a time: 2 MiB of float64


class TableError(ValueError):
    """One sentence that names the file and the place in it."""


class MissingValues(TableError):
    """Some cells are empty, NaN or infinite: what to do about it is the caller's choice."""


class Source(ABC):
    """A file of numbers in rows and columns, read in blocks as often as asked."""

    path: Path
    names: tuple[str, ...] | None  # None: the format or the file has no column names
    columns: int

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """The rows in order, about BLOCK_CELLS cells at a time.

        Raises:
            TableError: text in a column of numbers, a row of another length, a damaged file.
        """

    @abstractmethod
    def place(self, row: int) -> str:
        """Where row `row` (from 0) stands, in the user's words."""

    def column(self, index: int) -> str:
        """What column `index` (from 0) is called, in the user's words."""
        return column_in_words(self.names, index)

    @property
    def block_rows(self) -> int:
        """Rows of a block."""
        return max(1, BLOCK_CELLS // self.columns)


def column_in_words(names: tuple[str, ...] | None, index: int) -> str:
    """`column 'mass'`, or `column 3` (from 1) where columns have no names."""
    return f"column {names[index]!r}" if names else f"column {index + 1}"
