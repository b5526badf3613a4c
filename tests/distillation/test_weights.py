"""Effective size, tail and mean of importance weights against closed forms of normals."""

import math

import pytest
import torch

from counterflow.distillation import report_of
from counterflow.distillation.correction import proposed
from distillation.laws_of_normals import Normal, seeded


@pytest.mark.parametrize("s", [1.2, 1.6])
def test_effective_share_of_a_wide_student_is_the_closed_form(s: float) -> None:
    """1 / E_q[w^2]; the tolerance is about 6 standard errors of 100,000 draws."""
    truth = math.sqrt(2 * s**2 - 1) / s**2
    _, log_weight = proposed(Normal(1, scale=s), Normal(1), 100_000, seeded(0))
    assert report_of(log_weight).effective_fraction == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("s", [0.55, 0.75, 0.9])
def test_k_hat_of_a_narrow_student_is_that_of_its_tail(s: float) -> None:
    """w = p / q under q = N(0, s^2) has a tail of index 1 / (1 - s^2), so k = 1 - s^2 up to a slowly varying factor."""
    _, log_weight = proposed(Normal(1, scale=s), Normal(1), 200_000, seeded(1))
    assert report_of(log_weight).k_hat == pytest.approx(1 - s**2, abs=0.15)


def test_a_narrow_student_is_not_trusted_and_a_wide_one_is() -> None:
    reports = [report_of(proposed(Normal(1, scale=s), Normal(1), 20_000, seeded(2))[1]) for s in (0.25, 1.3)]
    assert [report.trusted for report in reports] == [False, True]


def test_the_normaliser_is_found_within_its_error() -> None:
    """Five standard errors: a false alarm about once in two million seeds."""
    _, log_weight = proposed(Normal(2, scale=1.3), Normal(2, log_constant=1.7), 50_000, seeded(3))
    found = report_of(log_weight).log_mean
    assert abs(found.mean - 1.7) < 5 * found.standard_error < 0.1


def test_equal_densities_have_equal_weights() -> None:
    _, log_weight = proposed(Normal(2), Normal(2), 1000, seeded(4))
    found = report_of(log_weight)
    assert found.effective_fraction == pytest.approx(1.0)
    assert found.k_hat == -math.inf
    assert found.trusted
    assert found.largest == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.0], "at least two weights"),
        ([0.0, math.nan], "not a number"),
        ([0.0, math.inf], "not a number"),
        ([-math.inf, -math.inf], "all weights are zero"),
    ],
)
def test_weights_that_say_nothing_are_refused(values: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        report_of(torch.tensor(values))
