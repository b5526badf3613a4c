"""The outermost maps of a model of a table: from numbers of order one to columns in their own units and supports."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..bijections import Bijection, Chain, Elementwise, Standardise
from ..tables.schema import Column
from ..tables.source import Block
from ..univariate import HalfLine, Interval, Line, Univariate

MARGIN = 1e-6  # of a support's scale: cells on the very end of it stay at finite distance
FAR = 1e3  # standard deviations from most rows: so far off an end bends nothing, and single precision would suffer
LEAST = 1e-4  # of the margin: draws that are nearer to the end of it count as being so far away
ROUNDING = 4 * float(np.finfo(np.float32).eps)  # of an end: nearer to it single precision could not tell


def column_units(columns: Sequence[Column], rows: Block) -> Bijection:
    """u -> x: standardised numbers to the columns' units, inside their supports.

    A column between two ends is a logit, one with a single end a softplus in units of its standard deviation; after
    that everything is standardised. An end that is a thousand standard deviations away counts as none.

    Args:
        columns: Of the rows.
        rows: Training rows, whole numbers dequantised, (rows, columns).

    Error: the density reaches beyond an end by the margin, and samples from there are put on the end: 1e-6 of the
        interval, or of the median distance to a single end; more where single precision could not tell it from the end.
    """
    loc, scale, maps = zip(*map(_outermost, columns, rows.T), strict=True)
    outer = Standardise(loc, scale)
    if all(isinstance(m, Line) for m in maps):
        return outer
    supports = Elementwise(maps)
    with torch.no_grad():
        inside, _ = supports.inverse((torch.from_numpy(rows) - torch.tensor(loc)) / torch.tensor(scale))
    return Chain([Standardise(inside.mean(0).tolist(), inside.std(0, correction=0).tolist()), supports, outer])


def _outermost(column: Column, x: npt.NDArray[np.float64]) -> tuple[float, float, Univariate]:
    """Location and scale that are taken off first, and the support of what is left."""
    reach = FAR * float(x.std())
    low = column.low if column.low > np.median(x) - reach else -math.inf
    high = column.high + column.whole if column.high < np.median(x) + reach else math.inf  # k + u, u < 1
    if math.isinf(low) and math.isinf(high):
        return float(x.mean()), float(x.std()), Line()
    if math.isfinite(low) and math.isfinite(high):
        margin = max(MARGIN * (high - low), ROUNDING * max(abs(low), abs(high)))
        share = margin / (high - low)
        return 0.0, 1.0, Interval(low, high, share, least=LEAST * share)
    end, sign = (low, 1.0) if math.isfinite(low) else (high, -1.0)
    distance = sign * (x - end)
    # The median, not the standard deviation: of a column that spans decades most rows are far below the latter.
    typical = float(np.median(distance)) or float(distance.mean())
    margin = max(MARGIN * typical, ROUNDING * abs(end))
    scale = float(x.std())
    return float(end - sign * margin), scale, HalfLine(0.0, above=sign > 0, least=LEAST * margin / scale)
