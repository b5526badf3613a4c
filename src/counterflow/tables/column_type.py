"""What a column is written as: its name, its type and its unit, and numbers of that type."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from .source import TableError

WHOLE = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DTYPES = ("bool", *WHOLE, "float16", "float32", "float64")


@dataclasses.dataclass(frozen=True)
class ColumnType:
    """A column to be written.

    Attributes:
        name: None for a table without names.
        dtype: NumPy's name: bool, int8 to int64, uint8 to uint64, float16 to float64.
        unit: Kept by the formats that have a place for it: parquet, feather, HDF5.

    Raises:
        ValueError: another type.
    """

    name: str | None
    dtype: str = "float32"
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"expected a type among {', '.join(DTYPES)}, got {self.dtype!r}")


def cast(values: npt.NDArray[np.float64], column: ColumnType, words: str) -> npt.NDArray[Any]:
    """Numbers as the column's type.

    Args:
        values: Whole numbers for a type of integers, 0 and 1 for bool.
        column: The type.
        words: What sentences begin with: file and column.

    Raises:
        TableError: a number that the type cannot hold.

    Error: floats are rounded to the nearest of the type.
    """
    dtype = np.dtype(column.dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            numbers = values.astype(dtype)
        held = np.isfinite(numbers) | ~np.isfinite(values)
    else:
        # The bounds of 64 bits as doubles: the upper one rounds to the first number that is out.
        low, end = (0, 2) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max) + 1)
        held = (values >= low) & (values < end) & (values == np.rint(values))
        numbers = np.where(held, values, 0).astype(dtype)
    if not held.all():
        raise TableError(f"{words} cannot hold {float(values[np.argmin(held)])!r} as {dtype.name}")
    return numbers


def common_type(columns: tuple[ColumnType, ...]) -> np.dtype[Any]:
    """The type of one array that holds all columns."""
    return np.result_type(*(np.dtype(column.dtype) for column in columns))
