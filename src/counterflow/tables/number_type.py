"""NumPy's types in words: which of them hold numbers, and what the others hold."""

from typing import Any

import numpy as np
import numpy.typing as npt

_NOT_NUMBERS = {"O": "Python objects", "S": "text", "U": "text", "T": "text", "c": "complex numbers", "V": "records"}
_NOT_NUMBERS |= {"M": "dates", "m": "time differences"}

# From here on a double skips whole numbers, so that a larger integer may come back as its neighbour.
LARGEST_WHOLE = 2**53


def instead_of_numbers(dtype: np.dtype[Any]) -> str | None:
    """What a column of this type holds; None if it is numbers."""
    return "arrays" if dtype.subdtype else _NOT_NUMBERS.get(dtype.kind)


def type_name(dtype: np.dtype[Any]) -> str | None:
    """`int32`, `float64`, `bool`: without a byte order; None for a type that holds no numbers."""
    if instead_of_numbers(dtype):
        return None
    return "float64" if dtype.kind == "f" and dtype.itemsize > 8 else dtype.name


def first_beyond(values: npt.NDArray[Any]) -> int | None:
    """The place of the first integer that double precision may not hold; None if there is none, and for floats."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or not len(values):
        return None
    if values.min() >= -LARGEST_WHOLE and values.max() <= LARGEST_WHOLE:
        return None
    return int(np.argmax((values < -LARGEST_WHOLE) | (values > LARGEST_WHOLE)))
