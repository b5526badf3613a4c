"""Comma-separated text as a source of rows: an optional line of names, then numbers."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .source import Block, Source, TableError

# Cells that stand for a missing value, in lower case.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


class CsvFile(Source):
    """Cells separated by commas; the first line holds names if none of its cells is a number.

    Blank lines are skipped. Empty cells and NA, N/A, NaN, null, None (in any case) are missing values.

    Raises:
        TableError: no line at all, a first line that mixes names and numbers, an unnamed column, a name given twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        first = next(self._lines(), None)
        if first is None:
            raise TableError(f"{path} holds no lines")
        line, cells = first
        self.names = self._header(line, cells)
        self.columns = len(cells)

    def blocks(self) -> Iterator[Block]:
        lines = self._rows()
        while block := list(itertools.islice(lines, self.block_rows)):
            yield self._numbers(block)

    def place(self, row: int) -> str:
        line, _ = next(itertools.islice(self._rows(), row, None))
        return f"line {line}"

    def _header(self, line: int, cells: list[str]) -> tuple[str, ...] | None:
        numeric = [_number(cell) is not None for cell in cells]
        if all(numeric) and not all(cell.strip() == "" for cell in cells):
            return None
        names = tuple(cell.strip() for cell in cells)
        where = f"{self.path}, line {line}"
        _check_separator(where, names)
        if "" in names:
            raise TableError(
                f"{where}: column {names.index('') + 1} of {len(names)} has no name "
                "(if it is a row index, write the file without it)"
            )
        if any(numeric):
            text, number = names[numeric.index(False)], names[numeric.index(True)]
            raise TableError(
                f"{where} is neither a line of names nor a line of numbers: it holds both {text!r} and {number!r}"
            )
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise TableError(f"{where}: two columns are called {twice[0]!r}")
        return names

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        return itertools.islice(self._lines(), 1 if self.names else 0, None)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """The cells of every line that is not blank, with the number of that line (from 1)."""
        reader = None
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                for cells in reader:
                    if cells:
                        yield reader.line_num, cells
        except UnicodeDecodeError as error:
            raise TableError(
                f"{self.path} is not text in UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x})"
            ) from None
        except csv.Error as error:
            line = reader.line_num if reader else 1
            raise TableError(f"{self.path}, line {line}: not comma-separated text ({error})") from None

    def _numbers(self, block: list[tuple[int, list[str]]]) -> Block:
        for line, cells in block:
            if len(cells) != self.columns:
                header = "the line of names" if self.names else "the first line"
                raise TableError(f"{self.path}, line {line}: {_counted(len(cells))} where {header} has {self.columns}")
        cells_in_order = itertools.chain.from_iterable(cells for _, cells in block)
        try:
            flat = np.fromiter(map(float, cells_in_order), dtype=np.float64, count=len(block) * self.columns)
            return flat.reshape(len(block), self.columns)
        except ValueError:  # some cell is not what float() reads: a missing value, or text
            return np.array([self._row(line, cells) for line, cells in block], dtype=np.float64)

    def _row(self, line: int, cells: list[str]) -> list[float]:
        row = [_number(cell) for cell in cells]
        for index, value in enumerate(row):
            if value is None:
                place = f"{self.path}, line {line}, {self.column(index)}"
                raise TableError(f"{place}: expected a number, got {_shortened(cells[index])!r}")
        return [value for value in row if value is not None]


def _number(cell: str) -> float | None:
    """The number in a cell, NaN where it is missing, None where it is text."""
    try:
        return float(cell)
    except ValueError:
        return float("nan") if cell.strip().lower() in MISSING else None


def _counted(cells: int) -> str:
    return f"{cells} cell{'s' * (cells != 1)}"


def _shortened(cell: str) -> str:
    return cell if len(cell) <= 40 else cell[:37] + "..."


def _check_separator(where: str, names: tuple[str, ...]) -> None:
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            raise TableError(f"{where}: cells seem to be separated by {word}, expected commas")
