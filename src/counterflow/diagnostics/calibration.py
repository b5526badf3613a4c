"""Calibration of a conditional density p(theta | x) over simulations whose theta is known."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from ..shapes import Context
from .draws import Posterior, draws_in_chunks, number_of_draws
from .kolmogorov import distance_to_uniform, half_width
from .pit import ranks_among_draws
from .rows import Array, Columns, Numbers, as_columns, as_weights, effective_number, mean_and_error, spread_of, uniforms
from .uniformity import BINS, Uniformity, uniformity

LEVELS = 50


@dataclasses.dataclass(frozen=True, eq=False)
class RankCalibration:
    """Simulation-based calibration: ranks of the true parameters among draws of their posterior.

    Attributes:
        ranks: How many draws lie below the true value, (N, D), whole numbers from 0 to `draws`, each equally likely.
        uniformity: Of the ranks, each spread over its bin, against the uniform law. A mean above 1/2 is a posterior
            that lies too low; a spread above 1 one that is too narrow, below 1 too wide.
        draws: L.
    """

    ranks: Int[np.ndarray, "N D"]
    uniformity: Uniformity
    draws: int


@dataclasses.dataclass(frozen=True, eq=False)
class ExpectedCoverage:
    """TARP: how often the true parameters lie in balls around random points that hold a given posterior mass.

    Attributes:
        level: Posterior masses a, (K,), from 0 to 1.
        coverage: The expected coverage ECP(a), (K,): the share of simulations whose truth is inside; a, if right.
        standard_error: Of each, (K,), binomial.
        band: A right posterior stays within level +- band at all levels at once in 95 % of cases.
        area: The integral of ECP(a) - a over a from 1/2 to 1 (ATC): 0 if right, above 0 for posteriors that are too
            wide, below 0 for those that are too narrow.
        area_error: Its standard error.
        statistic: The largest gap |ECP(a) - a|.
        p_value: The chance of a larger one of a right posterior. It sees shifts, too, which the area may not.
        inside: Of each simulation, the posterior mass that is nearer to the random point than the truth, (N,).
        rows: Simulations, N.
        effective_rows: (sum w)^2 / sum w^2, N without weights.
        draws: L.
    """

    level: Float[np.ndarray, " K"]
    coverage: Float[np.ndarray, " K"]
    standard_error: Float[np.ndarray, " K"]
    band: float
    area: float
    area_error: float
    statistic: float
    p_value: float
    inside: Float[np.ndarray, " N"]
    rows: int
    effective_rows: float
    draws: int


def simulation_based_calibration(
    posterior: Posterior,
    theta: Float[Tensor, "N D"],
    context: Context | None = None,
    *,
    draws: int | None = None,
    weight: Array | None = None,
    bins: int = BINS,
    generator: Generator | None = None,
) -> RankCalibration:
    r"""Ranks of the true parameters among L draws of their posterior, coordinate by coordinate.

    .. math:: \theta \sim p(\theta), \; x \sim p(x | \theta), \; \theta_l \sim q(\theta | x): \qquad
              r_j = \#\{l: \theta_{lj} < \theta_j\}, \quad \text{uniform on } 0, \dots, L \text{ if } q = p(\theta | x)

    Args:
        posterior: q: a model with a context; or a function of (contexts, count) that returns draws (count, n, D); or
            such draws of all rows, (L, N, D).
        theta: The true parameters of N simulations, drawn from the prior.
        context: Their data x, (N, \*context); None where draws are given.
        draws: L, 100 by default.
        weight: Of the simulations, where theta comes from another law than the prior; none count equally.
        bins: Of the histograms.
        generator: Of the draws of a model, and of what ties and bins are filled with.

    Raises:
        TypeError: not a posterior.
        ValueError: contexts or draws that do not fit theta, fewer than one draw, or weights that are not one per row.

    Error: the ranks are exactly uniform under a right posterior; the p-values are those of `uniformity`. It does not
        see what each coordinate on its own does not show (wrong correlations), and the *prior* in place of the
        posterior passes: ranks say nothing of how much was learnt from x.
    Cost: L draws for every row, in bounded memory.
    Source: Talts et al. (2018), arXiv:1804.06788; the caveat: Modrák et al. (2023), arXiv:2211.02383.
    """
    below, equal, count = ranks_among_draws(posterior, theta, context, draws=draws, generator=generator)
    # A true value that ties with e draws is equally likely to stand in each of the e + 1 places among them.
    ranks = np.floor(below + uniforms(*below.shape, generator=generator) * (equal + 1))
    values = (ranks + uniforms(*ranks.shape, generator=generator)) / (count + 1)
    return RankCalibration(ranks.astype(np.int64), uniformity(values, weight, bins=bins), count)


def tarp(
    posterior: Posterior,
    theta: Float[Tensor, "N D"],
    context: Context | None = None,
    *,
    references: Array | None = None,
    draws: int | None = None,
    weight: Array | None = None,
    generator: Generator | None = None,
) -> ExpectedCoverage:
    r"""Tests of accuracy with random points: coverage of q(theta | x) from its draws alone, in all dimensions at once.

    .. math:: f_i = \frac{\#\{l: |\theta_{il} - r_i| < |\theta_i - r_i|\} + V_i (\#\{l: = \} + 1)}{L + 1}, \qquad
              ECP(a) = \sum_i w_i 1(f_i \le a), \qquad \sum_i w_i = 1

    with distances in units of the standard deviations of theta. f is uniform if q is the posterior, wherever r is.

    Args:
        posterior: q, as for `simulation_based_calibration`.
        theta: The true parameters of N simulations.
        context: Their data.
        references: r, (N, D). By default uniform in the box that theta spans. They may depend on x, not on theta;
            then a q that ignores x is seen as well.
        draws: L, 100 by default.
        weight: Of the simulations; none count equally.
        generator: Of the draws of a model, of r, and of V.

    Raises:
        TypeError: not a posterior.
        ValueError: contexts, draws or references that do not fit theta, a coordinate of theta that does not vary,
            fewer than one draw, or weights that are not one per row or do not sum to more than 0.

    Error: f is exactly uniform under a right posterior. With references that do not look at x, the prior in place of
        the posterior passes. Of a wrong correlation, references all around average over directions that are too narrow
        and too wide; references far off in one direction test the sum of the parameters along it.
    Cost: L draws for every row, in bounded memory.
    Source: Lemos et al. (2023), arXiv:2302.03026; the default references and the unit-free distance are theirs.
    """
    truth = as_columns(theta, "theta")
    w = as_weights(weight, len(truth), "theta")
    # Every row counts alike here: this fixes a unit, not an estimate, and weights of both signs could spoil it.
    unit = spread_of(truth, as_weights(None, len(truth), "theta"), "theta")
    points = _references(truth, references, generator)
    count = number_of_draws(posterior, draws)
    nearer, equal = np.empty(len(truth)), np.empty(len(truth))
    scale = torch.from_numpy(unit)
    for part, drawn in draws_in_chunks(posterior, theta, context, count, generator=generator):
        own, point = torch.from_numpy(truth[part]), torch.from_numpy(points[part])
        theirs = ((drawn.cpu().double() - point) / scale).square().sum(-1)  # (L, n)
        if bool(theirs.isnan().any()):
            raise ValueError(f"among the draws for rows {part.start} to {part.stop - 1} are NaN")
        distance = ((own - point) / scale).square().sum(-1)
        nearer[part] = (theirs < distance).sum(0).numpy()
        equal[part] = (theirs == distance).sum(0).numpy()
    spread = uniforms(len(truth), generator=generator)
    return _expected_coverage((nearer + spread * (equal + 1)) / (count + 1), w, count)


def _references(truth: Columns, references: Array | None, generator: Generator | None) -> Columns:
    if references is None:
        low, high = truth.min(0), truth.max(0)
        return np.asarray(low + (high - low) * uniforms(*truth.shape, generator=generator))
    points = as_columns(references, "references")
    if points.shape != truth.shape:
        raise ValueError(f"expected a reference point for each row of theta, {truth.shape}, got {points.shape}")
    return points


def _expected_coverage(inside: Numbers, w: Numbers, draws: int) -> ExpectedCoverage:
    level = np.linspace(0, 1, LEVELS + 1)
    within = (inside[:, None] <= level).astype(np.float64)  # (N, K)
    share, _ = mean_and_error(within, w)
    distance = distance_to_uniform(inside, w, np.inf)
    # Integrated row by row: of 1(f <= a) over a > 1/2 there remains 1 - max(f, 1/2), and of a there remains 3/8.
    area, area_error = mean_and_error(1 - np.maximum(inside, 0.5) - 0.375, w)
    return ExpectedCoverage(
        level=level,
        coverage=share,
        standard_error=np.sqrt(np.tensordot(np.square(w), np.square(within - share), 1)),
        band=half_width(distance.rows, 0.05),
        area=float(area),
        area_error=float(area_error),
        statistic=distance.statistic,
        p_value=distance.p_value,
        inside=inside,
        rows=len(inside),
        effective_rows=effective_number(w),
        draws=draws,
    )
