"""The chance that one weighted number is below another, with its error: Mann-Whitney, area under the ROC curve."""

from typing import NamedTuple

import numpy as np

from .rows import Numbers, mean_and_error


class Placement(NamedTuple):
    """P(a < b) + P(a = b) / 2, its standard error, and the chance of a larger value if a and b have the same law."""

    value: float
    standard_error: float
    p_value: float


def placement(a: Numbers, b: Numbers, v: Numbers, w: Numbers) -> Placement:
    r"""How often a number of the one kind lies below a number of the other.

    .. math:: A = \sum_{ij} v_i w_j \left[1(a_i < b_j) + \tfrac12 1(a_i = b_j)\right]

    With a the scores of the negatives and b those of the positives this is the area under the ROC curve.

    Args:
        a: N numbers.
        b: M numbers.
        v: Weights of a, of sum 1.
        w: Weights of b, of sum 1.

    Error: DeLong's, from how much the share of b above a_i differs between the a_i, and the other way round. It holds
        for weights that are related to the numbers. The p-value takes it for normal.
    Cost: two sorts.
    Source: Mann and Whitney (1947); DeLong et al. (1988), Biometrics 44, 837.
    """
    above_a = 1 - _share_below(a, b, w)
    below_b = _share_below(b, a, v)
    value, error_a = mean_and_error(above_a, v)
    _, error_b = mean_and_error(below_b, w)
    error = float(np.hypot(error_a, error_b))
    return Placement(float(value), error, upper_tail(float(value) - 0.5, error))


def upper_tail(excess: float, error: float) -> float:
    """The chance that a normal deviation of that standard error is larger; without an error, whether there is one."""
    from scipy.special import ndtr

    if error == 0:
        return 0.0 if excess > 0 else 1.0
    return float(ndtr(-excess / error))


def _share_below(at: Numbers, x: Numbers, w: Numbers) -> Numbers:
    """Of the weight of x, what lies below each of `at`, ties counted half."""
    order = np.argsort(x, kind="stable")
    running = np.concatenate([[0.0], np.cumsum(w[order])])
    low, high = (np.searchsorted(x[order], at, side) for side in ("left", "right"))
    share: Numbers = 0.5 * (running[low] + running[high])
    return share
