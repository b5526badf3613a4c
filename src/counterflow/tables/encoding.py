"""Between the cells of a table and the numbers that its model sees: whole numbers are dequantised, samples put back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .schema import LARGEST_WHOLE, Column
from .source import Block, TableError

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def dequantised(columns: Sequence[Column], block: Block, generator: np.random.Generator | None) -> Block:
    r"""Whole numbers k become k + u, u uniform in [0, 1), or 1/2 without a generator; the rest stays.

    The density p of k + u bounds that of k from below, on average:

    .. math:: E_u \log p(k + u) \le \log \int_0^1 p(k + u) du = \log P(k).

    Args:
        columns: Of the block.
        block: (rows, columns).
        generator: Draws u row by row, so that the result does not depend on how rows are cut into blocks.

    Source: Theis et al. (2016), arXiv:1511.01844.
    """
    whole = [i for i, column in enumerate(columns) if column.whole]
    if not whole:
        return block
    block = block.copy()
    block[:, whole] += 0.5 if generator is None else generator.random((len(block), len(whole)))
    return block


def as_table(columns: Sequence[Column], rows: npt.NDArray[Any]) -> Block:
    """Samples of the model as cells: whole numbers rounded down, everything inside its support and in its type."""
    block = np.asarray(rows, np.float64).copy()
    for i, column in enumerate(columns):
        if column.whole:
            block[:, i] = np.floor(block[:, i])
        block[:, i] = _inside(column, block[:, i])
    return block


def _inside(column: Column, v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Clipped to the support and to what the column's type can hold, in a way that survives the rounding to it."""
    dtype = np.dtype(column.dtype)
    smallest, largest = _limits(dtype)
    v = np.clip(v, max(column.low, smallest), min(column.high, largest))
    if dtype.kind != "f":
        return v
    rounded = v.astype(dtype)
    for end, towards, beyond in ((column.low, np.inf, np.less), (column.high, -np.inf, np.greater)):
        # In double precision: NumPy would compare in that of the column, where the end itself is rounded.
        over = beyond(rounded.astype(np.float64), end)
        rounded[over] = np.nextafter(rounded[over], dtype.type(towards))
    return rounded.astype(np.float64)


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The smallest and largest number of a type; of whole numbers, that double precision can tell apart."""
    if dtype.kind == "f":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    if dtype.kind == "b":
        return 0.0, 1.0
    limits = np.iinfo(dtype)
    return max(float(limits.min), -float(LARGEST_WHOLE)), min(float(limits.max), float(LARGEST_WHOLE))


def outside(columns: Sequence[Column], block: Block) -> Flags:
    """Which rows leave the support of a column: their density is zero."""
    low, high = (np.array([getattr(column, end) for column in columns]) for end in ("low", "high"))
    return np.asarray(((block < low) | (block > high)).any(axis=1), np.bool_)


def check_whole(columns: Sequence[Column], block: Block, label: str) -> None:
    """Refuse a column that held whole numbers when the model was fitted, and now holds others.

    Raises:
        TableError: with its name, and the number.
    """
    for i, column in enumerate(columns):
        if column.whole:
            odd = block[:, i] != np.rint(block[:, i])
            if odd.any():
                value = block[int(np.argmax(odd)), i]
                raise TableError(
                    f"{label}: column {column.name!r} held whole numbers when the model was fitted, and now {value:g}"
                )


def farthest(columns: Sequence[Column], block: Block) -> npt.NDArray[np.float64]:
    """How far each column reaches beyond the range of the training rows, in their standard deviations; (columns,).

    Infinite beyond a column that was constant, zero where the training range is not known.
    """
    low, high, spread = (np.array([getattr(c, a) for c in columns]) for a in ("smallest", "largest", "spread"))
    beyond = np.fmax(np.fmax(low - block, block - high), 0.0).max(axis=0, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        far: npt.NDArray[np.float64] = np.where(beyond > 0, beyond / spread, 0.0)
    return far
