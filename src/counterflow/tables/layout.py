"""What a file to be written is made of: its columns and its shape."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .column_file import Piece
from .column_type import ColumnType
from .source import column_in_words


@dataclasses.dataclass(frozen=True)
class Layout:
    """A table before its numbers.

    Attributes:
        path: Where it will be; for sentences.
        columns: In order.
        shape: (rows, columns), or (rows,) for an array of one axis.

    Raises:
        ValueError: no columns, names for some, or one name twice.
    """

    path: Path
    columns: tuple[ColumnType, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns if column.name is not None]
        if not self.columns or len(names) not in (0, len(self.columns)):
            raise ValueError(f"expected names for all of {len(self.columns)} columns or for none, got {len(names)}")
        if len(set(names)) < len(names):
            twice = next(name for i, name in enumerate(names) if name in names[:i])
            raise ValueError(f"two columns are called {twice!r}")

    @property
    def rows(self) -> int:
        """How many."""
        return self.shape[0]

    @functools.cached_property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns."""
        return tuple(column.name for column in self.columns if column.name is not None) or None

    @property
    def needed_names(self) -> tuple[str, ...]:
        """For a format in which every column has a name: `column_1`, ... where they have none."""
        return self.names or tuple(f"column_{i + 1}" for i in range(len(self.columns)))

    def words(self, index: int) -> str:
        """`samples.csv: column 'mass'`."""
        return f"{self.path}: {column_in_words(self.names, index)}"


def regrouped(pieces: Iterator[Piece], rows: int) -> Iterator[Piece]:
    """The same rows in pieces of at least `rows`, but for the last."""
    held, count = list[Piece](), 0
    for piece in pieces:
        held.append(piece)
        count += len(piece[0])
        if count >= rows:
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(pieces: list[Piece]) -> Piece:
    return pieces[0] if len(pieces) == 1 else [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
