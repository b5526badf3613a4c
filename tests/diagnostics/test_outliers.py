"""Typicality and flags: p-values with their stated rate, rows too dense as well as too rare."""

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow.diagnostics import density_ranks, density_ranks_among, flag_threshold, typicality
from diagnostics.worlds import normal_flow, normals, shaken, stream


def test_p_values_by_hand() -> None:
    ranks = density_ranks_among(torch.tensor([-9.0, 0.0, 2.0, 9.0]), torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    found = typicality(ranks)
    np.testing.assert_allclose(found.p_low, np.array([1, 3, 5, 5]) / 5)
    np.testing.assert_allclose(found.p_high, np.array([5, 4, 2, 1]) / 5)
    np.testing.assert_allclose(found.p_two_sided, [0.4, 1.0, 0.8, 0.4])
    assert found.draws == 4


def test_rows_of_the_model_are_rarely_atypical() -> None:
    """3000 rows at 5 %: standard error 0.4 % from the rows, 0.7 % from 1000 shared draws."""
    model = shaken(cf.models.maf(3, layers=2, hidden=(16,)))
    found = typicality(density_ranks(model, model.sample(3000, generator=stream()), generator=stream(1)))
    for p in (found.p_low, found.p_high, found.p_two_sided):
        assert np.mean(p < 0.05) < 0.075


def test_a_row_at_the_mode_is_atypical_in_many_dimensions() -> None:
    """Of 100 normal columns all zero is the densest row of all, and nothing like a draw."""
    model = normal_flow((0.0,) * 100, (1.0,) * 100)
    rows = torch.stack([torch.zeros(100).double(), normals(1, 100)[0], 2 * normals(1, 100)[0]])
    found = typicality(density_ranks(model, rows, generator=stream()))
    assert found.p_two_sided[0] == found.p_two_sided[2] == pytest.approx(2 / 1001)
    assert found.p_high[0] < 0.01 < found.p_high[1]
    assert found.p_low[2] < 0.01 < found.p_low[0]
    assert found.p_two_sided[1] > 0.01


def test_with_contexts_a_row_is_judged_beside_draws_of_its_own() -> None:
    model = shaken(cf.models.maf(2, 1, layers=2, hidden=(16,)), size=0.5)
    c = torch.randn(400, 1, generator=stream(1)).double()
    y = model.sample((), c, generator=stream(2))
    found = typicality(density_ranks(model, y, c, draws=199, generator=stream(3)))
    assert np.mean(found.p_two_sided < 0.05) == pytest.approx(0.05, abs=0.035)  # three standard errors


def test_the_false_alarm_rate_is_kept_on_average() -> None:
    """4000 held-out sets of 50 rows: P(new row flagged) is 5/51, the whole part of 0.1 * 51 over 51; error 0.5 %."""
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(4000):
        found = flag_threshold(rng.normal(size=50), rate=0.1)
        alarms.append(bool(found.flags(rng.normal(size=1))[0]))
    assert np.mean(alarms) == pytest.approx(5 / 51, abs=0.015)


def test_the_line_is_the_kth_smallest_score() -> None:
    score = torch.arange(99.0).flip(0)
    found = flag_threshold(score, rate=0.05)  # k = floor(0.05 * 100) = 5
    assert found.threshold == 4.0
    assert found.flags(np.array([3.9, 4.0, -np.inf])).tolist() == [True, False, True]
    assert found.held_out_rate == pytest.approx(4 / 99)
    assert found.rate_error == pytest.approx((0.05 * 0.95 / 99) ** 0.5)


def test_equal_weights_change_nothing() -> None:
    score = np.random.default_rng(0).normal(size=300)
    assert flag_threshold(score, 0.02).threshold == flag_threshold(score, 0.02, weight=np.full(300, 7.0)).threshold


def test_weights_move_the_line_to_the_law_they_stand_for() -> None:
    """Scores of N(0, 1), weighted to N(1, 1): the 5 % line of that is -0.645; 1 / sqrt(N) errors below 0.05."""
    score = np.random.default_rng(0).normal(size=50_000)
    assert flag_threshold(score, 0.05, weight=np.exp(score)).threshold == pytest.approx(1 - 1.645, abs=0.1)
    assert flag_threshold(score, 0.05).threshold == pytest.approx(-1.645, abs=0.05)


def test_ties_are_never_flagged_beyond_the_rate() -> None:
    found = flag_threshold(np.repeat([0.0, 1.0], [300, 700]), rate=0.1)
    assert found.threshold == 0.0
    assert found.held_out_rate == 0.0


def test_outliers_are_flagged_at_the_stated_rate_of_a_model() -> None:
    """1000 rows at 2 %: three standard errors of held-out rows and of rows, 1.9 %."""
    model = normal_flow()
    found = flag_threshold(model.log_prob(normals(1000)), rate=0.02)
    assert found.flags(model.log_prob(normals(1000, seed=1))).mean() == pytest.approx(0.02, abs=0.019)
    assert found.flags(model.log_prob(normals(100, seed=2) + 6)).mean() > 0.95


@pytest.mark.parametrize(
    ("score", "more", "sentence"),
    [
        (np.zeros(98), {}, "a false-alarm rate of 0.01 needs 99 held-out rows, got 98"),
        (np.zeros(99), {"rate": 1.5}, "between 0 and 1, got 1.5"),
        (np.array([0.0, np.nan]), {}, "1 scores are NaN, the first that of row 1"),
        (np.zeros((3, 1)), {}, r"one score per row, at least one, got shape \(3, 1\)"),
        (np.zeros(3), {"weight": np.array([1.0, -0.1, 1.0])}, "weight 1 of the held-out rows is negative"),
    ],
)
def test_lines_that_cannot_be_drawn_are_refused_in_words(score: np.ndarray, more: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        flag_threshold(score, **more)


def test_99_rows_are_enough_for_one_per_cent() -> None:
    assert flag_threshold(np.arange(99.0), 0.01).threshold == 0.0
