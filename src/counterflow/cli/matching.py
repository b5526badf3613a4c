"""The columns of a file that a model asks for: by name where both have names, else by number or position."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..tables import Gaps, Source, TableError, column_names, open_table
from ..tables.schema import Column, Schema
from ..tables.source import Block
from .console import Console
from .naming import number_in
from .watched_source import WatchedSource


@dataclasses.dataclass(frozen=True)
class Asked:
    """Columns that are asked of a file.

    Attributes:
        columns: In the order in which blocks have them.
        context: Of those that a model is given, behind them.
        weight: A column that is taken if it is there, last.
        named: Whether the model knows its columns by name.
        why: What to say of a missing one.
    """

    columns: Sequence[Column]
    context: Sequence[Column] = ()
    weight: str | None = None
    named: bool = True
    why: str = "the model was fitted to"

    @classmethod
    def of(cls, schema: Schema) -> "Asked":
        """All that a model knows of."""
        return cls(schema.columns, schema.context, schema.weight, schema.named)

    @property
    def everything(self) -> list[Column]:
        """As in the blocks."""
        return [*self.columns, *self.context]


def in_table_order(asked: Asked) -> list[int]:
    """Which of `everything` stands where in a table without names, and in samples: the context first.

    Columns that never had names stand in the order of their numbers.
    """
    count, numbers = len(asked.columns), [number_in(column.name) for column in asked.everything]
    places = list(range(len(numbers)))
    if not asked.named and None not in numbers:
        return sorted(places, key=lambda place: numbers[place] or 0)
    return [*places[count:], *places[:count]]


class Matched:
    """Blocks of a file's rows in a model's order of columns.

    A model without names takes columns by the numbers they had in the table of the fit. Otherwise, a file without names
    must have just as many columns as are asked for, in the order in which `sample` writes them.

    Args:
        path: The file.
        array: Which array, group or tree of it.
        asked: The columns.

    Attributes:
        source: The file with those columns.
        has_weight: Whether there is one.
        notes: What the user should know of the match.

    Raises:
        TableError: the file; a column that is not there; another number of them, where there are no names.
    """

    def __init__(self, path: Path, array: str | None, asked: Asked) -> None:
        self._path, self._array, self._asked = path, array, asked
        self.has_weight, self.notes = False, list[str]()
        names = column_names(path, array=array)
        if names is not None and asked.named:
            self.source = self._by_name(names)
        elif asked.named:
            self.source = self._in_order(names)
        else:
            self.source = self._by_number(names)
        self._gaps = Gaps(self.source)
        self._seen = 0

    def _by_name(self, names: Sequence[str]) -> Source:
        path, asked = self._path, self._asked
        wanted = [column.name for column in asked.everything]
        missing = [name for name in wanted if name not in names]
        surplus = [name for name in names if name not in wanted and name != asked.weight]
        if missing:
            raise TableError(f"{path} has no {_listed(missing)}, which {asked.why}{_but(surplus)}")
        for part in (asked.columns, asked.context):
            order = [names.index(column.name) for column in part]
            if order != sorted(order):
                self.notes.append(
                    f"Note: the columns of {path} are in another order than the model's; they are matched by name."
                )
                break
        if surplus and asked.columns:
            self.notes.append(f"Note: {path} has {_listed(surplus)}, which the model does not know: left aside.")
        self.has_weight = asked.weight is not None and asked.weight in names
        more = [asked.weight] if asked.weight is not None and self.has_weight else []
        return open_table(path, array=self._array, columns=[*wanted, *more])

    def _by_number(self, names: Sequence[str] | None) -> Source:
        """Of any file, for a model without names."""
        path, asked = self._path, self._asked
        numbers = [number_in(column.name) for column in asked.everything]
        there, known = self._count(names), [number for number in numbers if number is not None]
        if len(known) < len(numbers) or max(known) > there:
            return self._in_order(names)
        weight = None if asked.weight is None else number_in(asked.weight)
        self.has_weight = weight is not None and weight <= there
        chosen = [*known, *([weight] if weight is not None and self.has_weight else [])]
        if len(chosen) < there:
            self.notes.append(f"Note: of the {_counted(there)} of {path}, the model takes {_enumerated(chosen)}.")
        return self._opened(names, chosen)

    def _in_order(self, names: Sequence[str] | None) -> Source:
        """The columns as they stand, if there are just as many."""
        order, there = in_table_order(self._asked), self._count(names)
        if there != len(order):
            raise TableError(f"{self._path} has {_counted(there)}, expected {len(order)}, as {self._asked.why}")
        at = {column: place for place, column in enumerate(order)}
        return self._opened(names, [at[column] + 1 for column in range(there)])

    def _count(self, names: Sequence[str] | None) -> int:
        return open_table(self._path, array=self._array).columns if names is None else len(names)

    def _opened(self, names: Sequence[str] | None, numbers: list[int]) -> Source:
        if names is not None and not self._asked.named:
            self.notes.append(f"Note: the model has no names; the columns of {self._path} go by their numbers.")
        chosen = numbers if names is None else [names[number - 1] for number in numbers]
        return open_table(self._path, array=self._array, columns=chosen)

    def blocks(self) -> Iterator[Block]:
        """All rows in order."""
        return self.source.blocks()

    def rows(self, console: Console) -> int:
        """How many; read once more where only that can tell."""
        if self.source.rows is not None:
            return self.source.rows
        return sum(map(len, WatchedSource(self.source, console, "counting the rows of").blocks()))

    def whole(self, block: Block) -> np.ndarray:
        """Which rows of the next block have no gap."""
        self._seen += len(block)
        return self._gaps.whole(block)

    @property
    def gaps(self) -> int:
        """Rows with a gap, so far."""
        return self._gaps.rows

    def refuse_gaps(self) -> None:
        """Raise if a gap was met.

        Raises:
            MissingValues: with its place.
        """
        self._gaps.refuse()

    def place_in(self, block: Block) -> Callable[[int], str]:
        """How to say where a row of the last block that was looked at stands in the file."""
        start = self._seen - len(block)
        return lambda row: self.source.place(start + row)


def _counted(columns: int) -> str:
    return f"{columns} column{'s' * (columns != 1)}"


def _enumerated(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:10])) + (", ..." if len(numbers) > 10 else "")
    return f"number{'s' * (len(numbers) != 1)} {shown}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"column{'s' * (len(names) != 1)} {shown}{more}"


def _but(unknown: Sequence[str]) -> str:
    return f" (it has {_listed(unknown)}, unknown to the model)" if unknown else ""
