"""The classifier two-sample test: right samples, wrong correlations, weights, contexts, and its errors."""

import numpy as np
import pytest
import torch

from counterflow.diagnostics import Separation, conditional_two_sample_test, two_sample, two_sample_test
from counterflow.diagnostics.placement import placement
from counterflow.diagnostics.rows import as_weights
from diagnostics.worlds import correlated, normals, stream

ROWS = 400


@pytest.fixture(autouse=True)
def few_trees(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here does not depend on their number, and every fit takes time."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(two_sample, "TREES", 15)


def test_samples_of_the_same_law_cannot_be_told_apart_nor_can_halves_of_the_data() -> None:
    found = two_sample_test(normals(ROWS), normals(ROWS, seed=1), generator=stream())
    for part in (found.samples, found.control):
        assert part.p_value > 1e-3
        assert abs(part.auc - 0.5) < 3.3 * part.auc_error
        assert abs(part.accuracy - 0.5) < 3.3 * part.accuracy_error
    assert found.samples.rows == (ROWS, ROWS)
    assert found.control.rows == (ROWS // 2, ROWS // 2)


def test_a_missing_correlation_is_caught() -> None:
    """Marginals are right, so that no test of single columns could see it."""
    found = two_sample_test(correlated(ROWS, 0.8), normals(ROWS, seed=1), generator=stream())
    assert found.samples.p_value < 1e-6
    assert found.samples.auc - 0.5 > 5 * found.samples.auc_error
    assert found.samples.accuracy - 0.5 > 5 * found.samples.accuracy_error
    assert found.control.p_value > 1e-3


def test_the_auc_of_two_shifted_normals_approaches_its_bound() -> None:
    """The best classifier reaches Phi(2 / sqrt(2)) = 0.921; trees come close and never beat it."""
    found = two_sample_test(normals(ROWS, 1), normals(ROWS, 1, seed=1) + 2, generator=stream()).samples
    assert 0.87 < found.auc < 0.921 + 2 * found.auc_error
    assert 0.78 < found.accuracy < 0.841 + 2 * found.accuracy_error


def test_reweighted_rows_pass_where_unweighted_ones_fail() -> None:
    """Data of N(0, 1), weighted to N(0.7, 1), against samples of that."""
    x = normals(2 * ROWS, 1)
    samples = normals(ROWS, 1, seed=1) + 0.7
    weight = torch.exp(0.7 * x[:, 0])
    right = two_sample_test(x, samples, weight=weight, generator=stream())
    assert right.samples.p_value > 1e-3
    assert right.control.p_value > 1e-3
    assert right.samples.effective_rows[0] < 2 * ROWS
    assert two_sample_test(x, samples, generator=stream()).samples.p_value < 1e-6


def test_rows_of_no_weight_are_neither_learnt_from_nor_counted() -> None:
    """Data at 0, samples half at 0 and half at 9: AUC 1/2 * 1/2 + 1/2 * 1. Data of weight 0 at 9 would reverse it."""
    x = torch.cat([normals(ROWS, 1), normals(4 * ROWS, 1) + 9])
    samples = torch.cat([normals(ROWS, 1, seed=1), normals(ROWS, 1, seed=2) + 9])
    weight = np.repeat([1.0, 0.0], [ROWS, 4 * ROWS])
    found = two_sample_test(x, samples, weight=weight, generator=stream()).samples
    assert found.auc == pytest.approx(0.75, abs=0.04)
    assert found.accuracy == pytest.approx(0.75, abs=0.04)


def test_a_draw_that_shares_its_context_with_a_row_gives_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five rounds of right samples, error 0.012: with the folds drawn apart the mean AUC would be 0.45."""
    monkeypatch.setattr(two_sample, "_control", lambda *_: Separation(0.5, 0.0, 1.0, 0.5, 0.0, (0, 0), (0.0, 0.0)))
    found, generator = [], stream()
    for seed in range(5):
        c = normals(400, 1, seed=seed)
        y, samples = (c + normals(400, 1, seed=seed + k) for k in (100, 200))
        found.append(conditional_two_sample_test(y, samples, c, generator=generator).samples.auc)
    assert np.mean(found) == pytest.approx(0.5, abs=0.04)


def test_samples_that_ignore_the_context_are_caught() -> None:
    c = normals(ROWS, 1)
    y, samples = c + normals(ROWS, 1, seed=1), 2**0.5 * normals(ROWS, 1, seed=2)
    assert conditional_two_sample_test(y, samples, c, generator=stream()).samples.p_value < 1e-6
    assert two_sample_test(y, samples, generator=stream()).samples.p_value > 1e-3


@pytest.mark.slow
def test_the_stated_errors_are_the_scatter_of_right_samples() -> None:
    """60 trials: scatter to 9 %, alarms at 5 % to 2.8 %. Taking folds for independent the ratio would be 1.3."""
    found = [two_sample_test(normals(400, seed=s), normals(400, seed=s + 999), generator=stream(s)) for s in range(60)]
    parts = [f.samples for f in found]
    assert np.std([p.auc for p in parts]) == pytest.approx(np.mean([p.auc_error for p in parts]), rel=0.28)
    assert np.std([p.accuracy for p in parts]) == pytest.approx(np.mean([p.accuracy_error for p in parts]), rel=0.28)
    assert np.mean([p.p_value < 0.05 for p in parts]) < 0.12
    assert np.mean([f.control.p_value < 0.05 for f in found]) < 0.12


@pytest.mark.parametrize(
    ("x", "samples", "more", "sentence"),
    [
        (399, 500, {}, "at least 400 rows of data, got 399 rows"),
        (500, 199, {}, "at least 200 rows of samples, got 199 rows"),
        (500, 500, {"weight": np.r_[np.ones(100), np.zeros(400)]}, "got 500 rows, worth 100 by their weights"),
        (500, 500, {"weight": np.r_[-1.0, np.ones(499)]}, "weight 0 of the data is negative; a classifier cannot"),
    ],
)
def test_too_few_rows_are_refused(x: int, samples: int, more: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        two_sample_test(normals(x), normals(samples), **more)


def test_a_context_for_every_row_and_draw_is_asked_for() -> None:
    with pytest.raises(ValueError, match="one draw and one context for each of the 400 rows, got 401 and 400"):
        conditional_two_sample_test(normals(400), normals(401), normals(400))


def test_the_area_and_its_error_are_those_of_the_literature() -> None:
    """Against counting all pairs, and DeLong's formula written out, ties included."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 40).astype(float), rng.integers(1, 7, 30).astype(float)
    pairs = (a[:, None] < b) + 0.5 * (a[:, None] == b)
    found = placement(a, b, as_weights(None, 40, "a"), as_weights(None, 30, "b"))
    assert found.value == pytest.approx(pairs.mean())
    expected = pairs.mean(1).var(ddof=1) / 40 + pairs.mean(0).var(ddof=1) / 30
    assert found.standard_error == pytest.approx(expected**0.5)


def test_the_area_with_weights_is_that_of_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    a, b, times = rng.normal(size=20), rng.normal(size=30), rng.integers(0, 4, 30)
    found = placement(a, b, as_weights(None, 20, "a"), as_weights(times, 30, "b"))
    assert found.value == pytest.approx((a[:, None] < np.repeat(b, times)).mean())


def test_numbers_that_are_all_the_same_are_no_evidence() -> None:
    w = as_weights(None, 5, "a")
    assert placement(np.zeros(5), np.zeros(5), w, w).p_value == 1.0
    assert placement(np.zeros(5), np.ones(5), w, w).p_value == 0.0
