"""Which columns of a file a model is of, which it is given, and which one weighs the rows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..tables import Source, Table, TableError, open_table, read_table
from ..tables.detection import Declared, Seen, described
from ..tables.schema import Column, Schema
from ..tabular import Cells
from ..tabular.presets import Preset
from .console import Console
from .declared import check_names, renamed
from .naming import called, titled, titles
from .refusal import USAGE, Refusal
from .sizes import check_size
from .watched_source import WatchedSource


@dataclasses.dataclass(frozen=True)
class Roles:
    """Names of columns, as the user gave them.

    Attributes:
        columns: What the density is of; none: all that have no other role.
        context: What it is given.
        weight: How much each row counts.
    """

    columns: Sequence[str] = ()
    context: Sequence[str] = ()
    weight: str | None = None

    @property
    def special(self) -> list[str]:
        """Columns that the density is not of."""
        return [*self.context, *([] if self.weight is None else [self.weight])]

    def renamed(self, source: Source) -> "Roles":
        """With the names that a model gives to columns without any: `column 3`, from 1."""
        named = source.names is not None
        weight = None if self.weight is None else titled(self.weight, named=named)
        columns, context = ([titled(name, named=named) for name in part] for part in (self.columns, self.context))
        return Roles(columns, context, weight)


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
    """A table in memory with its schema, and how to say where a row stands in the file.

    Attributes:
        cells: Complete rows.
        schema: Of their columns.
        source: The file.
        rows: Which rows of the file they are.
        dropped: How many were left out.
        warnings: Sentences.
    """

    path: Path
    cells: Cells
    schema: Schema
    source: Source
    rows: np.ndarray
    dropped: int
    warnings: list[str]

    def place(self, row: int) -> str:
        """Where row `row` of the cells stands in the file, in the user's words."""
        return self.source.place(int(self.rows[row]))


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be read.

    Attributes:
        path: The file.
        array: Which array, group or tree of it.
        roles: Of its columns.
        declared: What the user says of them.
        drop_missing: Leave out rows with gaps.
    """

    path: Path
    array: str | None = None
    roles: Roles = Roles()
    declared: Declared = Declared()
    drop_missing: bool = False


def load_table(wanted: Wanted, preset: Preset, console: Console) -> Loaded:
    """Open, choose, read and describe.

    Raises:
        Refusal: a column in two roles.
        TableError: the file, a column that is not there, weights without a positive sum, a model too large.
    """
    path = wanted.path
    source = _opened(wanted)
    roles = wanted.roles.renamed(source)
    names = titles(source)
    columns = list(roles.columns) or [name for name in names if name not in roles.special]
    if not columns:
        raise TableError(f"{path}: no column is left for the density; all are named in --context or --weight")
    declared = renamed(wanted.declared, lambda name: titled(name, named=source.names is not None))
    check_names(declared, [*columns, *roles.context], path)
    check_size(path, source.rows, preset, len(columns), len(roles.context))
    table = read_table(WatchedSource(source, console, "reading"), drop_missing=wanted.drop_missing)
    if not len(table.values):
        raise TableError(f"{path} holds no rows" + (" without missing cells" if table.dropped else ""))
    with console.waiting("looking at the columns"):
        return _described(table, roles, columns, declared)


def _described(table: Table, roles: Roles, columns: Sequence[str], declared: Declared) -> Loaded:
    source, path = table.source, table.path
    at = {name: i for i, name in enumerate(titles(source))}

    def seen(chosen: Sequence[str]) -> list[Seen]:
        return [Seen(name, source.types[at[name]], source.units[at[name]], table.place) for name in chosen]

    def cells(chosen: Sequence[str]) -> np.ndarray:
        return np.ascontiguousarray(table.values[:, [at[name] for name in chosen]])

    values = cells(columns)
    own, warnings = described(values, seen(columns), declared, str(path))
    given_values = cells(roles.context) if roles.context else None
    given: tuple[Column, ...] = ()
    more = list[str]()
    if given_values is not None:
        given, more = described(given_values, seen(roles.context), declared, str(path), role="context column")
    weight = None if roles.weight is None else table.values[:, at[roles.weight]]
    if weight is not None:
        _check_weight(weight, f"{path}: the weights in {called(str(roles.weight))}")
    schema = Schema(own, given, roles.weight, source.names is not None)
    cells_of = Cells(values, given_values, weight)
    return Loaded(path, cells_of, schema, source, table.rows, table.dropped, [*warnings, *more])


def _opened(wanted: Wanted) -> Source:
    path, array, roles = wanted.path, wanted.array, wanted.roles
    chosen = [*roles.columns, *roles.special]
    for name in chosen:
        if chosen.count(name) > 1:
            raise Refusal(USAGE, f"column {name!r} is named twice among --columns, --context and --weight")
    if roles.columns:
        return open_table(path, array=array, columns=chosen)
    if chosen:
        open_table(path, array=array, columns=chosen)  # names the column that is not there
    return open_table(path, array=array)


def _check_weight(weight: np.ndarray, words: str) -> None:
    total = float(weight.sum())
    if not total > 0:
        raise TableError(f"{words} sum to {total:g}; the sum must be positive")
