"""Held-out log-likelihood as a mean with its standard error, and the fitted Gaussian that it is compared with."""

import dataclasses
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..densities import Density
from ..shapes import Context, LogDensity, Vector

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


def estimate(values: Float[Tensor, " N"], weight: Float[Tensor, " N"] | None = None) -> Estimate:
    r"""Mean and standard error of N independent values, each counted by its weight.

    .. math:: \bar v = \frac{\sum_i w_i v_i}{\sum_i w_i}, \qquad
              \sqrt{\frac{N}{N - 1}} \frac{\sqrt{\sum_i w_i^2 (v_i - \bar v)^2}}{\sum_i w_i}

    Raises:
        ValueError: no values, or weights whose sum is not positive.
    """
    if not values.numel():
        raise ValueError("expected at least one value to average, got none")
    v = values.double()
    w = torch.ones_like(v) if weight is None else weight.double()
    if not float(w.sum()) > 0:
        raise ValueError(f"the weights sum to {float(w.sum()):g}; the sum must be positive")
    w = w / w.sum()
    mean = (w * v).sum()
    error = (w * (v - mean)).norm() * math.sqrt(len(v) / (len(v) - 1)) if len(v) > 1 else math.nan
    return Estimate(float(mean), float(error), len(v))


class FittedGaussian:
    r"""The normal of maximum likelihood, N(x; m, S): the density any flow should beat.

    .. math:: m = \sum_i w_i x_i, \qquad S = \sum_i w_i (x_i - m)(x_i - m)^\top, \qquad \sum_i w_i = 1

    Args:
        x: Training rows (N, D), N > D.
        weight: How much each counts, (N,); all alike if not given.

    Raises:
        ValueError: too few rows, weights whose sum is not positive, or a column that is a linear combination of others:
            S is singular.

    Cost: N D^2; everything in double precision.
    """

    def __init__(self, x: Float[Tensor, "N D"], weight: Float[Tensor, " N"] | None = None) -> None:
        rows, features = x.shape
        if rows <= features:
            raise ValueError(f"a Gaussian in {features} dimensions needs more than {features} rows, got {rows}")
        v = x.double()
        w = v.new_ones(rows) if weight is None else weight.double()
        if not float(w.sum()) > 0:
            raise ValueError(f"the weights sum to {float(w.sum()):g}; the sum must be positive")
        w = (w / w.sum())[:, None]
        self._mean = (w * v).sum(0)
        centred = v - self._mean
        self._spread = (w * centred.square()).sum(0).sqrt()
        standard = centred / self._spread  # columns of very different units would spoil the factorisation
        factor, failed = torch.linalg.cholesky_ex(standard.T @ (w * standard))
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
def log_prob_in_chunks(
    density: Density, x: Float[Tensor, "N D"], context: Context | None = None
) -> Float[Tensor, " N"]:
    """log p(x_i) of every row, or log p(x_i | c_i) where every row has its context.

    Raises:
        ValueError: not as many contexts as rows.

    Cost: one scoring pass, memory of one chunk beside the result.
    """
    chunks = x.split(chunk_rows(x.shape[-1]))
    if context is None:
        return torch.cat([density.log_prob(chunk) for chunk in chunks])
    if not context.ndim or len(context) != len(x):
        raise ValueError(f"expected a context for each of the {len(x)} rows, got shape {tuple(context.shape)}")
    conditional: Any = density
    parts = context.split(chunk_rows(x.shape[-1]))
    return torch.cat([conditional.log_prob(chunk, part) for chunk, part in zip(chunks, parts, strict=True)])


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Held-out nats per row of a model, of a baseline, and of one minus the other row by row."""

    model: Estimate
    baseline: Estimate
    difference: Estimate


def compare(
    model: Density, baseline: Density, x: Float[Tensor, "N D"], weight: Float[Tensor, " N"] | None = None
) -> Comparison:
    """Score held-out rows under both; the difference is paired, so its error is that of the differences.

    Raises:
        ValueError: no rows, or weights that `estimate` refuses.
    """
    return compare_scores(log_prob_in_chunks(model, x), log_prob_in_chunks(baseline, x), weight)


def compare_scores(
    model: Float[Tensor, " _"], baseline: Float[Tensor, " _"], weight: Float[Tensor, " _"] | None = None
) -> Comparison:
    """The same from two log densities of the same rows: for conditional densities, for scores kept in a file.

    Raises:
        ValueError: no rows, not as many scores of one as of the other, or weights that `estimate` refuses.
    """
    if model.shape != baseline.shape:
        raise ValueError(f"expected two scores of the same rows, got {len(model)} and {len(baseline)}")
    ours, theirs = model.double(), baseline.double()
    return Comparison(estimate(ours, weight), estimate(theirs, weight), estimate(ours - theirs, weight))
