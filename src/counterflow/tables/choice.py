"""Which columns of a file are read: all of them, or those that were asked for by name or by number."""

import dataclasses
import difflib
import re
from collections.abc import Callable, Sequence

from .source import Source, TableError

CHOOSE = "choose columns with --columns"
# What pandas calls a row index that it writes as a column.
_INDEX = re.compile(r"__index_level_\d+__")


@dataclasses.dataclass(frozen=True)
class FileColumn:
    """One column as a file has it.

    Attributes:
        name: None where the file has no names.
        type: NumPy's name of its type, None where the format has no types.
        unit: None where the file has none.
        instead: What it holds instead of numbers: `text`, `dates`.
    """

    name: str | None
    type: str | None = None
    unit: str | None = None
    instead: str | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """The table of a file before columns are chosen.

    Attributes:
        label: What sentences about its columns begin with.
        columns: All of them, those that cannot be read included.
        opened: From the places (from 0) of the chosen ones to a source of their rows.
    """

    label: str
    columns: Sequence[FileColumn]
    opened: Callable[[list[int]], Source]

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of all columns; None where they have none."""
        names = tuple(column.name for column in self.columns if column.name is not None)
        return names or None


def choose(found: Found, chosen: Sequence[str | int] | None) -> list[int]:
    """The places of the chosen columns, from 0, in the order chosen; of all columns without a choice.

    Args:
        found: The table.
        chosen: Names; or numbers counted from 1, for a file without names.

    Raises:
        TableError: a column that is not there, is chosen twice, shares its name with another or holds no numbers.
    """
    if not found.columns:
        raise TableError(f"{found.label} has no columns")
    if chosen is None:
        order = list(range(len(found.columns)))
    elif found.names is None:
        order = [_numbered(found, choice) for choice in chosen]
    else:
        order = _named(found, chosen)
    _check_choice(found, order, chosen)
    for place in order:
        _check_numeric(found, place, chosen)
    return order


def _named(found: Found, chosen: Sequence[str | int]) -> list[int]:
    names = found.names or ()
    at: dict[str | int, int] = {name: place for place, name in reversed(list(enumerate(names)))}
    for choice in chosen:
        if choice not in at:
            raise TableError(f"{found.label} has no column {choice!r}; {_instead(str(choice), names)}")
    return [at[choice] for choice in chosen]


def _instead(choice: str, names: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in names}
    near = [folded[name] for name in difflib.get_close_matches(choice.casefold(), folded, n=3)]
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"it has {', '.join(map(repr, names[:5]))}{more}"


def _numbered(found: Found, choice: str | int) -> int:
    count = len(found.columns)
    number = int(choice) if isinstance(choice, int) or re.fullmatch("[0-9]+", choice.strip()) else 0
    if not 1 <= number <= count:
        raise TableError(
            f"{found.label} has no column {choice!r}: "
            f"its columns have no names, choose among the numbers 1 to {count:,}"
        )
    return number - 1


def _check_choice(found: Found, order: list[int], chosen: Sequence[str | int] | None) -> None:
    if not order:
        raise TableError(f"{found.label}: no columns were chosen")
    names = found.names
    counted: dict[str | int, int] = {}
    for name in names or ():
        counted[name] = counted.get(name, 0) + 1
    if names is not None:
        for place in order:
            if counted[names[place]] > 1:
                raise TableError(f"{found.label}: two columns are called {names[place]!r}")
    if len(set(order)) < len(order):
        twice = next(place for i, place in enumerate(order) if place in order[:i])
        raise TableError(f"{found.label}: {_called(found, twice)} is chosen twice")


def _check_numeric(found: Found, place: int, chosen: Sequence[str | int] | None) -> None:
    column = found.columns[place]
    advice = f"; {CHOOSE}" if chosen is None else ""
    if column.instead is not None:
        raise TableError(f"{found.label}: {_called(found, place)} holds {column.instead}, expected numbers{advice}")
    if chosen is None and _INDEX.fullmatch(column.name or ""):
        raise TableError(
            f"{found.label}: {_called(found, place)} is the row index that pandas wrote; "
            f"write the file with index=False, or {CHOOSE}"
        )


def _called(found: Found, place: int) -> str:
    name = found.columns[place].name
    return f"column {place + 1}" if name is None else f"column {name!r}"
