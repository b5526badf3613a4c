"""The table of numbers behind every calibration test: histograms, mean, spread, and Holm's correction."""

import numpy as np
import pytest
from scipy.special import ndtr

from counterflow.diagnostics import uniformity
from counterflow.diagnostics.uniformity import holm


def test_holm_by_hand() -> None:
    assert holm(np.array([0.04, 0.01, 0.03, 0.5])) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm(np.array([0.7, 0.6])) == pytest.approx([1.0, 1.0])


def test_among_many_columns_one_false_alarm_is_as_rare_as_for_one() -> None:
    """200 trials of 30 uniform columns at 10 %: standard error 2 %."""
    rng = np.random.default_rng(0)
    alarms = [uniformity(rng.random((100, 30))).adjusted_p_value.min() < 0.1 for _ in range(200)]
    assert 0.03 < np.mean(alarms) < 0.17


def test_histograms_hold_every_row_once() -> None:
    rng = np.random.default_rng(0)
    found = uniformity(np.append(rng.random((998, 2)), [[0.0, 1.0], [1.0, 0.0]], 0), rng.random(1000), bins=7)
    assert found.counts.shape == (2, 7)
    assert found.counts.sum(1) == pytest.approx(1000)
    assert found.expected_count == pytest.approx(1000 / 7)


def test_histogram_errors_are_those_of_counts() -> None:
    found = uniformity(np.random.default_rng(0).random((500, 1)))
    assert found.count_error == pytest.approx(np.sqrt(found.counts))


def test_mean_and_spread_say_what_is_wrong() -> None:
    """A model at 0 with scale 1; each verdict is more than 5 standard errors."""
    x = np.random.default_rng(0).normal(size=4000)
    low, wide, narrow = (uniformity(ndtr(z)[:, None]) for z in (x + 0.3, x / 1.3, x * 1.3))
    assert (low.mean - 0.5) / low.mean_error > 5  # the data lie above the model
    assert (wide.spread - 1) / wide.spread_error < -5  # the model is wider than the data
    assert (narrow.spread - 1) / narrow.spread_error > 5


def test_the_powers_that_the_docstring_names() -> None:
    """A normal model 10 % too wide, 400 rows, 300 trials: standard errors 2 % and 3 %."""
    rng = np.random.default_rng(0)
    trials = [uniformity(ndtr(rng.normal(size=(400, 1)) / 1.1)) for _ in range(300)]
    distance = np.mean([t.p_value[0] < 0.05 for t in trials])
    spread = np.mean([abs(t.spread[0] - 1) > 2 * t.spread_error[0] for t in trials])
    assert 0.06 < distance < 0.2
    assert 0.57 < spread < 0.77


def test_rows_reweighted_to_the_right_law_pass_where_unweighted_ones_fail() -> None:
    """x ~ N(0, 1), weighted to N(0.5, 1): p-values of one seeded draw, uniform if right."""
    x = np.random.default_rng(0).normal(size=2000)
    v, w = ndtr(x - 0.5)[:, None], np.exp(0.5 * x)
    assert uniformity(v, w).p_value[0] > 0.05
    assert uniformity(v).p_value[0] < 1e-10
    right, wrong = uniformity(v, w), uniformity(v)
    assert abs(right.mean[0] - 0.5) < 3.3 * right.mean_error[0]
    assert abs(right.spread[0] - 1) < 3.3 * right.spread_error[0]
    assert (0.5 - wrong.mean[0]) / wrong.mean_error[0] > 10
    assert (wrong.spread[0] - 1) / wrong.spread_error[0] > 5
    assert uniformity(v, w).effective_rows == pytest.approx(2000 * np.exp(-0.25), rel=0.1)


def test_values_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected values between 0 and 1, got -0\.5 to 0\.5"):
        uniformity(np.array([[-0.5], [0.5]]))
    with pytest.raises(ValueError, match="at least one bin, got 0"):
        uniformity(np.array([[0.5]]), bins=0)
