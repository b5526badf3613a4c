"""Rows and their weights as arrays of double precision, checked at the door."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Generator, Tensor

Array = Tensor | npt.NDArray[Any]  # what a user may hand in
Numbers = Float[np.ndarray, "_"]
Columns = Float[np.ndarray, "_ _"]


def as_columns(x: Array, name: str) -> Columns:
    """N rows of D finite numbers.

    Raises:
        TypeError: neither a tensor nor an array.
        ValueError: not of shape (N, D), no rows, or a value that is NaN or infinite; its place is named.
    """
    values = as_doubles(x, name)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"expected {name} as rows of shape (N, D), got {values.shape}")
    if not len(values):
        raise ValueError(f"expected at least one row of {name}, got none")
    _check_finite(values, name)
    return values


def as_weights(weight: Array | None, rows: int, name: str) -> Numbers:
    """One finite weight per row, scaled to sum 1; 1 / N each where none are given. Negative ones are allowed.

    Raises:
        TypeError: neither a tensor nor an array.
        ValueError: not one per row, a weight that is NaN or infinite, or a sum that is not positive.
    """
    if weight is None:
        return np.full(rows, 1 / rows)
    w = as_doubles(weight, f"the weights of {name}")
    if w.shape != (rows,):
        raise ValueError(f"expected one weight for each of the {rows} rows of {name}, got shape {w.shape}")
    _check_finite(w, f"the weights of {name}")
    if not w.sum() > 0:
        raise ValueError(f"the weights of {name} sum to {w.sum():g}; the sum must be positive")
    return np.asarray(w / w.sum())


def as_doubles(x: Any, name: str) -> npt.NDArray[np.float64]:
    """Numbers in double precision, on the processor.

    Raises:
        TypeError: neither a tensor nor an array of numbers.
    """
    if isinstance(x, Tensor):
        return x.detach().cpu().double().numpy()
    if isinstance(x, np.ndarray) and (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        return x.astype(np.float64)
    kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
    raise TypeError(f"expected {name} as a tensor or an array of numbers, got {kind}")


def check_not_negative(w: Numbers, name: str, why: str) -> None:
    """Refuse negative weights where a method has no meaning for them.

    Raises:
        ValueError: with the first of them, and the reason.
    """
    if (w < 0).any():
        raise ValueError(f"weight {int(np.argmax(w < 0))} of {name} is negative; {why}")


def effective_number(w: Numbers) -> float:
    """(sum w)^2 / sum w^2, the number of equally weighted rows whose mean is as uncertain."""
    # Never more than N; rounding would make it so.
    return min(float(len(w)), float(w.sum() ** 2 / np.square(w).sum()))


def mean_and_error(v: npt.NDArray[np.float64], w: Numbers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    r"""Weighted means over the first axis, with their standard errors; NaN for a single row.

    .. math:: m = \sum_i w_i v_i, \qquad \sqrt{\frac{N}{N - 1} \sum_i w_i^2 (v_i - m)^2}, \qquad \sum_i w_i = 1

    With equal weights this is the textbook error of a mean. It holds whether or not weight and value are related.
    """
    mean = np.asarray(np.tensordot(w, v, 1))
    rows = len(w)
    if rows < 2:
        return mean, np.full_like(mean, np.nan)
    return mean, np.asarray(np.sqrt(rows / (rows - 1) * np.tensordot(np.square(w), np.square(v - mean), 1)))


def check_same_columns(a: Columns, b: Columns, name: str, other: str) -> None:
    """Refuse two tables of different width.

    Raises:
        ValueError: the numbers of columns differ.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{name} has {a.shape[1]} columns, {other} has {b.shape[1]}")


def spread_of(x: Columns, w: Numbers, name: str) -> Numbers:
    """The standard deviation of every column, (D,).

    Raises:
        ValueError: a constant column, or weights of both signs that leave a column without a variance.
    """
    centred = x - w @ x
    variance = w @ np.square(centred)
    # A constant column leaves rounding behind, not zero.
    flat = ~(variance > (1e-12 * np.abs(x).max(0)) ** 2)
    if flat.any():
        column = int(np.argmax(flat))
        raise ValueError(f"column {column} of {name} does not vary, so distances in it have no unit: leave it out")
    return np.asarray(np.sqrt(variance))


def uniforms(*shape: int, generator: Generator | None) -> npt.NDArray[np.float64]:
    """Independent draws from [0, 1), in double precision."""
    device = torch.device("cpu") if generator is None else generator.device
    return torch.rand(shape, dtype=torch.float64, device=device, generator=generator).cpu().numpy()


def permutation(rows: int, generator: Generator | None) -> npt.NDArray[np.int64]:
    """The numbers below `rows` in random order."""
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randperm(rows, device=device, generator=generator).cpu().numpy()


def _check_finite(values: npt.NDArray[np.float64], name: str) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        place = ", ".join(str(int(i)) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{name}: {int(wrong.sum())} values are NaN or infinite, the first at [{place}]")
