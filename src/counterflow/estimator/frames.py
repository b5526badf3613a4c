"""What scikit-learn's users pass in: arrays, or frames of pandas and polars, whose names and types are given back."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tables.detection import Declared, Seen, described
from ..tables.schema import Column, Kind
from ..tables.source import Block

Names = Sequence[str]


@dataclasses.dataclass(frozen=True)
class Look:
    """What X was at fit.

    Attributes:
        library: `numpy`, `pandas` or `polars`.
        types: NumPy names of the columns' types.
        labels: What a frame's columns are called, words or whole numbers; none of an array, or if they are neither.
    """

    library: str
    types: tuple[str, ...]
    labels: tuple[str | int, ...] = ()


def look_of(X: Any, columns: int) -> Look:
    """Which library X is of, and the types of its columns.

    Raises:
        ValueError: two columns of the same name.
    """
    library = type(X).__module__.partition(".")[0]
    if library in ("pandas", "polars") and hasattr(X, "columns"):
        labels = tuple(X.columns)
        if len(set(labels)) < len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise ValueError(f"{labels.count(twice)} columns are called {twice!r}: give each a name of its own")
        plain = all(isinstance(label, str | int) for label in labels)
        return Look(library, tuple(_numpy_name(dtype) for dtype in X.dtypes), labels if plain else ())
    return Look("numpy", (_numpy_name(getattr(X, "dtype", "float64")),) * columns)


def framed(block: Block, columns: Sequence[Column], look: Look) -> Any:
    """Rows as X was: a frame of its library with names and types, or an array."""
    labels = look.labels or [column.name for column in columns]
    typed = {label: block[:, i].astype(columns[i].dtype) for i, label in enumerate(labels)}
    if look.library == "pandas":
        import pandas

        return pandas.DataFrame(typed)
    if look.library == "polars":
        import polars

        return polars.DataFrame(typed)
    return typed_array(block, columns)


def typed_array(block: Block, columns: Sequence[Column]) -> Any:
    """Cells (..., columns) in the one type that holds those of all columns."""
    return block.astype(np.result_type(*(column.dtype for column in columns)))


def columns_of(
    values: Block, names: Names, types: Sequence[str], declared: Declared, *, detect: bool, label: str = "X"
) -> tuple[tuple[Column, ...], list[str]]:
    """The columns of an array, what is declared and with `detect` what the rows tell; and sentences of warning.

    Raises:
        TableError: a declaration that the rows contradict.
    """
    seen = [Seen(name, dtype, None, lambda row: f"row {row}") for name, dtype in zip(names, types, strict=True)]
    if not detect:
        support = {name: declared.support.get(name, (-np.inf, np.inf)) for name in names}
        kind = {name: declared.kind.get(name, Kind.CONTINUOUS) for name in names}
        declared = Declared(support, kind)
    return described(values, seen, declared, label)


def _numpy_name(dtype: Any) -> str:
    """Of a type of pandas or polars, `Int64` or `Boolean`; float64 if NumPy has none like it."""
    name = str(getattr(dtype, "numpy_dtype", dtype)).lower()
    try:
        found = np.dtype({"boolean": "bool"}.get(name, name))
    except TypeError:
        return "float64"
    return found.name if found.kind in "iufb" else "float64"
