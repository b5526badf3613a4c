"""Coverage of highest-density regions: whether the densest 90 % of the model hold 90 % of the data."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .density_ranks import DensityRanks
from .rows import Array, as_weights, effective_number, mean_and_error
from .uniformity import Uniformity, uniformity

LEVELS = (0.5, 0.6827, 0.9, 0.9545, 0.99)


@dataclasses.dataclass(frozen=True, eq=False)
class Coverage:
    """How much of the data lies in the regions that should hold a given share of it.

    Attributes:
        level: The shares that the model promises, (K,).
        coverage: The shares of held-out rows inside, (K,).
        standard_error: Of each, (K,).
        null_error: The standard deviation that a right model would show at each level, (K,): what a deviation is to be
            compared with. Never 0, unlike the standard error of a coverage of 0 or 1.
        uniformity: All levels at once: the one column holds the level at which each row is first inside. Mean above
            1/2: rows less dense than the model expects (too narrow); below: denser (too wide).
        rows: N.
        effective_rows: (sum w)^2 / sum w^2, N without weights.
        draws: How many draws of the model stand for each region.
    """

    level: Float[np.ndarray, " K"]
    coverage: Float[np.ndarray, " K"]
    standard_error: Float[np.ndarray, " K"]
    null_error: Float[np.ndarray, " K"]
    uniformity: Uniformity
    rows: int
    effective_rows: float
    draws: int


def coverage(ranks: DensityRanks, *, levels: Sequence[float] = LEVELS, weight: Array | None = None) -> Coverage:
    r"""The share of rows whose log p is at least the (1 - a) quantile of log p of the model's samples.

    .. math:: C(a) = \sum_i w_i 1(\text{level}_i \le a), \qquad \sum_i w_i = 1

    Args:
        ranks: Of held-out rows, from `density_ranks`; given contexts, every row has its own regions.
        levels: The promised shares a, between 0 and 1.
        weight: One per row; none count equally.

    Raises:
        ValueError: levels outside (0, 1), or weights that are not one per row or do not sum to more than 0.

    Error: sqrt(C (1 - C) / N) without weights; C (1 - C) / S is added to the variance where all rows share S draws.
    Cost: nothing beside the ranks.
    Source: Hyndman (1996), Am. Stat. 50, 120; for flows Rozet et al. (2021), Hermans et al. (2022), arXiv:2110.06581.
    """
    a = np.asarray(levels, dtype=np.float64)
    if not a.size or not ((a > 0) & (a < 1)).all():
        raise ValueError(f"expected levels between 0 and 1, got {tuple(levels)}")
    rows = len(ranks.level)
    w = as_weights(weight, rows, "the rows")
    inside = (ranks.level[:, None] <= a).astype(np.float64)  # (N, K)
    share, _ = mean_and_error(inside, w)
    # The binomial error, from the share itself; of weighted rows, that of a weighted share.
    variance = np.tensordot(np.square(w), np.square(inside - share), 1)
    null = a * (1 - a)
    return Coverage(
        level=a,
        coverage=share,
        standard_error=np.sqrt(variance + share * (1 - share) / ranks.reference_rows),
        null_error=np.sqrt(null * (np.square(w).sum() + 1 / ranks.reference_rows)),
        uniformity=uniformity(ranks.level[:, None], weight, reference_rows=ranks.reference_rows),
        rows=rows,
        effective_rows=effective_number(w),
        draws=ranks.draws,
    )
