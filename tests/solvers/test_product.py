"""The register-blocked product, as wide registers run it and as narrow ones do, against NumPy."""

import types
from collections.abc import Callable

import numpy as np
import pytest
from numba import njit

from counterflow.solvers.kernels import product
from counterflow.solvers.kernels.lanes import pointer

# First and last row, first and last column: whole blocks and remainders of 8, 4, 2 and 1 rows, and nothing.
RANGES = ((0, 17, 0, 9), (3, 5, 2, 3), (4, 15, 1, 9), (2, 3, 0, 8), (0, 0, 0, 9), (1, 9, 4, 4))
OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}}  # as the kernels have them


def with_registers(wide: bool) -> Callable[..., None]:
    """`accumulate` compiled for a processor with 32 wide registers, or for one with 16 narrow ones."""
    given = product.accumulate.py_func
    accumulate = njit(**OPTIONS)(types.FunctionType(given.__code__, {**given.__globals__, "WIDE_REGISTERS": wide}))

    def run(target, source, weight, offsets, ranges):  # type: ignore[no-untyped-def]
        (row_at, column_at), (first, last, start, stop), one, whole = offsets, ranges, target[0, 0], offsets[0][0]
        accumulate(
            pointer(target.ctypes.data, one),
            first,
            last,
            pointer(source.ctypes.data, one),
            pointer(weight.ctypes.data, one),
            pointer(row_at.ctypes.data, whole),
            pointer(column_at.ctypes.data, whole),
            start,
            stop,
            target.shape[1],
        )

    compiled: Callable[..., None] = njit(**OPTIONS)(run)
    return compiled


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accumulate_is_a_product_of_any_rows_and_columns(dtype: type, wide: bool) -> None:
    """From any row and column on, to any, with weights that lie in any order; nothing else is touched."""
    run, stream = with_registers(wide), np.random.default_rng(0)
    lanes = 64 // np.dtype(dtype).itemsize
    for vectors in (1, 2, 3, 4):
        for ranges in RANGES:
            first, last, start, stop = ranges
            target, source = (stream.normal(size=(size, vectors * lanes)).astype(dtype) for size in (17, 9))
            weight = stream.normal(size=(17, 9)).astype(dtype)
            rows, columns = stream.permutation(17), stream.permutation(9)
            expected = target.astype(np.float64)
            sorted_weight = weight[rows][:, columns].astype(np.float64)
            expected[first:last] += sorted_weight[first:last, start:stop] @ source[start:stop]
            run(target, source, weight, (rows * 9, columns), ranges)
            tolerance = 1e-5 if dtype == np.float32 else 1e-13
            np.testing.assert_allclose(target, expected, rtol=tolerance, atol=tolerance)
            outside = np.r_[0:first, last:17]
            assert (target[outside] == expected[outside].astype(dtype)).all()
