"""The elementary functions of the CPU kernels against many-digit arithmetic, and at their limits."""

import functools
import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from numba import njit

from counterflow.solvers.kernels import elementary
from counterflow.solvers.kernels.lanes import lane_count, load, pointer, store

inf, nan = math.inf, math.nan
OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}}  # as the kernels have them
EXACT: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "expm1": mpmath.expm1,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)) if x < 0 else x + mpmath.log1p(mpmath.exp(-x)),
}
ULPS = 2.5
LIMITS: dict[str, list[tuple[float, float]]] = {
    "exp": [(-inf, 0), (-1e30, 0), (0, 1), (1e30, inf), (inf, inf)],
    "log": [(-1, nan), (-inf, nan), (0, -inf), (1, 0), (inf, inf)],
    "log1p": [(0, 0), (inf, inf)],
    "tanh": [(-inf, -1), (-1e30, -1), (0, 0), (1e30, 1), (inf, 1)],
    "expm1": [(-inf, -1), (-1e30, -1), (0, 0), (1e30, inf), (inf, inf)],
    "sigmoid": [(-inf, 0), (-1e30, 0), (0, 0.5), (1e30, 1), (inf, 1)],
    "softplus": [(-inf, 0), (-1e30, 0), (1e30, 1e30), (inf, inf)],
}
DTYPES = (np.float32, np.float64)


@functools.cache
def compiled() -> Callable[..., None]:
    """All functions in one loop over whole vectors: compiled once for each precision."""
    exp, log, log1p, tanh, expm1, sigmoid, softplus = (getattr(elementary, name) for name in EXACT)

    def loop(which, x, y, one):  # type: ignore[no-untyped-def]
        source, target = pointer(x.ctypes.data, one), pointer(y.ctypes.data, one)
        for start in range(0, x.shape[0], lane_count(source)):
            lanes = load(source, start)
            if which == 0:
                value = exp(lanes)
            elif which == 1:
                value = log(lanes)
            elif which == 2:
                value = log1p(lanes)
            elif which == 3:
                value = tanh(lanes)
            elif which == 4:
                value = expm1(lanes)
            elif which == 5:
                value = sigmoid(lanes)
            else:
                value = softplus(lanes)
            store(target, start, value)

    made: Callable[..., None] = njit(**OPTIONS)(loop)
    return made


def run(name: str, x: np.ndarray) -> np.ndarray:
    padded = np.concatenate([x, np.ones(-len(x) % 16, x.dtype)])
    y = np.empty_like(padded)
    compiled()(list(EXACT).index(name), padded, y, x.dtype.type(1))
    return y[: len(x)]


def points(name: str, dtype: type) -> np.ndarray:
    """Small and large numbers, and all over the range in which the result is a normal number."""
    stream, count = np.random.default_rng(0), 500
    limits = np.finfo(dtype)
    tiny = 10.0 ** stream.uniform(-12 if dtype == np.float32 else -20, 0, count)
    wide = -math.log(float(limits.tiny)) * 0.99  # 86 or 700
    if name == "log":
        x = np.concatenate(
            [np.exp(stream.uniform(-wide, wide, count)), 1 + 0.5 * stream.uniform(-1, 1, count), 1 + tiny]
        )
    elif name == "log1p":
        x = np.concatenate([tiny, np.exp(stream.uniform(-wide, wide, count)), stream.uniform(0, 1, count)])
    else:
        x = np.concatenate([stream.uniform(-wide, wide, count), stream.uniform(-3, 3, count), tiny, -tiny])
    return x.astype(dtype)


@pytest.mark.parametrize("name", EXACT)
def test_elementary_functions_are_right_to_a_few_units_in_the_last_place(name: str) -> None:
    for dtype in DTYPES:
        x = points(name, dtype)
        with mpmath.workdps(40):
            exact = [EXACT[name](mpmath.mpf(float(value))) for value in x]
            error = [abs(mpmath.mpf(float(y)) - true) for y, true in zip(run(name, x), exact, strict=True)]
            # Below the normal numbers there is no relative precision to keep.
            unit = [np.spacing(max(abs(dtype(float(true))), np.finfo(dtype).tiny)) for true in exact]
            worst = max(float(one / mpmath.mpf(float(other))) for one, other in zip(error, unit, strict=True))
        assert worst <= ULPS, dtype


@pytest.mark.parametrize("name", LIMITS)
def test_elementary_functions_at_their_limits(name: str) -> None:
    for dtype in DTYPES:
        given, expected = (np.array(side, dtype) for side in zip(*LIMITS[name], strict=True))
        np.testing.assert_array_equal(run(name, given), expected)
        assert np.isnan(run(name, np.full(16, nan, dtype))).all()
        # A NaN stays in its own lane.
        mixed = np.ones(16, dtype)
        mixed[5] = nan
        assert np.isnan(run(name, mixed)).tolist() == [lane == 5 for lane in range(16)]
