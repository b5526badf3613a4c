"""The scales of affine couplings, recognised by their values: libraries leave the form to a method or a function."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..univariate import BoundedExp, ClippedExp, Exp, Scale, ShiftedSigmoid, Softplus

FAR = 1000.0  # where exponentials have reached their limits, or overflowed
KNOWN = (
    "exp(a), exp(clip(a, low, high)), exp(a / (1 + |a| / bound)), softplus(a + shift) + minimum and "
    "sigmoid(a + shift) + minimum"
)


def recognised(function: Callable[[Tensor], Tensor]) -> Scale | None:
    """The scale of ours that gives the same values, if there is one.

    Args:
        function: (N,) -> (N,), elementwise, in double precision.
    """
    at = torch.tensor([-FAR, 0.0, 1.0, FAR], dtype=torch.float64)
    low, zero, one, high = function(at).tolist()
    raw = torch.linspace(-12, 12, 97, dtype=torch.float64)
    found = function(raw)
    for make in (_exp, _clipped, _bounded, _softplus, _sigmoid):
        try:
            scale = make(low, zero, one, high)
        except (ValueError, OverflowError, ZeroDivisionError):
            continue  # no such form has these values
        if torch.allclose(scale(raw)[0], found, rtol=1e-12, atol=0):
            return scale
    return None


def _exp(low: float, zero: float, one: float, high: float) -> Scale:
    return Exp()


def _clipped(low: float, zero: float, one: float, high: float) -> Scale:
    return ClippedExp(_log(low), _log(high))


def _bounded(low: float, zero: float, one: float, high: float) -> Scale:
    log_slope = math.log(one)  # 1 / (1 + 1 / bound)
    return BoundedExp(_rounded(log_slope / (1 - log_slope)))


def _softplus(low: float, zero: float, one: float, high: float) -> Scale:
    return Softplus(low, _rounded(math.log(math.expm1(zero - low))))


def _sigmoid(low: float, zero: float, one: float, high: float) -> Scale:
    share = zero - low
    return ShiftedSigmoid(_rounded(math.log(share / (1 - share))), low)


def _log(value: float) -> float:
    """Of a limit: an exponential that was not clipped has gone to 0 or to infinity."""
    return -math.inf if value == 0 else math.inf if math.isinf(value) else _rounded(math.log(value))


def _rounded(value: float) -> float:
    """The number that was meant: found through logarithms, it comes with their rounding."""
    return float(f"{value:.13g}")
