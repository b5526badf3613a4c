"""The Gaussian baseline and the estimates with standard errors, against closed forms."""

import math

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow.diagnostics import (
    FittedGaussian,
    RunningMean,
    chunk_rows,
    compare,
    compare_scores,
    estimate,
    log_prob_in_chunks,
)


def rows(count: int = 200, columns: int = 3) -> torch.Tensor:
    x = torch.randn(count, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x @ torch.tensor([[1.0, 0.3, 0.0], [0.0, 2.0, -1.0], [0.0, 0.0, 1e-2]], dtype=torch.float64) + 5


def test_the_fitted_gaussian_is_the_normal_of_the_sample_moments() -> None:
    x = rows()
    centred = x - x.mean(0)
    law = torch.distributions.MultivariateNormal(x.mean(0), centred.T @ centred / len(x))
    torch.testing.assert_close(FittedGaussian(x).log_prob(x), law.log_prob(x))


def test_the_fitted_gaussian_keeps_batch_axes() -> None:
    x = rows()
    gaussian = FittedGaussian(x)
    assert gaussian.log_prob(x[0]).shape == ()
    torch.testing.assert_close(gaussian.log_prob(x.reshape(20, 10, 3)).flatten(), gaussian.log_prob(x))


def test_no_other_normal_is_likelier_on_the_rows_it_was_fitted_to() -> None:
    x = rows()
    best = FittedGaussian(x).log_prob(x).sum()
    for other in (x * 1.05, x + 0.01, rows(201)):
        assert FittedGaussian(other).log_prob(x).sum() < best


def test_too_few_rows_for_a_gaussian_are_refused() -> None:
    with pytest.raises(ValueError, match="needs more than 3 rows, got 3"):
        FittedGaussian(rows(3))


def test_dependent_columns_are_refused() -> None:
    x = rows()
    with pytest.raises(ValueError, match="linearly dependent"):
        FittedGaussian(torch.stack([x[:, 0], x[:, 0]], -1))


def test_mean_and_standard_error_are_the_textbook_ones() -> None:
    value = estimate(torch.tensor([1.0, 2.0, 6.0]))
    assert (value.mean, value.rows) == (3.0, 3)
    assert value.standard_error == pytest.approx(math.sqrt(7.0 / 3))


def test_one_row_has_no_standard_error() -> None:
    assert math.isnan(estimate(torch.tensor([1.0])).standard_error)


def test_rows_with_whole_weights_are_repeated_rows() -> None:
    x, times = rows(), torch.arange(200) % 4
    repeated = x.repeat_interleave(times, 0)
    weighted = FittedGaussian(x, times.double())
    torch.testing.assert_close(weighted.log_prob(x), FittedGaussian(repeated).log_prob(x))
    assert estimate(x[:, 0], times.double()).mean == pytest.approx(float(repeated[:, 0].mean()))


def test_weighted_scores_have_the_error_of_a_weighted_mean() -> None:
    v, w = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 1.0, 2.0])
    mean = 15 / 4
    squares = (1.0 - mean) ** 2 + (2.0 - mean) ** 2 + 4 * (6.0 - mean) ** 2
    found = estimate(v, w)
    assert (found.mean, found.standard_error) == pytest.approx((mean, math.sqrt(1.5 * squares) / 4))


def test_a_mean_over_blocks_is_that_over_all_rows() -> None:
    v, w = 1e6 + rows()[:, 1].numpy(), np.linspace(-0.1, 2, 200)
    for weight in (None, w):
        running = RunningMean()
        for i in range(0, 200, 33):
            running.add(v[i : i + 33], None if weight is None else weight[i : i + 33])
        whole = estimate(torch.from_numpy(v), None if weight is None else torch.from_numpy(weight))
        found = running.estimate()
        assert found is not None
        assert found.mean == pytest.approx(whole.mean, rel=1e-12)
        assert found.standard_error == pytest.approx(whole.standard_error, rel=1e-6)


def test_scores_of_two_conditional_models_are_compared_pair_by_pair() -> None:
    a, b = rows()[:, 0], rows()[:, 1]
    assert compare_scores(a, b).difference == estimate(a - b)
    with pytest.raises(ValueError, match="two scores of the same rows, got 200 and 199"):
        compare_scores(a, b[1:])


def test_every_row_is_scored_given_its_own_context() -> None:
    model = cf.models.maf(2, 1, layers=1, hidden=(8,)).double()
    x, c = rows(9000, 3)[:, :2], rows(9000, 3)[:, 2:]
    torch.testing.assert_close(log_prob_in_chunks(model, x, c), model.log_prob(x, c).detach())
    with pytest.raises(ValueError, match="a context for each of the 9000 rows"):
        log_prob_in_chunks(model, x, c[1:])


def test_no_rows_have_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        estimate(torch.empty(0))


def test_a_density_differs_from_itself_by_nothing() -> None:
    x = rows()
    gaussian = FittedGaussian(x)
    difference = compare(gaussian, gaussian, x).difference
    assert (difference.mean, difference.standard_error) == (0.0, 0.0)


def test_scoring_in_chunks_is_scoring_at_once() -> None:
    x = torch.randn(2 * chunk_rows(1) + 1, 1, generator=torch.Generator().manual_seed(0))
    gaussian = FittedGaussian(x)
    torch.testing.assert_close(log_prob_in_chunks(gaussian, x), gaussian.log_prob(x))
