"""`FlowDensity` among scikit-learn's tools, pandas and polars."""

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import counterflow as cf
from counterflow.tables import TableError
from estimator.data import SMALL, X, density, frame, same_weights


def test_scores_are_log_densities_in_the_units_of_the_data() -> None:
    """Doubling every number halves the density in each of two columns; the fit is the same but for rounding."""
    plain, doubled = density(detect=False).fit(X), density(detect=False).fit(2 * X)
    assert np.allclose(doubled.score_samples(2 * X), plain.score_samples(X) - 2 * np.log(2), atol=1e-4)
    assert plain.score(X) == pytest.approx(plain.score_samples(X).mean())


def test_a_longer_fit_is_a_better_one() -> None:
    assert density(epochs=60).fit(X).score(X) > density(epochs=1).fit(X).score(X)


def test_it_works_behind_a_scaler() -> None:
    pipeline = make_pipeline(StandardScaler(), density()).fit(X)
    scaler = StandardScaler().fit(X)
    alone = density().fit(scaler.transform(X))
    assert np.array_equal(pipeline.score_samples(X), alone.score_samples(scaler.transform(X)))
    assert pipeline.score(X) == pytest.approx(alone.score(scaler.transform(X)))


def test_a_grid_search_chooses_among_models_and_epochs_and_its_best_can_be_saved(tmp_path: Any) -> None:
    grid = {"model": ["maf", "nice", SMALL], "epochs": np.array([1, 2])}
    search = GridSearchCV(cf.FlowDensity(random_state=0), grid, cv=2).fit(X)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    search.best_estimator_.save(tmp_path / "best.safetensors")
    again = cf.FlowDensity.load(tmp_path / "best.safetensors")
    assert again.epochs == search.best_params_["epochs"]
    assert np.array_equal(again.score_samples(X), search.best_estimator_.score_samples(X))


def test_cross_validation_scores_held_out_rows() -> None:
    assert np.isfinite(cross_val_score(density(), X, cv=3)).all()


# Weights.


def test_rows_of_weight_zero_are_not_learned_from_and_do_not_count() -> None:
    x = np.concatenate([X[:, :1], X[:, :1] + 50])
    weight = np.repeat([1.0, 0.0], 200)
    fit = density(epochs=60, learning_rate=0.02).fit(x, sample_weight=weight)
    drawn = fit.sample(500, random_state=0)
    assert abs(np.median(drawn) - X[:, 0].mean()) < 3
    assert fit.score(x, sample_weight=weight) == pytest.approx(fit.score(x[:200]))
    shuffled = np.random.default_rng(0).uniform(0.5, 2, 400)
    expected = np.average(fit.score_samples(x), weights=shuffled)
    assert fit.score(x, sample_weight=shuffled) == pytest.approx(expected)


def test_rows_outside_a_support_do_not_count_where_their_weight_is_zero() -> None:
    fit = density(support={0: (0.0, 10.0)}).fit(X[:, :1].clip(0.1, 9.9))
    rows = np.array([[3.0], [-1.0]])
    assert fit.score_samples(rows)[1] == -np.inf
    assert fit.score(rows) == -np.inf
    assert fit.score(rows, sample_weight=[1.0, 0.0]) == fit.score(rows[:1])


def test_weights_without_a_positive_sum_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the weights of the \d+ training rows sum to -\d+"):
        density().fit(X, sample_weight=-np.ones(200))


# Frames.


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_comes_back_as_a_frame_with_its_names_and_types(library: str) -> None:
    data: Any = frame() if library == "pandas" else pl.DataFrame(frame().to_dict("series"))
    fit = density().fit(data)
    assert list(fit.feature_names_in_) == ["mass", "hits", "good", "share"]
    drawn = fit.sample(300, random_state=1)
    assert type(drawn) is type(data)
    assert list(drawn.columns) == list(data.columns)
    assert list(drawn.dtypes) == list(data.dtypes)
    assert drawn["hits"].min() >= 0
    assert 0 <= drawn["share"].min() <= drawn["share"].max() <= 1
    assert np.isfinite(fit.score_samples(drawn)).all()


def test_both_libraries_and_an_array_fit_the_same() -> None:
    by_pandas = density().fit(frame())
    by_polars = density().fit(pl.DataFrame(frame().to_dict("series")))
    assert same_weights(by_pandas, by_polars)
    numbers = frame().astype("float64")
    assert same_weights(density().fit(numbers), density().fit(numbers.to_numpy()))


def test_nullable_and_arrow_types_keep_their_numbers() -> None:
    data = pd.DataFrame(
        {
            "a": pd.array(np.arange(100) % 7, dtype="Int32"),
            "b": pd.array(np.arange(100) % 2 == 0, dtype="boolean"),
            "c": pd.array(np.linspace(0.3, 5, 100) ** 2, dtype="float[pyarrow]"),
        }
    )
    drawn = density().fit(data).sample(20, random_state=0)
    assert [str(dtype) for dtype in drawn.dtypes] == ["int32", "bool", "float32"]


def test_reordered_or_renamed_columns_are_refused_as_everywhere_in_scikit_learn() -> None:
    fit = density().fit(frame())
    with pytest.raises(ValueError, match="feature names should match"):
        fit.score_samples(frame()[["hits", "mass", "good", "share"]])
    with pytest.raises(ValueError, match="feature names should match"):
        fit.score_samples(frame().rename(columns={"mass": "weight"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        fit.score_samples(frame().to_numpy(dtype=float))


def test_columns_called_by_numbers_keep_them() -> None:
    data = pd.DataFrame(X, columns=[7, 3])
    fit = density().fit(data)
    assert not hasattr(fit, "feature_names_in_")
    assert list(fit.sample(3, random_state=0).columns) == [7, 3]


def test_columns_of_the_same_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 columns are called 'a'|unique column names"):
        density().fit(pd.DataFrame(X, columns=["a", "a"]))


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f8", "int16", "uint8", "int64", "bool"])
def test_an_array_comes_back_in_its_type(dtype: str) -> None:
    rows = np.abs(np.rint(3 * X)).astype(dtype) if dtype != "bool" else X.mean(0) < X
    drawn = density().fit(rows).sample(5000, random_state=0)
    assert drawn.dtype == np.dtype(dtype).newbyteorder("=")
    if drawn.dtype.kind in "iu":
        assert drawn.min() >= 0
        assert drawn.max() < 3 * rows.max()


@pytest.mark.filterwarnings("ignore:column :UserWarning")  # of many equal numbers, now that they are any numbers
def test_without_detection_samples_of_whole_numbers_are_any_numbers() -> None:
    fit = density(detect=False).fit(np.rint(3 * X).astype(int))
    drawn = fit.sample(50, random_state=0)
    assert drawn.dtype == np.float64
    assert (drawn != np.rint(drawn)).all()
    declared = density(detect=False, integer=[1], support={1: (-100, None)}).fit(np.rint(3 * X))
    drawn = declared.sample(50, random_state=0)
    assert (drawn[:, 0] != np.rint(drawn[:, 0])).all()
    assert (drawn[:, 1] == np.rint(drawn[:, 1])).all()
    assert declared.score_samples([[0.3, -101.0]]) == [-np.inf]


def test_what_looks_like_an_identifier_is_warned_of_once_for_all_columns() -> None:
    data = frame()
    data["id"] = np.random.default_rng(0).permutation(200)
    data["peak"] = np.where(np.arange(200) < 50, 0.5, data["mass"])
    with pytest.warns(UserWarning, match=r"'id' holds a different .*identifier.* 'peak' is exactly 0.5 in 2") as caught:
        density().fit(data)
    assert len(caught) == 1


# Randomness.


def test_the_random_state_fixes_everything() -> None:
    one, two, other = (density(random_state=seed).fit(X) for seed in (3, 3, 4))
    assert same_weights(one, two)
    assert not same_weights(one, other)
    assert np.array_equal(one.sample(5), two.sample(5))
    assert np.array_equal(one.sample(5), one.sample(5))
    assert not np.array_equal(one.sample(5), one.sample(5, random_state=9))
    stream = np.random.RandomState(0)
    assert not np.array_equal(one.sample(5, random_state=stream), one.sample(5, random_state=stream))


def test_a_random_state_that_is_a_stream_goes_on() -> None:
    stream = np.random.RandomState(5)
    first, second = density(random_state=stream).fit(X), density(random_state=stream).fit(X)
    assert not same_weights(first, second)


def test_the_global_streams_are_left_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]  # noqa: NPY002
    fit = density().fit(X)
    fit.sample(3)
    fit.score_samples(X)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]  # noqa: NPY002


# Copies.


def test_a_fitted_estimator_pickles_and_a_clone_is_unfitted() -> None:
    fit = density().fit(frame())
    again = pickle.loads(pickle.dumps(fit))
    assert np.array_equal(again.score_samples(frame()), fit.score_samples(frame()))
    pd.testing.assert_frame_equal(again.sample(4), fit.sample(4))
    fresh = clone(fit)
    assert not hasattr(fresh, "model_")
    assert same_weights(fresh.fit(frame()), fit)


def test_fitting_again_forgets_the_first_fit() -> None:
    estimator = density().fit(frame())
    assert same_weights(estimator.fit(X), density().fit(X))
    assert isinstance(estimator.sample(2), np.ndarray)


# Mistakes.


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"model": "gravity"}, ValueError, "model='gravity' is not a preset: those are recommended, maf"),
        ({"model": cf.models.maf(2, layers=1, hidden=(4,))}, TypeError, "a function .* got a Flow"),
        ({"model": 3}, TypeError, "got a int"),
        ({"model": lambda d, m: None}, TypeError, "make a model of 2 columns, got a NoneType"),
        ({"epochs": 2, "steps": 3}, ValueError, "epochs and steps exclude each other"),
        ({"epochs": 0}, ValueError, "expected epochs of at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "expected epochs to be a whole number, got 1.5"),
        ({"epochs": None, "steps": "many"}, TypeError, "expected steps to be a whole number, got 'many'"),
        ({"batch_size": 0.5}, TypeError, "expected batch_size to be a whole number, got 0.5"),
        ({"patience": 0}, ValueError, "expected patience of at least 1"),
        ({"learning_rate": 0}, ValueError, "expected a learning_rate above 0"),
        ({"learning_rate": "fast"}, TypeError, "expected learning_rate to be a number, got 'fast'"),
        ({"validation": 1}, ValueError, "expected validation as a share of the rows"),
        ({"random_state": "lucky"}, TypeError, "expected random_state.* got 'lucky'"),
        ({"random_state": -1}, ValueError, "expected random_state from 0 to"),
        ({"support": {2: (0, 1)}}, ValueError, "there is no column 2; expected a name, or a position below 2"),
        ({"support": {"a": (0, 1)}}, ValueError, "there is no column 'a'"),
        ({"support": {0: 5}}, TypeError, r"expected support\[0\] to be \(low, high\)"),
        ({"support": {0: (0, 1, 2)}}, TypeError, r"expected support\[0\] to be \(low, high\)"),
        ({"support": [(0, 1)]}, TypeError, "expected support={column: .low, high.}, got a list"),
        ({"support": {0: (100, None)}}, TableError, "X: column 'x0' is declared .* and holds .* at row 0"),
        ({"support": {0: (float("nan"), 1)}}, TableError, "the smaller one first"),
        ({"integer": "x0"}, TypeError, "expected integer to be a list of columns, got 'x0'"),
        ({"integer": 0}, TypeError, "expected integer to be a list of columns, got 0"),
        ({"integer": ["x0"]}, TableError, "column 'x0' is declared integer, and holds .* at row 0"),
    ],
)
def test_a_parameter_that_is_none_is_refused_in_words(
    parameters: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        density(**parameters).fit(X)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (X[:1], "minimum of 2 is required"),
        (np.column_stack([X, np.ones(200)]), "column 'x2' is constant"),
        (np.column_stack([X, X.sum(1)]), "column 'x2' is a linear combination"),
        (np.where(X > 4, np.nan, X), "Input X contains NaN"),
    ],
)
def test_data_that_no_density_fits_are_refused_in_words(rows: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        density().fit(rows)


def test_no_samples_are_refused() -> None:
    fit = density().fit(X)
    with pytest.raises(ValueError, match="expected n_samples of at least 1, got 0"):
        fit.sample(0)


def test_lists_and_nothing_to_validate_by_are_fine() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = density(validation=0).fit(X.tolist(), sample_weight=[1.0] * 200)
    assert fit.history_.steps == 2 * (200 // 64)
    assert fit.sample().shape == (1, 2)
