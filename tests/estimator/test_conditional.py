"""`ConditionalFlowDensity`: medians, intervals, draws and scores of p(y | X)."""

import functools
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import counterflow as cf
from estimator.data import NOISE, X, Y, conditional, same_weights


def heteroscedastic(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """y = sin 2x + (0.2 + |x| / 2) e, whose quantiles are known."""
    r = np.random.default_rng(seed)
    x = r.uniform(-2, 2, (rows, 1))
    return x, np.sin(2 * x[:, 0]) + (0.2 + np.abs(x[:, 0]) / 2) * r.normal(size=rows)


@pytest.fixture(scope="module")
def known() -> cf.ConditionalFlowDensity:
    """Fitted to enough rows and long enough to be compared with the truth."""
    make = functools.partial(cf.models.maf, layers=2, hidden=(32, 32))
    fit = cf.ConditionalFlowDensity(make, steps=800, batch_size=256, learning_rate=0.01, random_state=0)
    return fit.fit(*heteroscedastic(4000, 1))


def test_intervals_cover_what_they_should_on_held_out_rows(known: cf.ConditionalFlowDensity) -> None:
    """2000 new rows: the share within 4 % of the nominal one; 6 standard errors of counting, the rest is the fit's."""
    x, y = heteroscedastic(2000, 2)
    for coverage in (0.5, 0.9):
        low, high = known.predict_interval(x, coverage).T
        assert abs(np.mean((low <= y) & (y <= high)) - coverage) < 0.04
        for part in (np.abs(x[:, 0]) < 0.7, np.abs(x[:, 0]) > 1.3):
            assert abs(np.mean(((low <= y) & (y <= high))[part]) - coverage) < 0.08, "in each region"


def test_the_median_and_the_quantiles_are_near_the_true_ones(known: cf.ConditionalFlowDensity) -> None:
    x, _ = heteroscedastic(300, 3)
    scale = 0.2 + np.abs(x[:, 0]) / 2
    levels = [0.1, 0.5, 0.9]
    expected = np.sin(2 * x) + scale[:, None] * stats.norm.ppf(levels)
    found = known.predict_quantiles(x, levels)[..., 0]
    assert np.sqrt(np.mean(((found - expected) / scale[:, None]) ** 2)) < 0.2
    assert np.array_equal(known.predict(x), found[:, 1])


def test_the_score_is_near_that_of_the_true_density(known: cf.ConditionalFlowDensity) -> None:
    x, y = heteroscedastic(2000, 4)
    truth = stats.norm(np.sin(2 * x[:, 0]), 0.2 + np.abs(x[:, 0]) / 2).logpdf(y)
    assert abs(known.score(x, y) - truth.mean()) < 0.06
    assert known.score(x, y) == pytest.approx(known.log_prob(x, y).mean())


def test_draws_have_the_quantiles_that_are_predicted(known: cf.ConditionalFlowDensity) -> None:
    """4000 draws: within 5 standard errors of the share below (6e-7 each)."""
    x = np.array([[-1.5], [0.0], [1.0]])
    draws = known.sample(x, 4000, random_state=1)
    for level, q in zip((0.2, 0.5, 0.8), known.predict_quantiles(x, [0.2, 0.5, 0.8])[..., 0].T, strict=True):
        assert np.abs((draws < q).mean(0) - level).max() < 5 * np.sqrt(level * (1 - level) / 4000)


# Shapes: y as it was.

TWO = np.column_stack([Y, NOISE[:, 1] + X[:, 1]])


@pytest.mark.parametrize(
    ("y", "shape"),
    [
        (Y, ()),
        (Y.tolist(), ()),
        (pd.Series(Y, name="target"), ()),
        (pl.Series("target", Y), ()),
        (Y[:, None], (1,)),
        (pd.DataFrame({"target": Y}), (1,)),
        (TWO, (2,)),
        (pd.DataFrame(TWO, columns=["a", "b"]), (2,)),
        (pl.DataFrame({"a": TWO[:, 0], "b": TWO[:, 1]}), (2,)),
    ],
    ids=["array", "list", "Series", "polars Series", "column", "DataFrame", "two", "two of pandas", "two of polars"],
)
def test_everything_has_the_shape_of_y(y: Any, shape: tuple[int, ...], tmp_path: Any) -> None:
    fit = conditional().fit(X, y)
    path = tmp_path / "m.safetensors"
    fit.save(path)
    assert fit.predict_interval(X[:7]).shape == (7, 2, *shape)
    assert fit.predict_quantiles(X[:7], [0.1, 0.2, 0.9]).shape == (7, 3, *(shape or (1,)))
    for estimator in (fit, cf.ConditionalFlowDensity.load(path), pickle.loads(pickle.dumps(fit))):
        assert estimator.predict(X[:7]).shape == (7, *shape)
        assert estimator.sample(X[:7]).shape == (7, *shape)
        assert estimator.sample(X[:7], 3).shape == (3, 7, *shape)
        assert estimator.log_prob(X, y).shape == (200,)
        assert np.array_equal(estimator.log_prob(X, y), fit.log_prob(X, y))
        assert np.array_equal(estimator.predict(X[:7]), fit.predict(X[:7]))
        assert np.array_equal(estimator.sample(X[:7], 3), fit.sample(X[:7], 3))


def test_the_names_of_y_and_x_are_those_of_the_model() -> None:
    frame = pd.DataFrame(X, columns=["u", "v"])
    schema = conditional().fit(frame, pd.Series(Y, name="target")).model_.schema
    assert (schema.names, schema.context_names, schema.named) == (("target",), ("u", "v"), True)
    schema = conditional().fit(frame, pd.DataFrame(TWO, columns=["a", "b"])).model_.schema
    assert schema.names == ("a", "b")
    schema = conditional().fit(X, Y).model_.schema
    assert (schema.names, schema.context_names, schema.named) == (("y",), ("x0", "x1"), False)


def test_draws_follow_their_own_row() -> None:
    """y = 100 x with noise 1: after a short fit the linear trend is there, row by row."""
    x = np.linspace(0, 1, 400)[:, None]
    y = 100 * x[:, 0] + np.random.default_rng(0).normal(size=400)
    fit = conditional(epochs=120, learning_rate=0.02, batch_size=128).fit(x, y)
    rows = np.array([[0.1], [0.9], [0.5]])
    draws = fit.sample(rows, 50, random_state=0)
    assert np.abs(draws.mean(0) - 100 * rows[:, 0]).max() < 15
    assert np.abs(fit.predict(rows) - 100 * rows[:, 0]).max() < 15
    assert np.abs(fit.sample(rows, random_state=0) - 100 * rows[:, 0]).max() < 40


# Supports and whole numbers.


def test_counts_are_predicted_and_drawn_as_counts() -> None:
    counts = np.random.default_rng(0).poisson(np.exp(X[:, 0] / 3)).astype("uint16")
    fit = conditional().fit(X, counts)
    assert fit.model_.schema.columns[0].whole
    for values in (fit.predict(X), fit.predict_interval(X).ravel(), fit.sample(X, 5).ravel()):
        assert np.array_equal(values, np.rint(values))
        assert values.min() >= 0
    assert fit.sample(X).dtype == np.uint16


def test_a_support_is_never_left() -> None:
    share = 1 / (1 + np.exp(-Y))
    fit = conditional(support={"y": (0, 1)}).fit(X, share)
    wide = np.concatenate([X, 100 * X, -1e4 * X])
    for values in (fit.predict(wide), fit.predict_interval(wide, 0.9999), fit.sample(wide, 20)):
        assert values.min() >= 0
        assert values.max() <= 1
    assert fit.log_prob(X[:2], [0.5, 1.5])[1] == -np.inf


# Among scikit-learn's tools.


def test_it_works_in_a_pipeline_and_a_grid_search() -> None:
    pipeline = make_pipeline(StandardScaler(), conditional())
    search = GridSearchCV(pipeline, {"conditionalflowdensity__epochs": [1, 20]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"conditionalflowdensity__epochs": 20}
    assert search.predict(X).shape == (200,)


def test_weights_reach_the_fit_and_the_score() -> None:
    """Two branches, y = -20 and y = +20; only the one with weight is predicted."""
    r = np.random.default_rng(0)
    y = np.where(np.arange(200) % 2, 20.0, -20.0) + r.normal(size=200)
    for branch in (-1, 1):
        weight = (np.sign(y) == branch).astype(float)
        fit = conditional(epochs=150, learning_rate=0.03, batch_size=64).fit(X, y, sample_weight=weight)
        assert np.abs(fit.predict(X) - 20 * branch).max() < 10
        kept = weight > 0
        assert fit.score(X, y, sample_weight=weight) == pytest.approx(fit.score(X[kept], y[kept]))


def test_names_and_their_order_are_checked() -> None:
    fit = conditional().fit(pd.DataFrame(X, columns=["u", "v"]), Y)
    with pytest.raises(ValueError, match="feature names should match"):
        fit.predict(pd.DataFrame(X, columns=["v", "u"]))
    assert fit.predict(pl.DataFrame({"u": X[:, 0], "v": X[:, 1]})).shape == (200,)


def test_a_prediction_is_a_function_of_its_row() -> None:
    """Whatever else is asked, however often, and without drawing from a stream that is the user's."""
    stream = np.random.RandomState(3)
    fit = conditional(random_state=stream).fit(X, TWO)
    state = stream.get_state()[1].copy()  # type: ignore[index,union-attr]
    before = torch.get_rng_state()
    together = fit.predict_interval(X[:9])
    assert np.array_equal(together, fit.predict_interval(X[:9]))
    assert np.array_equal(together[::-1], fit.predict_interval(X[:9][::-1]))
    assert np.array_equal(together[4:5], fit.predict_interval(X[4:5]))
    assert np.array_equal(stream.get_state()[1], state)  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), before)


def test_the_random_state_fixes_everything() -> None:
    one, two, other = (conditional(random_state=seed).fit(X, Y) for seed in (3, 3, 4))
    assert same_weights(one, two)
    assert not same_weights(one, other)
    assert np.array_equal(one.sample(X), two.sample(X))
    assert not np.array_equal(one.sample(X), one.sample(X, random_state=7))
    assert same_weights(clone(one).fit(X, Y), one)


def test_an_identifier_in_y_is_warned_of_and_in_x_is_not() -> None:
    numbers = np.random.default_rng(0).permutation(200).astype(float)
    conditional().fit(numbers[:, None], Y)
    with pytest.warns(UserWarning, match="column 'y' holds a different whole number in every row: an identifier"):
        conditional().fit(X, numbers)


# Mistakes.


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"draws": 0}, ValueError, "expected draws of at least 1, got 0"),
        ({"draws": 1.5}, TypeError, "expected draws to be a whole number, got 1.5"),
        ({"support": {"x0": (0, 1)}}, ValueError, "there is no column 'x0'"),
        ({"support": {"y": (0, 1)}}, ValueError, "y: column 'y' is declared to lie between 0 and 1, and holds"),
        ({"model": "gravity"}, ValueError, "model='gravity' is not a preset"),
    ],
)
def test_a_parameter_that_is_none_is_refused_in_words(
    parameters: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        conditional(**parameters).fit(X, Y)


def test_a_question_that_is_none_is_refused_in_words() -> None:
    fit = conditional().fit(X, TWO)
    with pytest.raises(ValueError, match=r"expected a coverage between 0 and 1, got 1\.0"):
        fit.predict_interval(X, 1.0)
    with pytest.raises(ValueError, match="expected levels between 0 and 1"):
        fit.predict_quantiles(X, [])
    with pytest.raises(ValueError, match="expected n_samples of at least 1, got 0"):
        fit.sample(X, 0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fit.log_prob(X, TWO[:100])
    with pytest.raises(ValueError, match="expected rows of 2 columns"):
        fit.log_prob(X, TWO[:, :1])
    with pytest.raises(ValueError, match="contains NaN"):
        fit.log_prob(X, np.where(TWO > 0, np.nan, TWO))
