"""Importance weights p / q of a student's draws: what they are worth, and whether their mean can be trusted."""

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..diagnostics import Estimate

TRUSTED = 0.7  # of k-hat: below it the mean of the weights converges at a useful rate
FEWEST = 25  # weights, from which a tail can be fitted
ROUNDED = 1e-3  # nats, which rounding alone makes of a difference of log densities in single precision

Weights = Float[Tensor, " N"]


@dataclasses.dataclass(frozen=True)
class WeightReport:
    """What the weights p / q of N draws of q say.

    Attributes:
        draws: N.
        effective_fraction: (sum w)^2 / (N sum w^2): the share of independent draws of p that they are worth.
        k_hat: The shape of the weights' tail; moments of order 1 / k-hat and more are infinite. Minus infinity where
            the largest weights are equal; NaN where they do not tell, and `lacking` says why.
        log_mean: log of the mean weight, an estimate of the log normaliser of p relative to q: 0 where both are
            normalised. Its standard error is that of the delta method, and means nothing where k-hat is above 0.7.
        largest: The share of the largest weight in their sum.
    """

    draws: int
    effective_fraction: float
    k_hat: float
    log_mean: Estimate
    largest: float

    @property
    def trusted(self) -> bool:
        """Whether k-hat allows statements about means of the weights."""
        return self.k_hat <= TRUSTED

    @property
    def lacking(self) -> str | None:
        """What k-hat, where it is NaN, cannot be told from; None where it is known."""
        if not math.isnan(self.k_hat):
            return None
        if self.draws < FEWEST:
            return f"fewer than {FEWEST} draws"
        return "so many equal weights"


def report_of(log_weight: Weights) -> WeightReport:
    r"""Effective sample size, tail and mean of weights.

    .. math:: \frac{(\sum w)^2}{N \sum w^2}, \qquad \log \frac1N \sum_i w_i

    Args:
        log_weight: log p(x_i) - log q(x_i), (N,); -inf where p is zero.

    Raises:
        ValueError: fewer than two weights, NaN among them, or all of them zero.

    Source: Kong (1992) for the effective size; Vehtari et al. (2024), arXiv:1507.02646, for k-hat.
    """
    values = checked(log_weight)
    w = (values - values.max()).exp()
    mean = w.mean()
    error = w.std() / mean / math.sqrt(len(w))
    return WeightReport(
        draws=len(w),
        effective_fraction=float(w.sum().square() / (len(w) * w.square().sum())),
        k_hat=tail_shape(values),
        log_mean=Estimate(float(mean.log() + values.max()), float(error), len(w)),
        largest=float(w.max() / w.sum()),
    )


def tail_shape(log_weight: Weights) -> float:
    """Pareto k-hat of the largest weights; -inf where they are equal, NaN where they do not tell."""
    return smoothed(log_weight)[1]


def smoothed(log_weight: Weights) -> tuple[Weights, float]:
    """Weights whose largest are replaced by quantiles of a fitted Pareto tail, normalised to sum 1; and k-hat.

    Where k-hat is not finite, they are as they were.

    Error: a little bias for much less variance.    Source: Vehtari et al. (2024), arXiv:1507.02646.
    """
    unfitted = _unfitted(log_weight)
    if unfitted is not None:
        return (log_weight - log_weight.logsumexp(0)).exp(), unfitted
    from arviz_stats.base.array import array_stats

    with np.errstate(over="ignore"):  # in the fit of the tail, before arviz-stats 0.7
        found, k_hat = array_stats.psislw(-log_weight.double().numpy())  # it takes log q - log p
    values = torch.from_numpy(np.asarray(found))
    return (values - values.logsumexp(0)).exp(), float(k_hat)


def _unfitted(log_weight: Weights) -> float | None:
    """k-hat where no tail can be fitted, since the fit divides by what a quarter of the tail is above its threshold.

    Minus infinity where the largest weights are equal, but for rounding; infinite where they differ by more than double
    precision holds; NaN for fewer than 25, or so many equal ones that a quarter of the tail is on its threshold.
    """
    n = len(log_weight)
    if n < FEWEST:
        return math.nan
    size = int(3 * math.sqrt(n)) if n > 225 else n // 5  # of the tail, as the paper has it
    tail = (log_weight - log_weight.max()).topk(size + 1).values.flip(0).tolist()
    threshold, least, quarter = tail[0], tail[1], tail[int(size / 4 + 0.5)]
    if least == 0.0 or threshold > -1e-12:
        return -math.inf
    if math.exp(quarter) > math.exp(threshold):
        return None
    if threshold > -ROUNDED:
        return -math.inf
    return math.inf if quarter > threshold else math.nan


class Incomparable(ValueError):
    """Two densities of which one says nothing about the other: weights between them are not finite, or all zero."""


def checked(log_weight: Tensor) -> Weights:
    """Log weights in double precision, of which something can be said.

    Raises:
        ValueError: fewer than two.
        Incomparable: not finite, or all zero.
    """
    values = log_weight.detach().double().reshape(-1)
    if len(values) < 2:
        raise ValueError(f"expected at least two weights, got {len(values)}")
    if bool(values.isnan().any()) or bool((values == math.inf).any()):
        raise Incomparable("a weight is not a number: log p or log q of a draw is NaN or infinite")
    if not bool((values > -math.inf).any()):
        raise Incomparable("all weights are zero: no draw of the student lies where the teacher has density")
    return values
