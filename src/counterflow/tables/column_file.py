"""Typed columns that some format hands out piece by piece, as a source of rows."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .choice import CHOOSE, FileColumn
from .number_type import first_beyond
from .source import Block, Source, TableError, reading

# The same rows of every chosen column: numbers of any type; a masked array where some are missing.
Piece = Sequence[npt.NDArray[Any]]


class ColumnFile(Source):
    """Chosen columns of a file.

    Args:
        path: The file.
        columns: All that it has.
        order: The places of those that were chosen, from 0.
        pieces: Reads them, given how many rows at a time; a piece may be of fewer or of more rows.
        rows: How many the file promises, None if it does not say.
        width: Columns that are read to get at these; as many as were chosen if not given.
        place: From a row (from 0) to words; `row 3` if not given.

    Cost: memory of a piece and a block.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[FileColumn],
        order: Sequence[int],
        pieces: Callable[[int], Iterator[Piece]],
        *,
        rows: int | None,
        width: int | None = None,
        place: Callable[[int], str] | None = None,
    ) -> None:
        chosen = [columns[i] for i in order]
        names = tuple(column.name for column in chosen if column.name is not None)
        self.path, self.names, self.columns, self.rows = path, names or None, len(chosen), rows
        self.types = tuple(column.type for column in chosen)
        self.units = tuple(column.unit for column in chosen)
        self.numbers = tuple(i + 1 for i in order)
        self.width = len(chosen) if width is None else width
        self._pieces, self._place = pieces, place

    def blocks(self) -> Iterator[Block]:
        start = 0
        with reading(self.path):
            for piece in self._pieces(self.block_rows):
                self._check_even(piece)
                for first in range(0, len(piece[0]), self.block_rows):
                    yield self._block([column[first : first + self.block_rows] for column in piece], start + first)
                start += len(piece[0])
        if self.rows is not None and start != self.rows:
            raise TableError(f"{self.path} is damaged or cut short: it promises {self.rows} rows, {start} are there")

    def place(self, row: int) -> str:
        return f"row {row + 1}" if self._place is None else self._place(row)

    def _check_even(self, piece: Piece) -> None:
        for i, column in enumerate(piece):
            if len(column) != len(piece[0]):
                where = f"{self.column(i)} has another number of rows than {self.column(0)}"
                raise TableError(f"{self.path} is damaged or cut short: {where}")

    def _block(self, piece: Piece, start: int) -> Block:
        block = np.empty((len(piece[0]), len(piece)), np.float64)
        for i, column in enumerate(piece):
            values = np.ma.getdata(column)
            beyond = first_beyond(values)
            if beyond is not None:
                raise TableError(
                    f"{self.path}, {self.place(start + beyond)}: {self.column(i)} holds the integer {values[beyond]}, "
                    f"and double precision cannot hold every integer beyond 2**53; {CHOOSE}"
                )
            block[:, i] = values
            if isinstance(column, np.ma.MaskedArray):
                block[np.ma.getmaskarray(column), i] = np.nan
        return block
