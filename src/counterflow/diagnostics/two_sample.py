"""The classifier two-sample test: whether boosted trees can tell samples of a model from data."""

import dataclasses

import numpy as np
import numpy.typing as npt
from torch import Generator

from .placement import placement, upper_tail
from .rows import (
    Array,
    Columns,
    Numbers,
    as_columns,
    as_weights,
    check_not_negative,
    check_same_columns,
    effective_number,
    permutation,
)

FOLDS = 5
TREES = 100
# The trees of two folds share training rows, which correlates what the folds say by about 1 / FOLDS: the variance of
# their mean is that of independent folds times 1 + (FOLDS - 1) / FOLDS.
SHARED = (2 - 1 / FOLDS) ** 0.5
FEWEST_ROWS = 200  # effective ones, of each kind: with 5 folds, 40 to test and 160 to learn from


@dataclasses.dataclass(frozen=True)
class Separation:
    """How well a classifier tells rows of two kinds apart, on rows it has not learnt from.

    Attributes:
        auc: Area under the ROC curve: the chance that a row of the second kind looks more like it than one of the
            first. 1/2 if they cannot be told apart.
        auc_error: Its standard error.
        p_value: The chance of a larger AUC if the two have the same law.
        accuracy: The share of rows told right, both kinds counting half. 1/2 if they cannot be told apart.
        accuracy_error: Its standard error.
        rows: Of the two kinds.
        effective_rows: (sum w)^2 / sum w^2 of the two kinds.
    """

    auc: float
    auc_error: float
    p_value: float
    accuracy: float
    accuracy_error: float
    rows: tuple[int, int]
    effective_rows: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class TwoSample:
    """Samples against data, beside data against data.

    Attributes:
        samples: Data are the first kind, samples the second.
        control: One half of the data against the other: what the same test says where there is nothing to find. It has
            half the rows. An AUC that is clearly not 1/2 means that rows of the data are not independent.
    """

    samples: Separation
    control: Separation


def two_sample_test(
    x: Array,
    samples: Array,
    *,
    weight: Array | None = None,
    sample_weight: Array | None = None,
    generator: Generator | None = None,
) -> TwoSample:
    r"""Train a classifier to tell samples from data, and score it on rows that were held out from it.

    Five folds: every row is scored by trees that have learnt from the other four fifths. The AUC is the mean over folds
    (scores of different trees are not compared with each other). The two kinds get the same total weight.

    Args:
        x: Rows of data that the model has not been trained on, (N, D).
        samples: Of the model, (M, D); about as many.
        weight: Of the data, not negative; none count equally. Trees are trained and scored with it.
        sample_weight: Of the samples, not negative; none count equally.
        generator: Of the folds, of the halves, and of the seed of the trees.

    Raises:
        TypeError: neither tensors nor arrays.
        ValueError: fewer than 200 effective rows of a kind (400 of the data, because of the control), not the same
            columns, cells that are not finite, or weights that are negative or not one per row.

    Error: the standard errors allow for a correlation of 1/5 between folds, since their trees share training rows
        (measured without it: 1.3 times too small). The AUC is a lower bound on what the best classifier could see: 1/2
        does not prove that the samples are right.
    Cost: ten fits of 100 trees.
    Source: Lopez-Paz and Oquab (2017), arXiv:1610.06545; the errors: DeLong et al. (1988), Nadeau and Bengio (2003),
        Mach. Learn. 52, 239; the trees: scikit-learn's HistGradientBoostingClassifier.
    """
    a, b, v, w = _checked(x, samples, weight, sample_weight)
    folds = _folds(len(a), generator), _folds(len(b), generator)
    return TwoSample(_separation((a, b), (v, w), folds, generator), _control(a, v, generator))


def conditional_two_sample_test(
    x: Array,
    samples: Array,
    context: Array,
    *,
    weight: Array | None = None,
    generator: Generator | None = None,
) -> TwoSample:
    """The same for p(x | c): rows (c_i, x_i) against (c_i, y_i) with y_i one draw given c_i.

    A row and the draw that shares its context are always in the same fold: otherwise trees that have learnt the label
    of the one could recognise the other by its context.

    Args:
        x: Rows of data, (N, D).
        samples: One draw for each, given its context, (N, D).
        context: What each row is conditioned on, (N, M).
        weight: Of the rows, and so of their draws; not negative.
        generator: As above.

    Raises:
        TypeError: neither tensors nor arrays.
        ValueError: not one draw and one context per row, or what `two_sample_test` refuses.

    Error: as above.    Cost: as above.    Source: as above.
    """
    c = as_columns(context, "the contexts")
    a, b, v, w = _checked(x, samples, weight, weight)
    if not len(a) == len(b) == len(c):
        raise ValueError(f"expected one draw and one context for each of the {len(a)} rows, got {len(b)} and {len(c)}")
    a, b = np.concatenate([c, a], 1), np.concatenate([c, b], 1)
    folds = _folds(len(a), generator)
    return TwoSample(_separation((a, b), (v, w), (folds, folds), generator), _control(a, v, generator))


def _checked(
    x: Array, samples: Array, weight: Array | None, sample_weight: Array | None
) -> tuple[Columns, Columns, Numbers, Numbers]:
    a, b = as_columns(x, "the data"), as_columns(samples, "the samples")
    check_same_columns(a, b, "the data", "the table of samples")
    v, w = as_weights(weight, len(a), "the data"), as_weights(sample_weight, len(b), "the samples")
    for name, values, least in (("data", v, 2 * FEWEST_ROWS), ("samples", w, FEWEST_ROWS)):
        check_not_negative(values, f"the {name}", "a classifier cannot learn from rows that count less than nothing")
        rows = effective_number(values)
        if rows < least * (1 - 1e-9):
            counted = f"{len(values)} rows" + (
                "" if rows > len(values) - 0.5 else f", worth {rows:.0f} by their weights"
            )
            raise ValueError(f"a classifier test needs at least {least} rows of {name}, got {counted}")
    return a, b, v, w


def _control(a: Columns, v: Numbers, generator: Generator | None) -> Separation:
    """One half of the data against the other."""
    order = permutation(len(a), generator)
    first, second = order[: len(a) // 2], order[len(a) // 2 :]
    folds = _folds(len(first), generator), _folds(len(second), generator)
    weights = v[first] / v[first].sum(), v[second] / v[second].sum()
    return _separation((a[first], a[second]), weights, folds, generator)


def _folds(rows: int, generator: Generator | None) -> npt.NDArray[np.int64]:
    """The fold of every row, sizes as equal as can be."""
    return permutation(rows, generator) % FOLDS


def _separation(
    kinds: tuple[Columns, Columns],
    weights: tuple[Numbers, Numbers],
    folds: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    generator: Generator | None,
) -> Separation:
    scores = _held_out_scores(kinds, weights, folds, generator)
    areas, told = [], [np.zeros(len(s)) for s in scores]
    for k in range(FOLDS):
        (a, v), (b, w) = ((s[f == k], q[f == k]) for s, q, f in zip(scores, weights, folds, strict=True))
        areas.append(placement(a, b, v / v.sum(), w / w.sum()))
    for right, score, sign in zip(told, scores, (-1, 1), strict=True):
        right[:] = (1 + sign * np.sign(score)) / 2  # a score of exactly 0 is half told
    auc = float(np.mean([area.value for area in areas]))
    auc_error = float(np.sqrt(np.sum([area.standard_error**2 for area in areas])) / FOLDS) * SHARED
    shares = [float(w @ right) for w, right in zip(weights, told, strict=True)]
    variances = [np.square(w) @ np.square(r - s) for w, r, s in zip(weights, told, shares, strict=True)]
    return Separation(
        auc=auc,
        auc_error=auc_error,
        p_value=upper_tail(auc - 0.5, auc_error),
        accuracy=float(np.mean(shares)),
        accuracy_error=float(np.sqrt(np.sum(variances)) / 2) * SHARED,
        rows=(len(kinds[0]), len(kinds[1])),
        effective_rows=(effective_number(weights[0]), effective_number(weights[1])),
    )


def _held_out_scores(
    kinds: tuple[Columns, Columns],
    weights: tuple[Numbers, Numbers],
    folds: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    generator: Generator | None,
) -> tuple[Numbers, Numbers]:
    """The log odds of being of the second kind, from trees that have not seen the row or its fold."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    scores = np.empty(len(kinds[0])), np.empty(len(kinds[1]))
    for k in range(FOLDS):
        learn = [f != k for f in folds]
        rows = np.concatenate([x[m] for x, m in zip(kinds, learn, strict=True)])
        label = np.repeat([0, 1], [m.sum() for m in learn])
        # Equal totals for the two kinds, and a mean of 1: the trees' own limits are in units of rows.
        parts = [w[m] / w[m].sum() for w, m in zip(weights, learn, strict=True)]
        weight = np.concatenate(parts) * len(rows) / 2
        seed = int(permutation(2**16, generator)[0])
        trees = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=seed)
        trees.fit(rows, label, sample_weight=weight)
        for score, x, m in zip(scores, kinds, learn, strict=True):
            score[~m] = trees.decision_function(x[~m])
    return scores
