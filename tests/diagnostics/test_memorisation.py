"""Memorisation: a right model, one that repeats its training rows, one that blurs them, one that is off."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from counterflow.diagnostics import memorisation
from diagnostics.worlds import normals, stream

TRAINING, HELD_OUT = normals(500, 3, seed=1), normals(500, 3, seed=2)


def test_fresh_rows_of_the_same_law_pass() -> None:
    found = memorisation(normals(500, 3), TRAINING, HELD_OUT)
    assert found.p_value > 1e-3
    assert abs(found.nearer - 0.5) < 3.3 * found.nearer_error
    assert (np.abs(found.share_nearer - found.quantile) < 3.5 * found.share_error).all()
    assert (found.copies, found.held_out_copies) == (0, 0)
    assert (found.samples, found.held_out_rows, found.training_rows) == (500, 500, 500)


def test_false_alarms_are_as_rare_as_stated() -> None:
    """200 trials at 10 %, each with training rows of its own: standard error 2.1 %."""
    trials = [memorisation(*(normals(100, 2, seed=s + k) for k in (0, 1000, 2000))) for s in range(200)]
    assert np.mean([t.p_value < 0.1 for t in trials]) == pytest.approx(0.1, abs=0.065)
    assert np.std([t.share_nearer[3] for t in trials]) == pytest.approx(trials[0].share_error[3], rel=0.2)


def test_the_p_value_is_that_of_mann_and_whitney() -> None:
    samples = torch.cat([normals(400, 3), TRAINING[:20]])
    found = memorisation(samples, TRAINING, HELD_OUT)
    scaled = TRAINING.std(0, correction=0)
    near, reference = (torch.cdist(x / scaled, TRAINING / scaled).min(1).values for x in (samples, HELD_OUT))
    assert found.p_value == pytest.approx(mannwhitneyu(near, reference, alternative="less").pvalue, rel=0.2)
    np.testing.assert_allclose(found.distance, np.quantile(reference, found.quantile, method="inverted_cdf"))


def test_repeated_training_rows_are_counted_and_caught() -> None:
    samples = torch.cat([normals(400, 3), TRAINING[:100], TRAINING[:1]])
    found = memorisation(samples, TRAINING, HELD_OUT)
    assert found.copies == 101
    assert found.p_value < 1e-4
    assert found.share_nearer[0] - found.quantile[0] > 8 * found.share_error[0]


def test_training_rows_with_a_little_noise_are_caught_without_being_copies() -> None:
    """One sample in ten; too few for the mean rank to be sure, enough for the smallest distances."""
    near = TRAINING[:50] + 0.01 * normals(50, 3, seed=9)
    found = memorisation(torch.cat([normals(450, 3), near]), TRAINING, HELD_OUT)
    assert found.copies == 0
    assert found.share_nearer[0] - found.quantile[0] > 8 * found.share_error[0]


def test_samples_where_no_data_are_lie_on_the_other_side() -> None:
    found = memorisation(3 * normals(500, 3), TRAINING, HELD_OUT)
    assert (0.5 - found.nearer) / found.nearer_error > 10
    assert found.p_value > 0.999


def test_units_of_the_columns_do_not_matter() -> None:
    unit = torch.tensor([1.0, 1e4, 1e-3]).double()
    a = memorisation(normals(300, 3), TRAINING, HELD_OUT)
    b = memorisation(normals(300, 3) * unit, TRAINING * unit, HELD_OUT * unit)
    assert a.nearer == pytest.approx(b.nearer)


def test_weighted_held_out_rows_stand_for_the_law_that_samples_come_from() -> None:
    """Training and held-out rows of N(0, 1), weighted to N(1, 1): right samples are farther out than held-out rows."""
    training, held_out = normals(4000, 1, seed=1), normals(4000, 1, seed=2)
    weight, samples = torch.exp(held_out[:, 0]), normals(4000, 1) + 1
    right, wrong = memorisation(samples, training, held_out, weight=weight), memorisation(samples, training, held_out)
    assert abs(right.nearer - 0.5) < 3.3 * right.nearer_error
    assert (0.5 - wrong.nearer) / wrong.nearer_error > 5
    assert right.effective_held_out_rows < 4000


def test_whole_numbers_are_copies_on_both_sides() -> None:
    counts = torch.poisson(torch.full((900, 2), 2.0), generator=stream()).double()
    found = memorisation(counts[:300], counts[300:600], counts[600:])
    assert found.copies > 200
    assert abs(found.copies - found.held_out_copies) < 60
    assert found.p_value > 1e-3


def counts(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.poisson(torch.full((rows, columns), 2.0), generator=stream(seed)).double()


@pytest.mark.parametrize("columns", [2, 4, 20], ids=["most rows tie at 0", "many tie", "by brute force"])
def test_false_alarms_with_whole_numbers_are_as_rare_as_stated(columns: int) -> None:
    """100 trials: mean shares within 3.5 standard errors, their scatter within 5 of its own, alarms within 3."""
    trials = [memorisation(*(counts(200, columns, s + k) for k in (0, 1000, 2000))) for s in range(100)]
    shares, errors = np.stack([t.share_nearer for t in trials]), np.stack([t.share_error for t in trials])
    quantile = trials[0].quantile
    assert (np.abs(shares.mean(0) - quantile) < 3.5 * errors.mean(0) / 10 + 1e-9).all()
    seen = errors.mean(0) > 1e-3
    np.testing.assert_allclose(shares.std(0)[seen], errors.mean(0)[seen], rtol=0.35)
    assert np.mean([t.p_value < 0.1 for t in trials]) == pytest.approx(0.1, abs=0.09)


@pytest.mark.parametrize("columns", [2, 4, 20])
def test_training_rows_of_whole_numbers_that_are_repeated_are_caught_among_ties(columns: int) -> None:
    """Many honest samples equal a training row, too."""
    training, held_out = counts(500, columns, 1), counts(500, columns, 2)
    samples = torch.cat([counts(300, columns, 3), training[:200]])
    honest, planted = (memorisation(x, training, held_out) for x in (counts(500, columns, 4), samples))
    assert honest.p_value > 1e-3
    assert (np.abs(honest.share_nearer - honest.quantile) < 3.5 * honest.share_error + 1e-9).all()
    if columns > 2:  # of two columns every combination is a training row: there is nothing to be learnt by heart
        assert planted.p_value < 1e-4
        assert planted.share_nearer[0] - 0.01 > 5 * planted.share_error[0]


def test_copies_are_at_distance_zero_however_neighbours_are_sought() -> None:
    """Brute force finds neighbours by |a|^2 - 2 ab + |b|^2, which of equal rows is seldom 0."""
    training = 1e3 + normals(100, 40)
    found = memorisation(training[:50], training, 1e3 + normals(100, 40, seed=5))
    assert (found.sample_distance == 0).all()


def test_rows_that_are_all_at_one_distance_say_nothing() -> None:
    training = torch.tensor([[0.0], [1.0]])
    found = memorisation(training, training, training)
    assert (found.nearer, found.p_value) == (0.5, 1.0)
    assert np.array_equal(found.share_nearer, found.quantile)
    assert np.array_equal(found.share_error, np.zeros(4))


def test_minus_zero_is_zero() -> None:
    training = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert memorisation(torch.tensor([[-0.0, 1.0]]), training, training).copies == 1


def test_many_columns_go_by_brute_force_to_the_same_end() -> None:
    samples, training, held_out = (normals(80, 40, seed=s) for s in range(3))
    found = memorisation(samples, training, held_out, quantiles=(0.5,))
    unit = training.std(0, correction=0)
    reference = torch.cdist(held_out / unit, training / unit).min(1).values
    assert found.distance[0] == pytest.approx(float(reference.sort().values[39]))


def test_what_cannot_be_compared_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="the table of samples has 2 columns, that of training rows has 3"):
        memorisation(normals(5), TRAINING, HELD_OUT)
    with pytest.raises(ValueError, match="column 0 of the training rows does not vary"):
        memorisation(normals(5, 1), torch.ones(5, 1), normals(5, 1))
    with pytest.raises(ValueError, match="quantiles between 0 and 1"):
        memorisation(HELD_OUT, TRAINING, HELD_OUT, quantiles=(0.0,))
    with pytest.raises(ValueError, match="weight 1 of the held-out rows is negative"):
        memorisation(HELD_OUT, TRAINING, HELD_OUT[:2], weight=np.array([2.0, -1.0]))
