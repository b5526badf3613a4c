"""Held-out log-likelihood as a mean with its standard error, and the fitted Gaussian that it is compared with."""

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor

from .densities import Density
from .shapes import LogDensity, Vector

CHUNK_CELLS = 2**18  # cells scored or sampled at a time
CHUNK_ROWS = 4096


def chunk_rows(features: int) -> int:
    """Rows to score or sample at a time, so that memory does not grow with their number."""
    return max(1, min(CHUNK_ROWS, CHUNK_CELLS // features))


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over independent rows, with its standard error; the error of a single row is NaN."""

    mean: float
    standard_error: float
    rows: int


def estimate(values: Float[Tensor, " N"]) -> Estimate:
    r"""Mean and standard error of N independent values.

    .. math:: \bar v, \qquad \sqrt{\sum_i (v_i - \bar v)^2 / (N (N - 1))}

    Raises:
        ValueError: no values.
    """
    if not values.numel():
        raise ValueError("expected at least one value to average, got none")
    v = values.double()
    error = v.std() / math.sqrt(len(v)) if len(v) > 1 else math.nan
    return Estimate(float(v.mean()), float(error), len(v))


class FittedGaussian:
    r"""The normal of maximum likelihood, N(x; m, S): the density any flow should beat.

    .. math:: m = \frac1N \sum_i x_i, \qquad S = \frac1N \sum_i (x_i - m)(x_i - m)^\top

    Args:
        x: Training rows (N, D), N > D.

    Raises:
        ValueError: too few rows, or a column that is a linear combination of others: S is singular.

    Cost: N D^2; everything in double precision.
    """

    def __init__(self, x: Float[Tensor, "N D"]) -> None:
        rows, features = x.shape
        if rows <= features:
            raise ValueError(f"a Gaussian in {features} dimensions needs more than {features} rows, got {rows}")
        v = x.double()
        self._mean = v.mean(0)
        centred = v - self._mean
        self._spread = centred.std(0, correction=0)
        standard = centred / self._spread  # columns of very different units would spoil the factorisation
        factor, failed = torch.linalg.cholesky_ex(standard.T @ standard / rows)
        if int(failed) or not bool(torch.isfinite(factor).all()):
            raise ValueError("the columns are linearly dependent, so no Gaussian density fits them")
        self._factor = factor

    def log_prob(self, x: Vector, /) -> LogDensity:
        r"""log N(x; m, S), in double precision.

        .. math:: -\tfrac12 (x - m)^\top S^{-1} (x - m) - \tfrac12 \log\det 2 \pi S
        """
        standard = ((x.double() - self._mean) / self._spread).reshape(-1, len(self._mean))
        u = torch.linalg.solve_triangular(self._factor, standard.T, upper=False)  # (D, B)
        log_det = self._factor.diagonal().log().sum() + self._spread.log().sum()
        constant = 0.5 * len(self._mean) * math.log(2 * math.pi)
        log_prob: Tensor = -0.5 * u.square().sum(0) - log_det - constant
        return log_prob.reshape(x.shape[:-1])


@torch.no_grad()
def log_prob_in_chunks(density: Density, x: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
    """log p(x_i) of every row.

    Cost: one scoring pass, memory of one chunk beside the result.
    """
    return torch.cat([density.log_prob(chunk) for chunk in x.split(chunk_rows(x.shape[-1]))])


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Held-out nats per row of a model, of a baseline, and of one minus the other row by row."""

    model: Estimate
    baseline: Estimate
    difference: Estimate


def compare(model: Density, baseline: Density, x: Float[Tensor, "N D"]) -> Comparison:
    """Score held-out rows under both; the difference is paired, so its error is that of the differences.

    Raises:
        ValueError: no rows.
    """
    ours, theirs = log_prob_in_chunks(model, x).double(), log_prob_in_chunks(baseline, x).double()
    return Comparison(estimate(ours), estimate(theirs), estimate(ours - theirs))
