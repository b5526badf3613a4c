"""Which kind and support the columns of a table have: declared by the user, or told from the training rows."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .schema import LARGEST_WHOLE, Column, Kind
from .source import Block, TableError

Values = npt.NDArray[np.float64]

# Intervals that a continuous column may live on: shares, cosines, angles in radians and degrees, percentages.
INTERVALS = (
    (0.0, 1.0),
    (-1.0, 1.0),
    (-math.pi, math.pi),
    (0.0, 2 * math.pi),
    (-180.0, 180.0),
    (0.0, 360.0),
    (0.0, 100.0),
    (-math.pi / 2, math.pi / 2),
    (-90.0, 90.0),
    (0.0, math.pi),
    (0.0, 180.0),
)
MEAN_GAPS = 5  # data end within so many mean gaps of the ends of such an interval, or it is not theirs
OUTER = 0.1  # of an interval at each end: there must be rows, as a tail has none
CROWDED = 0.25  # how many, in shares of evenly spread rows
FEWEST = 3  # and in rows
FEW_LEVELS = 64  # whole numbers with at most so many levels, most of them taken, may stay between the ends seen
TAKEN = 0.5
BEYOND = 8  # rows that a tail would have put beyond an end: without any, it is an end
NEAR_ZERO = 0.25  # positive columns begin within so many standard deviations of zero
ATOM = 0.05  # share of rows with the same value that deserves a warning,
ATOM_ROWS = 5  # if they are not just a few
IDENTIFIER_ROWS = 50


@dataclasses.dataclass(frozen=True)
class Declared:
    """What the user says of columns, by name; the rest is told from the rows.

    Attributes:
        support: (low, high), infinite where open; (-inf, inf) says that there is none.
        kind: Of a column.
        unit: Of a column.
    """

    support: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    kind: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
    unit: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def names(self) -> set[str]:
        """Of all columns that something is said of."""
        return {*self.support, *self.kind, *self.unit}


@dataclasses.dataclass(frozen=True)
class Seen:
    """One column of the file: its name, type and unit there, and how the file calls the place of a row."""

    name: str
    dtype: str | None
    unit: str | None
    place: Callable[[int], str]


def described(
    values: Block, seen: Sequence[Seen], declared: Declared, label: str, *, role: str = "column"
) -> tuple[tuple[Column, ...], list[str]]:
    """The columns of a table, and sentences of warning.

    Args:
        values: Finite numbers, (rows, columns).
        seen: What the file says of each column.
        declared: What the user says.
        label: What a refusal begins with: the file.
        role: What the columns are called in warnings.

    Raises:
        TableError: a declared support that the rows leave, or a declared kind that they are not.
    """
    columns, warnings = [], []
    for i, one in enumerate(seen):
        v = np.ascontiguousarray(values[:, i])
        kind = _kind(v, one, declared, label)
        low, high, is_declared = _support(v, kind, one, declared, label)
        dtype = _type(kind, one.dtype)
        unit = declared.unit.get(one.name, one.unit)
        facts = {"smallest": v.min(), "largest": v.max(), "mean": v.mean(), "spread": v.std()}
        numbers = {key: float(value) for key, value in facts.items()}
        columns.append(Column(one.name, kind, dtype, unit, low, high, is_declared, **numbers))
        if role == "column":  # others are not modelled
            warnings += _warnings(v, columns[-1], f"{role} {one.name!r}")
    return tuple(columns), warnings


def _type(kind: Kind, dtype: str | None) -> str:
    """Of samples: that of the file, unless it cannot hold them."""
    if kind is Kind.CONTINUOUS:
        return dtype if dtype is not None and np.dtype(dtype).kind == "f" else "float64"
    return dtype or "int64"


def _kind(v: Values, one: Seen, declared: Declared, label: str) -> Kind:
    odd = (v != np.rint(v)) | (np.abs(v) > LARGEST_WHOLE)
    asked = declared.kind.get(one.name)
    if asked is Kind.BOOLEAN:
        odd = ~np.isin(v, (0, 1))
    if asked is not None and asked is not Kind.CONTINUOUS and odd.any():
        row = int(np.argmax(odd))
        raise TableError(f"{label}: column {one.name!r} is declared {asked}, and holds {v[row]:g} at {one.place(row)}")
    if asked is not None:
        return asked
    if one.dtype == "bool":
        return Kind.BOOLEAN
    return Kind.CONTINUOUS if odd.any() else Kind.INTEGER


def _support(v: Values, kind: Kind, one: Seen, declared: Declared, label: str) -> tuple[float, float, bool]:
    if one.name in declared.support:
        low, high = map(float, declared.support[one.name])
        _check_support(v, (low, high), kind, one, label)
        return low, high, True
    if kind is Kind.CONTINUOUS:
        return *(_interval(v) or _half_line(v)), False
    return *(_whole_support(v, kind) or _whole_half_line(v)), False


def _check_support(v: Values, ends: tuple[float, float], kind: Kind, one: Seen, label: str) -> None:
    low, high = ends
    words = f"{label}: column {one.name!r} is declared to lie between {low:g} and {high:g}"
    if not low < high:
        raise TableError(f"{words}, expected two numbers, the smaller one first")
    outside = (v < low) | (v > high)
    if outside.any():
        row = int(np.argmax(outside))
        raise TableError(f"{words}, and holds {v[row]:g} at {one.place(row)}")
    if kind is not Kind.CONTINUOUS and any(math.isfinite(end) and end != round(end) for end in ends):
        raise TableError(
            f"{label}: column {one.name!r} holds whole numbers, its support {low:g}..{high:g} ends between two of "
            "them; round the ends, or say that it is continuous"
        )


def _whole_support(v: Values, kind: Kind) -> tuple[float, float] | None:
    low, high = float(v.min()), float(v.max())
    if kind is Kind.BOOLEAN or {low, high} == {0.0, 1.0}:
        return 0.0, 1.0
    levels = high - low + 1
    if 1 < levels <= FEW_LEVELS:
        counts = np.bincount((v - low).astype(np.int64))
        if np.count_nonzero(counts) >= TAKEN * levels and _ends(counts) and _ends(counts[::-1]):
            return low, high
    return None


def _ends(counts: npt.NDArray[np.int64]) -> bool:
    """Whether levels stop at the first one, or would have gone on if there were more rows.

    Beyond an end with c0 rows, next to a level with c1, a tail has about c0^2 / c1 rows, as a geometric law has.

    Error: of 1000 Poisson samples of 50 to 1000 rows about 10 seem to have an end.
    """
    first, second = int(counts[0]), int(counts[1])
    return first * min(1.0, first / max(second, 1)) >= BEYOND


def _interval(v: Values) -> tuple[float, float] | None:
    """One of INTERVALS, if the rows fill it to both ends."""
    smallest, largest = float(v.min()), float(v.max())
    for low, high in INTERVALS:
        gap, outer = MEAN_GAPS * (high - low) / len(v), OUTER * (high - low)
        # A float32 file may hold pi rounded up.
        slack = 1e-6 * (high - low)
        if -slack <= smallest - low <= gap and -slack <= high - largest <= gap:
            rows = min(np.count_nonzero(v <= low + outer), np.count_nonzero(v >= high - outer))
            if rows >= max(FEWEST, CROWDED * OUTER * len(v)):
                return min(low, smallest), max(high, largest)
    return None


def _half_line(v: Values) -> tuple[float, float]:
    """Above zero or below, if no row is beyond it where a tail would have put some."""
    near = NEAR_ZERO * float(v.std())
    if v.min() >= 0 and np.count_nonzero(v <= near) >= BEYOND:
        return 0.0, math.inf
    if v.max() <= 0 and np.count_nonzero(v >= -near) >= BEYOND:
        return -math.inf, 0.0
    return -math.inf, math.inf


def _whole_half_line(v: Values) -> tuple[float, float]:
    """Counts are not negative, however few rows there are."""
    near = NEAR_ZERO * float(v.std())
    if 0 <= v.min() <= near:
        return 0.0, math.inf
    if -near <= v.max() <= 0:
        return -math.inf, 0.0
    return -math.inf, math.inf


def _warnings(v: Values, column: Column, label: str) -> list[str]:
    distinct, counts = np.unique(v, return_counts=True)
    if column.whole and len(distinct) == len(v) and len(v) >= IDENTIFIER_ROWS:
        return [f"{label} holds a different whole number in every row: an identifier? If so, leave it out"]
    share = float(counts.max()) / len(v)
    if not column.whole and share > ATOM and counts.max() >= ATOM_ROWS:
        value = float(distinct[counts.argmax()])
        return [f"{label} is exactly {value:g} in {share:.0%} of the rows: a density can only put a narrow peak there"]
    return []


def check_declared(declared: Declared, names: Sequence[str]) -> None:
    """Refuse a declaration about a column that there is not.

    Raises:
        TableError: with the name.
    """
    for name in sorted(declared.names() - set(names)):
        raise TableError(f"something is declared of column {name!r}, which the table does not have: {_listed(names)}")


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
