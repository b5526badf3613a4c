"""Effective size, tail and mean of importance weights against closed forms of normals."""

import math

import pytest
import torch

from counterflow.distillation import report_of
from counterflow.distillation.correction import proposed
from counterflow.distillation.weights import smoothed
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


def some(*parts: tuple[int, float]) -> torch.Tensor:
    return torch.cat([torch.full((count,), value, dtype=torch.float64) for count, value in parts])


SPREAD = torch.randn(100, generator=seeded(5), dtype=torch.float64).exp()
UNFITTED = {
    "too few": (SPREAD[:24], math.nan),
    "rounding of single precision": (torch.randint(-3, 4, (5000,), generator=seeded(6)).double() * 4.8e-7, -math.inf),
    "the largest are equal": (some((2500, 0.0), (2500, 1.0)), -math.inf),
    "one law but for a corner": (torch.cat([some((4900, 0.0)), SPREAD]), math.nan),
    "few draws have any weight": (torch.cat([some((5000, -math.inf)), SPREAD]), math.nan),
    "beyond double precision": (-100 * torch.arange(5000, dtype=torch.float64), math.inf),
}


@pytest.mark.parametrize("case", UNFITTED)
def test_weights_to_which_no_tail_can_be_fitted_are_left_as_they_are(case: str) -> None:
    """The fit would divide by zero, and say that such a tail is light."""
    log_weight, k_hat = UNFITTED[case]
    report = report_of(log_weight)
    assert report.k_hat == pytest.approx(k_hat, nan_ok=True)
    assert (report.lacking is None) is (not math.isnan(k_hat))
    assert report.trusted is (k_hat == -math.inf)
    torch.testing.assert_close(smoothed(log_weight)[0], log_weight.softmax(0))


def test_what_is_lacking_is_said() -> None:
    assert report_of(SPREAD[:24]).lacking == "fewer than 25 draws"
    assert report_of(SPREAD[:25]).lacking is None
    assert report_of(UNFITTED["one law but for a corner"][0]).lacking == "so many equal weights"


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
