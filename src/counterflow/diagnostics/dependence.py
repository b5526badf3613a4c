"""Whether columns of numbers that should be uniform are unrelated to each other."""

import dataclasses

import numpy as np
from jaxtyping import Float

from .rows import Columns, Numbers


@dataclasses.dataclass(frozen=True, eq=False)
class Dependence:
    """Correlations of D columns that should be independent of each other.

    Attributes:
        correlation: Of each pair, (D, D), 1 on the diagonal; about 0 +- 1 / sqrt(N) if independent.
        pair: The two columns whose correlation is largest beside its error; (0, 0) of a single column.
        p_value: The chance that independence shows a pair as conspicuous anywhere among all; 1 of a single column.
    """

    correlation: Float[np.ndarray, "D D"]
    pair: tuple[int, int]
    p_value: float


def dependence(v: Columns, w: Numbers) -> Dependence:
    r"""Correlations of columns whose law is known to be uniform on [0, 1].

    .. math:: r_{jk} = 12 \sum_i w_i (v_{ij} - \tfrac12)(v_{ik} - \tfrac12)

    Mean and variance are the known ones, not estimates.

    Args:
        v: N rows of D columns.
        w: Their weights, of sum 1.

    Error: r is compared with its standard error, the root of sum w^2 (12 (v_j - 1/2)(v_k - 1/2) - r)^2, by the normal
        law, and the smallest p-value times the number of pairs (Bonferroni): at most the stated chance, for N >> 1.
    Cost: N D^2.
    """
    features = v.shape[1]
    z = np.sqrt(12) * (v - 0.5)
    r = z.T @ (w[:, None] * z)
    if features == 1 or len(v) == 1:
        return Dependence(np.ones((features, features)), (0, 0), 1.0)
    squares = np.square(w)[:, None]
    moment = np.square(z).T @ (squares * np.square(z)) - 2 * r * (z.T @ (squares * z)) + r * r * squares.sum()
    np.fill_diagonal(r, 1.0)
    ratio = np.triu(np.abs(r) / np.sqrt(np.maximum(moment, np.finfo(float).tiny)), 1)
    pair = np.unravel_index(int(ratio.argmax()), ratio.shape)
    return Dependence(r, (int(pair[0]), int(pair[1])), _chance(float(ratio.max()), features * (features - 1) / 2))


def _chance(ratio: float, pairs: float) -> float:
    from scipy.special import ndtr

    return min(1.0, 2 * pairs * float(ndtr(-ratio)))
