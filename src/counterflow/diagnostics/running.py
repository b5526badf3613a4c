"""A weighted mean with its standard error, over rows that arrive in blocks and are not kept."""

import math

import numpy as np
import numpy.typing as npt

from .likelihood import Estimate

Numbers = npt.NDArray[np.float64]


class RunningMean:
    r"""Sums over blocks, from which `estimate` makes what it would make of all rows at once.

    .. math:: \bar v = \frac{\sum_i w_i v_i}{\sum_i w_i}, \qquad
              \sqrt{\frac{N}{N - 1}} \frac{\sqrt{\sum_i w_i^2 (v_i - \bar v)^2}}{\sum_i w_i}

    Error: sums are of deviations from the first block's mean, so rounding stays that of the spread.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.weighted = False
        self._centre: float | None = None
        self._sums = np.zeros(5)  # of w, w d, w^2, w^2 d, w^2 d^2, with d the deviation from the centre

    def add(self, values: Numbers, weight: Numbers | None = None) -> None:
        """A block of values, and of their weights."""
        if not len(values):
            return
        if self._centre is None:
            self._centre = float(values.mean())
        self.rows += len(values)
        self.weighted = self.weighted or weight is not None
        w, d = np.ones_like(values) if weight is None else weight, values - self._centre
        self._sums += [w.sum(), w @ d, w @ w, (w * w) @ d, (w * w) @ (d * d)]

    def estimate(self) -> Estimate | None:
        """Mean and standard error; None without values, or with weights whose sum is not positive."""
        w, wd, ww, wwd, wwdd = self._sums
        if self._centre is None or not w > 0:
            return None
        shift = wd / w
        if self.rows < 2:
            return Estimate(self._centre + shift, math.nan, self.rows)
        square = max(0.0, wwdd - 2 * shift * wwd + shift * shift * ww)
        error = math.sqrt(square * self.rows / (self.rows - 1)) / w
        return Estimate(float(self._centre + shift), float(error), self.rows)
