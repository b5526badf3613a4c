"""What a file of rows offers to its readers, whatever its format, and the error that names the place in it."""

import contextlib
import os
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
    """Columns of numbers in a file, read in blocks of rows as often as asked.

    Attributes:
        path: The file, or the folder of files.
        names: Of the columns; None: the format or the file has no column names.
        columns: How many.
        types: NumPy's name of the type that each column has in the file; None where the format has no types. A number
            that NumPy has no type for (a decimal, a float of more than 64 bits) counts as float64.
        units: As the file says; None where it does not.
        rows: How many; None if only reading them can tell.
        numbers: Where the columns stand in the file, counted from 1.
        width: Columns that have to be read to get at these.
    """

    path: Path
    names: tuple[str, ...] | None
    columns: int
    types: tuple[str | None, ...]
    units: tuple[str | None, ...]
    rows: int | None
    numbers: tuple[int, ...]
    width: int

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """The rows in order, about BLOCK_CELLS cells at a time.

        Raises:
            TableError: text in a column of numbers, a row of another length, an integer beyond 2**53, a damaged file.
        """

    @abstractmethod
    def place(self, row: int) -> str:
        """Where row `row` (from 0) stands, in the user's words."""

    def column(self, index: int) -> str:
        """What column `index` (from 0) is called, in the user's words."""
        return column_in_words(self.names, index if self.names else self.numbers[index] - 1)

    @property
    def block_rows(self) -> int:
        """Rows of a block."""
        return max(1, BLOCK_CELLS // self.width)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses into a sentence.

    Raises:
        TableError: the file is gone, or may not be read.
    """
    try:
        yield
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({os.strerror(error.errno) if error.errno else error})") from None


def reason(error: Exception) -> str:
    """The first line of what a library says of a damaged file, shortened; the kind of error if it says nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 120 else lines[0][:117] + "..."


def column_in_words(names: tuple[str, ...] | None, index: int) -> str:
    """`column 'mass'`, or `column 3` (from 1) where columns have no names."""
    return f"column {names[index]!r}" if names else f"column {index + 1}"
