"""What a model knows of the columns of its table: names, types, units, supports. It is kept inside the model's file."""

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LARGEST_WHOLE = 2**53  # up to here double precision holds every whole number


class Kind(enum.StrEnum):
    """What the cells of a column are."""

    CONTINUOUS = "continuous"
    INTEGER = "integer"  # whole numbers; the model sees k + u, u uniform in [0, 1)
    BOOLEAN = "boolean"  # 0 and 1, the same way


@dataclasses.dataclass(frozen=True)
class Column:
    """One column, as the user has it.

    Attributes:
        name: Of the column; `column 3` (from 1) where the file has no names.
        kind: What its cells are.
        dtype: NumPy's name of the type that samples are returned in.
        unit: As the file says.
        low, high: Support, both ends included; infinite where there is none.
        declared: Whether the user said so, rather than the training rows.
        smallest, largest: Of the training rows.
        mean, spread: Of the training rows; the spread is their standard deviation.
    """

    name: str
    kind: Kind = Kind.CONTINUOUS
    dtype: str = "float32"
    unit: str | None = None
    low: float = -math.inf
    high: float = math.inf
    declared: bool = False
    smallest: float = math.nan
    largest: float = math.nan
    mean: float = math.nan
    spread: float = math.nan

    @property
    def whole(self) -> bool:
        """Whether its cells are whole numbers."""
        return self.kind is not Kind.CONTINUOUS

    @property
    def bounded(self) -> bool:
        """Whether it has a support with an end."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def support_in_words(self) -> str:
        """`0 to 16, detected`, `0 or more, declared`, `any number`."""
        low, high = math.isfinite(self.low), math.isfinite(self.high)
        if not (low or high):
            return "any number"
        source = "declared" if self.declared else "detected"
        if low and high:
            return f"{self.low:g} to {self.high:g}, {source}"
        return f"{self.low:g} or more, {source}" if low else f"{self.high:g} or less, {source}"


@dataclasses.dataclass(frozen=True)
class Schema:
    """The columns of a model, in the order in which it reads them.

    Attributes:
        columns: What the density is of.
        context: What it is given.
        weight: The column that said how much each training row counts, if there was one.
        named: Whether the file had names; if not, columns are matched by position.
    """

    columns: tuple[Column, ...]
    context: tuple[Column, ...] = ()
    weight: str | None = None
    named: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that the density is of."""
        return tuple(column.name for column in self.columns)

    @property
    def context_names(self) -> tuple[str, ...]:
        """Of the columns that it is given."""
        return tuple(column.name for column in self.context)

    @property
    def whole(self) -> list[int]:
        """Which columns hold whole numbers."""
        return [i for i, column in enumerate(self.columns) if column.whole]

    def to_json(self) -> dict[str, Any]:
        """JSON values; numbers that JSON does not know are left out."""
        return {
            "columns": [_column_to_json(column) for column in self.columns],
            "context": [_column_to_json(column) for column in self.context],
            "weight": self.weight,
            "named": self.named,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Schema":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        columns, context = (tuple(_column_from_json(c) for c in values[part]) for part in ("columns", "context"))
        return cls(columns, context, values["weight"], bool(values["named"]))


def plain_schema(features: int, context_features: int = 0, names: Sequence[str] | None = None) -> Schema:
    """Of a model that says nothing of its table: single precision numbers without support."""
    titles = names or [f"column {i + 1}" for i in range(features)]
    given = [f"context {i + 1}" for i in range(context_features)]
    return Schema(tuple(map(Column, titles)), tuple(map(Column, given)), named=names is not None)


def _column_to_json(column: Column) -> dict[str, Any]:
    default = {field.name: field.default for field in dataclasses.fields(Column)}
    values = {name: getattr(column, name) for name in default}
    return {
        name: str(value) if isinstance(value, Kind) else value
        for name, value in values.items()
        if not (value == default[name] or (isinstance(value, float) and not math.isfinite(value)))
    }


def _column_from_json(values: Mapping[str, Any]) -> Column:
    np.dtype(values.get("dtype", "float32"))  # a type that NumPy does not know is refused here
    return Column(**{**values, "kind": Kind(values.get("kind", Kind.CONTINUOUS))})
