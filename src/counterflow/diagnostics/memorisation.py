"""Whether a model repeats its training rows: nearest neighbours of samples beside those of held-out rows."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .placement import placement
from .rows import Array, Columns, Numbers, as_columns, as_weights, check_not_negative, check_same_columns, spread_of
from .rows import effective_number as number

QUANTILES = (0.01, 0.05, 0.1, 0.5)
CHUNK = 4096  # rows whose neighbours are looked up at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Memorisation:
    """How near samples lie to training rows, compared with held-out rows, which the model cannot have learnt.

    Attributes:
        nearer: The chance that a sample is nearer to its nearest training row than a held-out row is to its own. 1/2
            of a right model; above: it repeats training rows; below: its samples lie where no data are.
        nearer_error: Its standard error.
        p_value: The chance of a larger value of a right model (Mann-Whitney, one-sided).
        quantile: Shares q of the held-out rows, (K,).
        distance: The distance within which that share of them has a training row, (K,), in standard deviations.
        share_nearer: The share of samples nearer than that, (K,): q of a right model. More at small q: some samples are
            near-copies. Of samples at just that distance counts as large a part as makes up q of the held-out rows.
        share_error: The standard deviation of it under a right model, (K,). 0 where all held-out rows are at one
            distance, which then says nothing.
        copies: Samples that equal a training row in every cell.
        held_out_copies: Held-out rows that do; expected where cells are whole numbers.
        samples: Their number, S.
        held_out_rows: Their number, N.
        effective_held_out_rows: (sum w)^2 / sum w^2 of them.
        training_rows: Their number.
        sample_distance: Of each sample to its nearest training row, (S,).
        held_out_distance: Of each held-out row to its own, (N,).
    """

    nearer: float
    nearer_error: float
    p_value: float
    quantile: Float[np.ndarray, " K"]
    distance: Float[np.ndarray, " K"]
    share_nearer: Float[np.ndarray, " K"]
    share_error: Float[np.ndarray, " K"]
    copies: int
    held_out_copies: int
    samples: int
    held_out_rows: int
    effective_held_out_rows: float
    training_rows: int
    sample_distance: Float[np.ndarray, " S"]
    held_out_distance: Float[np.ndarray, " N"]


def memorisation(
    samples: Array,
    training: Array,
    held_out: Array,
    *,
    weight: Array | None = None,
    sample_weight: Array | None = None,
    quantiles: Sequence[float] = QUANTILES,
) -> Memorisation:
    r"""Distances to the nearest training row, of samples and of held-out rows.

    .. math:: d(x) = \min_i \sqrt{\sum_j (x_j - t_{ij})^2 / \sigma_j^2}

    with t the training rows and sigma their standard deviations. Given the training rows, d of held-out rows and d of
    samples are independent draws of the same law if the model is right; no tuning, no reference value. Whole numbers
    leave many rows at one distance, often at 0: in `nearer` such a pair counts half, and in `share_nearer`, with t the
    quantile of the held-out distances h,

    .. math:: \frac1S \sum_i g(d_i), \qquad g(d) = 1(d < t) + \gamma 1(d = t), \qquad
              \gamma = \frac{q - P(h < t)}{P(h = t)}

    which is what a test that breaks ties by lot finds on average: q of a right model.

    Args:
        samples: Of the model, (S, D).
        training: The rows that the model was fitted to, unweighted here: whether one is near does not depend on it.
        held_out: Rows of the same law that it was not fitted to, (N, D).
        weight: Of the held-out rows, not negative; none count equally.
        sample_weight: Of the samples, not negative; none count equally.
        quantiles: Of the distances of held-out rows, between 0 and 1.

    Raises:
        TypeError: neither tensors nor arrays.
        ValueError: not the same columns, cells that are not finite, a column that does not vary in training, weights
            that are negative or not one per row, quantiles outside (0, 1).

    Error: DeLong's error of `nearer`, that of the delta method of `share_nearer`, (P(h < t) + gamma^2 P(h = t) - q^2)
        (1/S + 1/N); the p-value takes it for normal. In many dimensions distances concentrate, and a copy of a few
        columns only goes unseen; so do copies of rows that held-out rows repeat, too.
    Cost: one search of neighbours: a tree in few dimensions, S M D operations for M training rows in many; in bounded
        memory.
    Source: the comparison with held-out rows: Meehan et al. (2020), arXiv:2004.05675.
    """
    s, t, h = (
        as_columns(samples, "the samples"),
        as_columns(training, "the training rows"),
        as_columns(held_out, "the held-out rows"),
    )
    check_same_columns(s, t, "the table of samples", "that of training rows")
    check_same_columns(h, t, "the table of held-out rows", "that of training rows")
    q = np.asarray(quantiles, dtype=np.float64)
    if not q.size or not ((q > 0) & (q < 1)).all():
        raise ValueError(f"expected quantiles between 0 and 1, got {tuple(quantiles)}")
    v, w = as_weights(sample_weight, len(s), "the samples"), as_weights(weight, len(h), "the held-out rows")
    for name, values in (("the samples", v), ("the held-out rows", w)):
        check_not_negative(values, name, "a share of distances has no meaning then")
    near, reference = _nearest(t, s, h)
    distance = _quantiles(reference, w, q)
    share, variance = _shares(near, reference, (v, w), distance, q)
    rank = placement(near, reference, v, w)
    return Memorisation(
        nearer=rank.value,
        nearer_error=rank.standard_error,
        p_value=rank.p_value,
        quantile=q,
        distance=distance,
        share_nearer=share,
        share_error=np.sqrt(variance * (1 / number(v) + 1 / number(w))),
        copies=_copies(s, t),
        held_out_copies=_copies(h, t),
        samples=len(s),
        held_out_rows=len(h),
        effective_held_out_rows=number(w),
        training_rows=len(t),
        sample_distance=near,
        held_out_distance=reference,
    )


def _nearest(training: Columns, *tables: Columns) -> list[Numbers]:
    """The distance of every row of each table to its nearest training row, in standard deviations of the columns."""
    from sklearn.neighbors import NearestNeighbors

    loc, unit = training.mean(0), spread_of(training, as_weights(None, len(training), ""), "the training rows")
    search = NearestNeighbors(n_neighbors=1).fit((training - loc) / unit)
    distances = []
    for table in tables:
        chunks = [table[i : i + CHUNK] for i in range(0, len(table), CHUNK)]
        nearest = [search.kneighbors((chunk - loc) / unit, return_distance=False)[:, 0] for chunk in chunks]
        # From the cells themselves: equal differences of whole numbers give equal distances, and copies give 0.
        apart = (table - training[np.concatenate(nearest)]) / unit
        distances.append(np.sqrt(np.square(apart).sum(1)))
    return distances


def _shares(
    near: Numbers, reference: Numbers, weights: tuple[Numbers, Numbers], t: Numbers, q: Numbers
) -> tuple[Numbers, Numbers]:
    """The means of g over the samples for each t, and the variance of one g under a right model."""
    (below, at), (held_below, held_at) = (
        (w @ (d[:, None] < t), w @ (d[:, None] == t)) for d, w in zip((near, reference), weights, strict=True)
    )
    part = ((q - held_below) / held_at).clip(0, 1)
    return below + part * at, (held_below + part**2 * held_at - q**2).clip(0)


def _quantiles(d: Numbers, w: Numbers, q: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    """The smallest distance at or below which lies at least a share q of the weight."""
    order = np.argsort(d, kind="stable")
    place = np.searchsorted(np.cumsum(w[order]), q * (1 - 1e-12), "left")
    return np.asarray(d[order][np.minimum(place, len(d) - 1)])


def _copies(x: Columns, training: Columns) -> int:
    """Rows that equal a training row in every cell, compared as bytes: 0.0 is added so that -0.0 is 0.0."""
    whole = np.dtype((np.void, training.itemsize * training.shape[1]))
    ours, theirs = (np.ascontiguousarray(table + 0.0).view(whole)[:, 0] for table in (x, training))
    return int(np.isin(ours, theirs).sum())
