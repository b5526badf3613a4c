"""Distances between the columns of data and of samples, one column at a time, beside data against data."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from torch import Generator

from .kolmogorov import distance_between
from .rows import Array, Numbers, as_columns, as_weights, check_same_columns, effective_number, permutation, spread_of
from .uniformity import holm

SPLITS = 20


@dataclasses.dataclass(frozen=True, eq=False)
class MarginalDistances:
    """How far each of D columns of the samples is from that of the data.

    Attributes:
        wasserstein: Wasserstein-1 in standard deviations of the data, (D,): how far a value must move, on average.
        wasserstein_expected: What data against data would show at these numbers of rows, (D,).
        wasserstein_scatter: The standard deviation of that from one split of the data to another, (D,).
        kolmogorov: Kolmogorov-Smirnov: the largest difference of the distribution functions, (D,).
        kolmogorov_expected: What data against data would show at these numbers of rows, (D,).
        kolmogorov_scatter: The standard deviation of that, (D,).
        p_value: Of the Kolmogorov-Smirnov distance, (D,).
        adjusted_p_value: The same after Holm's correction over the columns.
        rows: Of the data, N.
        effective_rows: (sum w)^2 / sum w^2 of the data.
        samples: Of the model, S.
        effective_samples: (sum w)^2 / sum w^2 of the samples.
    """

    wasserstein: Float[np.ndarray, " D"]
    wasserstein_expected: Float[np.ndarray, " D"]
    wasserstein_scatter: Float[np.ndarray, " D"]
    kolmogorov: Float[np.ndarray, " D"]
    kolmogorov_expected: Float[np.ndarray, " D"]
    kolmogorov_scatter: Float[np.ndarray, " D"]
    p_value: Float[np.ndarray, " D"]
    adjusted_p_value: Float[np.ndarray, " D"]
    rows: int
    effective_rows: float
    samples: int
    effective_samples: float


def marginal_distances(
    x: Array,
    samples: Array,
    *,
    weight: Array | None = None,
    sample_weight: Array | None = None,
    generator: Generator | None = None,
) -> MarginalDistances:
    r"""Two distances of every column, each beside the value that chance alone would give.

    .. math:: W_1 = \frac1\sigma \int |F(t) - G(t)| dt, \qquad D = \sup_t |F(t) - G(t)|

    with F and G the weighted distribution functions of data and samples, sigma the standard deviation of the data.
    What chance gives is measured: the data are cut into random halves 20 times, and the distances of the halves scaled
    by sqrt((1/N + 1/S) / (1/n + 1/m)) with n and m the (effective) sizes of the halves.

    Args:
        x: Rows of data (N, D), N at least 4.
        samples: Of the model, (S, D).
        weight: Of the rows, finite and of positive sum; negative ones are allowed.
        sample_weight: Of the samples, likewise.
        generator: Of the halves.

    Raises:
        TypeError: neither tensors nor arrays.
        ValueError: fewer than 4 rows, not the same columns, cells that are not finite, a column of the data that does
            not vary, or weights that are not one per row or do not sum to more than 0 (in a half, either).

    Error: the expected values from 20 splits are good to scatter / sqrt(20); they say nothing of weights of the
        samples that differ in kind from those of the data. One column at a time: no correlation is seen.
    Cost: a sort of each column, and 20 passes over it.
    Source: Villani (2009), Optimal Transport, (6.3); Kolmogorov (1933), Smirnov (1948).
    """
    a, b = as_columns(x, "the data"), as_columns(samples, "the samples")
    check_same_columns(a, b, "the data", "the table of samples")
    if len(a) < 4:
        raise ValueError(f"data against data needs at least 4 rows, got {len(a)}")
    v, w = as_weights(weight, len(a), "the data"), as_weights(sample_weight, len(b), "the samples")
    unit = spread_of(a, v, "the data")
    halves = _halves(v, 1 / effective_number(v) + 1 / effective_number(w), generator)
    moved = [wasserstein_1(p, q, v, w) for p, q in zip(a.T, b.T, strict=True)]
    gaps = [distance_between(p, q, v, w) for p, q in zip(a.T, b.T, strict=True)]
    chance = np.stack([_data_against_data(column, v, halves) for column in a.T], 1)  # (splits, D, 2)
    p_value = np.array([gap.p_value for gap in gaps])
    return MarginalDistances(
        wasserstein=np.array(moved) / unit,
        wasserstein_expected=chance[..., 0].mean(0) / unit,
        wasserstein_scatter=chance[..., 0].std(0, ddof=1) / unit,
        kolmogorov=np.array([gap.statistic for gap in gaps]),
        kolmogorov_expected=chance[..., 1].mean(0),
        kolmogorov_scatter=chance[..., 1].std(0, ddof=1),
        p_value=p_value,
        adjusted_p_value=holm(p_value),
        rows=len(a),
        effective_rows=effective_number(v),
        samples=len(b),
        effective_samples=effective_number(w),
    )


def wasserstein_1(a: Numbers, b: Numbers, v: Numbers, w: Numbers) -> float:
    """The integral of |F - G| over the line, F and G the distribution functions of a and b with weights of sum 1."""
    x = np.concatenate([a, b])
    order = np.argsort(x, kind="stable")
    gap = np.cumsum(np.concatenate([v, -w])[order])
    return float(np.abs(gap[:-1]) @ np.diff(x[order]))


class _Half(NamedTuple):
    """One cut of the data: which rows are in the first half, and the weights' totals, scaled to the sizes asked for."""

    first: Bool[np.ndarray, " N"]
    totals: tuple[float, float]


def _halves(v: Numbers, variance: float, generator: Generator | None) -> list[_Half]:
    """Random cuts; one byte a row is kept of each."""
    cuts = []
    for _ in range(SPLITS):
        first = np.zeros(len(v), dtype=bool)
        first[permutation(len(v), generator)[: len(v) // 2]] = True
        a, b = v[first], v[~first]
        if not (a.sum() > 0 and b.sum() > 0):
            raise ValueError("a random half of the data has weights that do not sum to more than 0: too few rows")
        scale = np.sqrt((1 / effective_number(a) + 1 / effective_number(b)) / variance)
        cuts.append(_Half(first, (float(a.sum() * scale), float(b.sum() * scale))))
    return cuts


def _data_against_data(column: Numbers, v: Numbers, halves: list[_Half]) -> Float[np.ndarray, "splits 2"]:
    order = np.argsort(column, kind="stable")
    step, w = np.diff(column[order]), v[order]
    ends = step > 0
    results = np.zeros((len(halves), 2))
    for result, (first, totals) in zip(results, halves, strict=True):
        gap = np.abs(np.cumsum(np.where(first[order], w / totals[0], -w / totals[1]))[:-1])
        result[:] = gap @ step, gap[ends].max()
    return results
