"""Delimited text as a source of rows: an optional line of names, then numbers."""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .choice import CHOOSE, FileColumn, Found
from .csv_numbers import BOOLEANS, MISSING, parsed
from .delimited_text import DelimitedText, Row
from .number_type import LARGEST_WHOLE
from .source import Block, Source, TableError

_IN_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class CsvFile(Source):
    """Chosen columns of delimited text.

    Blank lines are skipped. Empty cells and NA, N/A, NaN, null, None (in any case) are missing values. In a column
    without numbers true and false (in any case) are 1 and 0. A compiled parser reads most of the text; a chunk that it
    does not take is read cell by cell, which finds the words for it.

    Args:
        text: The file.
        names: Of all its columns, None if its first row holds numbers.
        order: Places of the chosen columns, from 0.
        width: How many the file has.
        body: Bytes and lines before the first row of numbers.

    Cost: memory of a chunk of text.
    """

    def __init__(
        self,
        text: DelimitedText,
        names: tuple[str, ...] | None,
        order: Sequence[int],
        *,
        width: int,
        body: tuple[int, int],
    ) -> None:
        self.path, self.width, self.columns, self.rows = text.path, width, len(order), None
        self.names = tuple(names[i] for i in order) if names else None
        self.types = self.units = (None,) * len(order)
        self.numbers = tuple(i + 1 for i in order)
        self._text, self._order, self._body, self._named = text, list(order), body, names is not None

    def blocks(self) -> Iterator[Block]:
        start, line = self._body
        held = _Held([None] * self.columns)
        with self._text.opened(start) as file:
            while chunk := self._text.chunk(file, line):
                numbers = parsed(chunk, self.width, self._order, self._text.delimiter, held.booleans)
                if numbers is None:
                    rows, line = self._text.rows(chunk, file, line)
                    numbers = self._looked_at(chunk, rows, held)
                else:
                    line += chunk.count(b"\n")
                held.see(numbers)
                for first in range(0, len(numbers), self.block_rows):
                    yield numbers[first : first + self.block_rows]

    def place(self, row: int) -> str:
        start, line = self._body
        with self._text.opened(start) as file:
            while chunk := self._text.chunk(file, line):
                if b'"' in chunk:
                    rows, line = self._text.rows(chunk, file, line)
                    ends = [one.line for one in rows]
                else:
                    lines = chunk.splitlines()
                    ends = [line + 1 + i for i, held in enumerate(lines) if held]
                    line += len(lines)
                if row < len(ends):
                    return f"line {ends[row]}"
                row -= len(ends)
        raise IndexError(row)

    def _looked_at(self, chunk: bytes, rows: list[Row], held: "_Held") -> Block:
        """The numbers of a chunk that the compiled parser does not take, or would if it knew where booleans are."""
        known = held.booleans
        for row in rows:
            if None not in held.kinds:
                break
            if len(row.cells) == self.width:
                held.learn([row.cells[i] for i in self._order])
        numbers = None
        if held.booleans != known and b'"' not in chunk:  # with quotes a cell may go on behind the chunk
            numbers = parsed(chunk, self.width, self._order, self._text.delimiter, held.booleans)
        return self._numbers(rows, held) if numbers is None else numbers

    def _numbers(self, rows: list[Row], held: "_Held") -> Block:
        everything = self._order == list(range(self.width))
        cells = (row.cells if everything else [row.cells[i] for i in self._order] for row in rows)
        try:
            if held.booleans or any(len(row.cells) != self.width for row in rows):
                raise ValueError
            flat = map(float, itertools.chain.from_iterable(cells))
            block = np.fromiter(flat, np.float64, len(rows) * self.columns).reshape(len(rows), self.columns)
        except ValueError:  # a row of another length, or a cell that float() does not read: a missing one, or text
            block = np.array([self._row(row, held) for row in rows], dtype=np.float64).reshape(len(rows), self.columns)
        for i in np.flatnonzero((np.abs(block) >= LARGEST_WHOLE).any(axis=1)):
            self._row(rows[i], held)
        return block

    def _row(self, row: Row, held: "_Held") -> list[float]:
        if len(row.cells) != self.width:
            header = "the line of names" if self._named else "the first line"
            raise TableError(
                f"{self.path}, line {row.line}: {_counted(len(row.cells))} where {header} has {self.width}"
            )
        numbers = []
        for index, place in enumerate(self._order):
            number = held.number(index, row.cells[place])
            if number is None:
                raise TableError(self._about_text(row.line, index, row.cells[place], held.kinds[index]))
            if abs(number) >= LARGEST_WHOLE:
                self._check_digits(row.line, index, row.cells[place])
            numbers.append(number)
        return numbers

    def _about_text(self, line: int, index: int, cell: str, kind: bool | None) -> str:
        where = f"{self.path}, line {line}"
        if kind is not None and kind != _is_boolean(cell) and (_is_boolean(cell) or _number(cell) is not None):
            before = "true and false" if kind else "numbers"
            return (
                f"{where}: {self.column(index)} holds {_shortened(cell)!r}, and {before} above; expected one of the two"
            )
        if kind:
            return f"{where}, {self.column(index)}: expected true or false, got {_shortened(cell)!r}"
        if self.columns == self.width and self._first_line() == line:
            return f"{where}: {self.column(index)} holds text ({_shortened(cell)!r}), expected numbers; {CHOOSE}"
        return f"{where}, {self.column(index)}: expected a number, got {_shortened(cell)!r}"

    def _first_line(self) -> int:
        return int(self.place(0).removeprefix("line "))

    def _check_digits(self, line: int, index: int, cell: str) -> None:
        try:
            exact = float(cell) == int(cell)
        except (ValueError, OverflowError):
            return  # a float, or infinite
        if not exact:
            raise TableError(
                f"{self.path}, line {line}: {self.column(index)} holds the integer {cell.strip()}, "
                f"and double precision cannot hold every integer beyond 2**53; {CHOOSE}"
            )


class _Held:
    """What each chosen column holds as far as it has been read: booleans, numbers, or None while nothing is there."""

    def __init__(self, kinds: list[bool | None]) -> None:
        self.kinds = kinds

    @property
    def booleans(self) -> tuple[int, ...]:
        return tuple(i for i, kind in enumerate(self.kinds) if kind)

    def learn(self, cells: list[str]) -> None:
        for i, cell in enumerate(cells):
            if self.kinds[i] is None and cell.strip().lower() not in MISSING:
                self.kinds[i] = _is_boolean(cell)

    def see(self, block: Block) -> None:
        if None in self.kinds:
            for i in np.flatnonzero(~np.isnan(block).all(axis=0)):
                self.kinds[i] = bool(self.kinds[i])

    def number(self, index: int, cell: str) -> float | None:
        """In that column: None where the cell is not of its kind."""
        if not self.kinds[index]:
            return _number(cell)
        word = cell.strip().lower()
        return float("nan") if word in MISSING else BOOLEANS.get(word)


def find_csv(path: Path, delimiter: str, chosen: Sequence[str | int] | None = None) -> Found:
    """The columns of delimited text, by its first row; that holds names if none of its cells is a number or boolean.

    Args:
        path: The file.
        delimiter: Between cells.
        chosen: Names or numbers; they decide what a first row with names and numbers is.

    Raises:
        TableError: no row at all, a first row that mixes names and numbers, an unnamed column.
    """
    text = DelimitedText(path, delimiter, "strict" if chosen is None else "replace")
    first = text.first()
    if first is None:
        raise TableError(f"{path} holds no lines")
    row, start, end = first
    names = _names(f"{path}, line {row.line}", row.cells, delimiter, chosen)
    body = (end, row.line) if names else (start, 0)
    columns = [FileColumn(name) for name in names or [None] * len(row.cells)]

    def opened(order: list[int]) -> CsvFile:
        return CsvFile(text, names, order, width=len(row.cells), body=body)

    return Found(f"{path}, line {row.line}" if names else str(path), columns, opened)


def _names(where: str, cells: list[str], delimiter: str, chosen: Sequence[str | int] | None) -> tuple[str, ...] | None:
    text = [cell.strip() for cell in cells if _number(cell) is None and not _is_boolean(cell)]
    numbers = [cell.strip() for cell in cells if _is_finite(cell)]
    blank = all(cell.strip() == "" for cell in cells)
    by_number = chosen is not None and all(str(choice).isdecimal() and int(choice) <= len(cells) for choice in chosen)
    if not blank and (not text or (numbers and by_number)):
        return None
    names = tuple(cell.strip() for cell in cells)
    _check_separator(where, names, delimiter)
    if chosen is not None:
        return names
    if "" in names:
        raise TableError(
            f"{where}: column {names.index('') + 1} of {len(names)} has no name "
            "(if it is a row index, write the file without it)"
        )
    if numbers:
        raise TableError(
            f"{where} is neither a line of names nor a line of numbers: it holds both {text[0]!r} and {numbers[0]!r}"
        )
    return names


def _check_separator(where: str, names: tuple[str, ...], delimiter: str) -> None:
    for separator, word in _IN_WORDS.items():
        if len(names) == 1 and separator != delimiter and separator in names[0]:
            expected = _IN_WORDS.get(delimiter, repr(delimiter))
            raise TableError(f"{where}: cells seem to be separated by {word}, expected {expected}")


def _number(cell: str) -> float | None:
    """The number in a cell, NaN where it is missing, None where it is text."""
    try:
        return float(cell)
    except ValueError:
        return float("nan") if cell.strip().lower() in MISSING else None


def _is_boolean(cell: str) -> bool:
    return cell.strip().lower() in BOOLEANS


def _is_finite(cell: str) -> bool:
    number = _number(cell)
    return number is not None and math.isfinite(number)


def _counted(cells: int) -> str:
    return f"{cells} cell{'s' * (cells != 1)}"


def _shortened(cell: str) -> str:
    return cell if len(cell) <= 40 else cell[:37] + "..."
