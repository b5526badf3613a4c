"""The held-out score and the Gaussian beside it, against closed forms of NumPy and SciPy."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from counterflow.diagnostics import estimate
from counterflow.tables.schema import Column, Schema
from counterflow.tabular import Cells, Fitted, HeldOut, Recipe
from counterflow.tabular.judging import GaussianGiven, held_out, scores
from counterflow.tabular.parts import as_rows, noised, parted
from tabular.worlds import FEW, columns_of, fitted, linear_gaussian

R = np.random.default_rng(6)
MIXING = R.normal(size=(3, 3))
X = R.normal(size=(600, 3)) @ MIXING + [1e4, 0.0, -3e-3]
C = R.normal(size=(600, 2)) * [1.0, 100.0]
Y = C @ R.normal(size=(2, 3)) + X - [1e4, 0.0, 0.0]
INTEGER_WEIGHT = R.integers(0, 5, 600).astype(float)


def judged(cells: Cells, recipe: Recipe = FEW) -> Fitted:
    context = () if cells.context is None else tuple(Column(f"c{i}") for i in range(cells.context.shape[1]))
    return fitted(cells, Schema(columns_of(cells.values), context), recipe)


def gaussian_log_prob(seen: np.ndarray, rows: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Of the normal of maximum likelihood; weights whole: as if rows were repeated."""
    if weight is not None:
        seen = np.repeat(seen, weight.astype(int), axis=0)
    return stats.multivariate_normal(seen.mean(0), np.cov(seen.T, bias=True)).logpdf(rows)


def regression_log_prob(seen: tuple[np.ndarray, np.ndarray], rows: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Of least squares, y = a + B c + noise."""
    y, c = seen
    design = np.column_stack([np.ones(len(c)), c])
    fit, *_ = np.linalg.lstsq(design, y, rcond=None)
    noise = y - design @ fit
    covariance = noise.T @ noise / len(y)
    y, c = rows
    residual = y - np.column_stack([np.ones(len(c)), c]) @ fit
    return stats.multivariate_normal(np.zeros(y.shape[1]), covariance).logpdf(residual)


def test_the_gaussian_is_that_of_maximum_likelihood() -> None:
    fit = judged(Cells(X))
    order, score = fit.parts.order, fit.score
    assert score is not None
    assert score.gaussian is not None
    expected = gaussian_log_prob(X[order[:540]], X[order[540:]])
    assert score.rows_are == "test rows"
    assert score.gaussian.mean == pytest.approx(expected.mean(), abs=2e-3)  # rows are in single precision
    assert score.gaussian.standard_error == pytest.approx(expected.std(ddof=1) / math.sqrt(60), rel=1e-2)
    assert score.gaussian.rows == 60


def test_given_a_context_it_is_least_squares() -> None:
    fit = judged(Cells(Y, C))
    order, score = fit.parts.order, fit.score
    assert score is not None
    assert score.gaussian is not None
    seen, rows = order[:540], order[540:]
    expected = regression_log_prob((Y[seen], C[seen]), (Y[rows], C[rows]))
    assert score.gaussian.mean == pytest.approx(expected.mean(), abs=2e-3)


def test_whole_weights_are_repeated_rows() -> None:
    cells = Cells(Y, C, INTEGER_WEIGHT)
    repeated = np.repeat(np.arange(600), INTEGER_WEIGHT.astype(int))
    weighted, plain = GaussianGiven(as_rows(cells)), GaussianGiven(as_rows(Cells(Y[repeated], C[repeated])))
    rows = as_rows(Cells(Y[:50], C[:50]))
    assert np.allclose(weighted.log_prob(rows), plain.log_prob(rows), atol=1e-9)
    expected = regression_log_prob((Y[repeated], C[repeated]), (Y[:50], C[:50]))
    assert np.allclose(weighted.log_prob(rows), expected, atol=1e-3)


def test_a_mean_with_whole_weights_is_that_of_repeated_rows() -> None:
    import torch

    values, weight = torch.from_numpy(X[:, 1].copy()), torch.from_numpy(INTEGER_WEIGHT)
    repeated = torch.from_numpy(np.repeat(X[:, 1], INTEGER_WEIGHT.astype(int)))
    assert estimate(values, weight).mean == pytest.approx(estimate(repeated).mean, rel=1e-12)
    assert estimate(values, 7 * weight) == estimate(values, weight)


def test_the_weights_of_all_parts_reach_the_score() -> None:
    fit = judged(Cells(X, weight=INTEGER_WEIGHT))
    order, score = fit.parts.order, fit.score
    assert score is not None
    assert score.gaussian is not None
    seen, rows = order[:540], order[540:]
    each = gaussian_log_prob(X[seen], X[rows], INTEGER_WEIGHT[seen])
    assert score.gaussian.mean == pytest.approx(np.average(each, weights=INTEGER_WEIGHT[rows]), abs=2e-3)
    ours = fit.model.log_prob(X[rows])
    assert score.model.mean == pytest.approx(np.average(ours, weights=INTEGER_WEIGHT[rows]), abs=1e-3)
    assert score.gain is not None
    gain = np.average(ours - each, weights=INTEGER_WEIGHT[rows])
    assert score.gain.mean == pytest.approx(gain, abs=2e-3)


def test_the_score_of_the_model_is_its_log_prob_of_the_test_rows() -> None:
    fit = judged(Cells(Y, C))
    rows = fit.parts.order[540:]
    ours = fit.model.log_prob(Y[rows], C[rows])
    assert fit.score is not None
    assert fit.score.model.mean == pytest.approx(ours.mean(), abs=1e-4)
    assert np.allclose(scores(fit.model.model, fit.parts.test), ours, atol=1e-3)


def test_the_gaussian_sees_whole_numbers_with_noise_as_the_model_does() -> None:
    """Without it the Gaussian of a fair coin would be half a cell off, and 1/12 too narrow: 0.6 nats worse."""
    cells = Cells(np.stack([R.integers(0, 2, 5000), R.normal(size=5000)], 1).astype(float))
    fit = judged(cells, dataclasses.replace(FEW, steps=1))
    assert fit.score is not None
    assert fit.score.gaussian is not None
    # The law of k + u, k a fair coin, has mean 1 and variance 1/4 + 1/12; its best Gaussian has this score.
    entropy = 0.5 * math.log(2 * math.pi * math.e / 3) + 0.5 * math.log(2 * math.pi * math.e)
    assert fit.score.gaussian.mean == pytest.approx(-entropy, abs=5 * fit.score.gaussian.standard_error)
    again = noised(fit.model.schema.columns, fit.parts.training, 0)
    assert np.array_equal(np.floor(again[:, 0]), fit.parts.training.x[:, 0].numpy())


def test_without_test_rows_the_validation_rows_are_judged_and_said_to_be() -> None:
    fit = judged(Cells(X), dataclasses.replace(FEW, test=0.0))
    order, score = fit.parts.order, fit.score
    assert score is not None
    assert score.gaussian is not None
    assert score.rows_are == "validation rows, which also chose when to stop"
    expected = gaussian_log_prob(X[order[:540]], X[order[540:]])
    assert score.gaussian.mean == pytest.approx(expected.mean(), abs=2e-3)


def test_without_held_out_rows_there_is_no_score() -> None:
    assert judged(Cells(X), dataclasses.replace(FEW, test=0.0, validation=0.0)).score is None


def test_constant_columns_of_a_context_are_left_out_of_the_gaussian() -> None:
    constant = np.full((600, 1), 0.1)
    fit = judged(Cells(Y, np.concatenate([constant, C], 1)), dataclasses.replace(FEW, steps=1))
    order, score = fit.parts.order, fit.score
    assert score is not None
    assert score.gaussian is not None
    seen, rows = order[:540], order[540:]
    expected = regression_log_prob((Y[seen], C[seen]), (Y[rows], C[rows]))
    assert score.gaussian.mean == pytest.approx(expected.mean(), abs=2e-3)
    alone = judged(Cells(X, constant), dataclasses.replace(FEW, steps=1)).score
    assert alone is not None
    assert alone.gaussian is not None
    expected = gaussian_log_prob(X[seen], X[rows])
    assert alone.gaussian.mean == pytest.approx(expected.mean(), abs=2e-3)


def test_with_too_few_rows_or_a_dependent_context_there_is_no_gaussian() -> None:
    few = judged(Cells(R.normal(size=(10, 8))), dataclasses.replace(FEW, steps=1, test=0.3))
    dependent = judged(Cells(X, np.stack([C[:, 0], 2 * C[:, 0]], 1)), dataclasses.replace(FEW, steps=1))
    for fit in (few, dependent):
        assert fit.score is not None
        assert fit.score.gaussian is None
        assert fit.score.gain is None
        assert set(fit.score.to_json()) == {"rows_are", "unit", "model"}


def test_a_single_held_out_row_has_no_standard_error() -> None:
    fit = judged(Cells(R.normal(size=(20, 1))), dataclasses.replace(FEW, test=0.05, validation=0.0))
    assert fit.score is not None
    assert fit.score.model.rows == 1
    assert fit.score.to_json()["model"]["standard_error"] is None


def test_the_true_model_gains_over_the_gaussian_what_it_should() -> None:
    """The truth is Gaussian given its context, so there is nothing to gain but the Gaussian's own fitting error."""
    model, net = linear_gaussian([Column("a", dtype="float64"), Column("b", dtype="float64")])
    c = R.normal(size=(4000, 1))
    x = net.mean(c) + R.normal(size=(4000, 2)) @ net.scale().T
    parts = parted(Cells(x, c), Schema(model.schema.columns, model.schema.context), Recipe(), "x")
    score = held_out(model.model.float(), parts, model.schema.columns, 0)
    assert isinstance(score, HeldOut)
    assert score.gain is not None
    assert abs(score.gain.mean) < 0.01
