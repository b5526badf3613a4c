"""SBC and TARP on a posterior in closed form: what passes, what each of them catches, and what each must miss."""

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow.diagnostics import simulation_based_calibration, tarp
from diagnostics.worlds import LinearGaussian, normals, prior, shaken, stream

ALARM = 1e-3  # the chance that a seeded test of a right posterior would fail, had it been drawn afresh
CAUGHT = 1e-5
WORLD = LinearGaussian()
THETA, X = WORLD.simulate(1500)


def references_of_the_data() -> torch.Tensor:
    """Points that know x: somewhere around it."""
    return X + normals(len(X), seed=77)


def test_the_exact_posterior_passes_both() -> None:
    ranks = simulation_based_calibration(WORLD.posterior(), THETA, X, draws=63, generator=stream())
    assert ranks.ranks.min() >= 0
    assert ranks.ranks.max() <= 63
    assert ranks.uniformity.adjusted_p_value.min() > ALARM
    for references in (None, references_of_the_data()):
        found = tarp(WORLD.posterior(), THETA, X, references=references, draws=63, generator=stream(1))
        assert found.p_value > ALARM
        assert abs(found.area) < 3.5 * found.area_error
        assert np.abs(found.coverage - found.level).max() < found.statistic + 1e-9


def test_false_alarms_are_as_rare_as_stated() -> None:
    """200 trials of 150 simulations at 10 %: standard error 2.1 %."""
    alarms = []
    for seed in range(200):
        theta, x = WORLD.simulate(150, seed)
        drawn = WORLD.posterior(seed=seed)(x, 20)
        ranks = simulation_based_calibration(drawn, theta, generator=stream(seed))
        alarms.append([ranks.uniformity.adjusted_p_value.min() < 0.1, tarp(drawn, theta).p_value < 0.1])
    assert (np.abs(np.mean(alarms, 0) - 0.1) < 0.065).all()


@pytest.mark.parametrize(("width", "sign"), [(0.7, -1), (1.4, 1)], ids=["overconfident", "underconfident"])
def test_a_wrong_width_is_caught_by_both_with_its_sign(width: float, sign: int) -> None:
    ranks = simulation_based_calibration(WORLD.posterior(width=width), THETA, X, generator=stream())
    assert ranks.uniformity.adjusted_p_value.max() < CAUGHT
    assert (sign * (ranks.uniformity.spread - 1) / ranks.uniformity.spread_error < -5).all()
    found = tarp(WORLD.posterior(width=width), THETA, X, generator=stream(1))
    assert found.p_value < CAUGHT
    assert sign * found.area > 5 * found.area_error
    assert (np.abs(found.coverage - found.level) > found.band).any()


def test_a_shifted_posterior_is_caught_by_both() -> None:
    ranks = simulation_based_calibration(WORLD.posterior(shift=0.3), THETA, X, generator=stream())
    assert ranks.uniformity.adjusted_p_value.max() < CAUGHT
    assert (ranks.uniformity.mean < 0.5).all()  # the truth lies below the draws
    assert tarp(WORLD.posterior(shift=0.5), THETA, X, generator=stream(1)).p_value < CAUGHT


def test_a_posterior_without_its_correlation_passes_sbc_and_fails_tarp_seen_from_afar() -> None:
    wrong = {"correlated": False}
    ranks = simulation_based_calibration(WORLD.posterior(**wrong), THETA, X, generator=stream())
    assert ranks.uniformity.adjusted_p_value.min() > ALARM
    # Seen from a point far along the diagonal, distances are those of the sum of the parameters: too narrow without
    # the correlation. Points all around average over directions that are too narrow and too wide.
    far = torch.full_like(THETA, 30.0)
    found = tarp(WORLD.posterior(**wrong), THETA, X, references=far, generator=stream(1))
    assert found.p_value < CAUGHT
    assert found.area < -5 * found.area_error
    assert tarp(WORLD.posterior(**wrong), THETA, X, generator=stream(1)).p_value > ALARM


def test_the_prior_is_caught_only_by_references_that_look_at_the_data() -> None:
    """The paper's own example (section 3 of arXiv:2302.03026): coverage is right on average over x."""
    ranks = simulation_based_calibration(prior(), THETA, X, generator=stream())
    assert ranks.uniformity.adjusted_p_value.min() > ALARM
    assert tarp(prior(), THETA, X, generator=stream(1)).p_value > ALARM
    assert tarp(prior(), THETA, X, references=references_of_the_data(), generator=stream(1)).p_value < CAUGHT


def test_the_area_of_the_curve_is_the_integral_of_the_curve() -> None:
    found = tarp(WORLD.posterior(width=0.7), THETA, X, generator=stream(1))
    upper = found.level >= 0.5
    area = np.trapezoid((found.coverage - found.level)[upper], found.level[upper])
    assert found.area == pytest.approx(area, abs=0.002)


def test_simulations_from_a_proposal_pass_with_their_weights_only() -> None:
    """theta from N(0, 1.5^2), weighted to the prior N(0, 1); the posterior is that of the prior."""
    theta = 1.5 * normals(4000, seed=3)
    x = theta + normals(4000, seed=4) @ WORLD.noise_root.T
    weight = torch.exp(-0.5 * theta.square().sum(-1) * (1 - 1 / 1.5**2))
    drawn = WORLD.posterior()(x, 50)
    right = simulation_based_calibration(drawn, theta, weight=weight, generator=stream())
    wrong = simulation_based_calibration(drawn, theta, generator=stream())
    assert right.uniformity.adjusted_p_value.min() > ALARM
    assert wrong.uniformity.adjusted_p_value.min() < CAUGHT
    assert tarp(drawn, theta, weight=weight, generator=stream()).p_value > ALARM
    assert tarp(drawn, theta, generator=stream()).p_value < CAUGHT


def test_whole_numbers_have_uniform_ranks() -> None:
    """A Poisson rate is not asked for here, but a count: posterior draws tie with the truth most of the time."""
    counts = torch.poisson(torch.full((51, 2000, 1), 1.5), generator=stream()).double()
    found = simulation_based_calibration(counts[1:], counts[0], generator=stream(1))
    assert found.uniformity.p_value[0] > ALARM
    frequency = np.bincount(found.ranks[:, 0], minlength=51)
    assert len(frequency) == 51
    # Chi-square with 50 degrees of freedom: above 86.7 with chance 1e-3.
    assert ((frequency - 2000 / 51) ** 2 / (2000 / 51)).sum() < 86.7
    assert tarp(counts[1:], counts[0], generator=stream(1)).p_value > ALARM


def test_a_conditional_flow_is_calibrated_for_what_it_draws() -> None:
    model = shaken(cf.models.maf(2, 3, layers=1, hidden=(16,)))
    x = torch.randn(600, 3, generator=stream(1)).double()
    theta = model.sample((), x, generator=stream(2))
    ranks = simulation_based_calibration(model, theta, x, draws=40, generator=stream(3))
    assert ranks.uniformity.adjusted_p_value.min() > ALARM
    assert tarp(model, theta, x, draws=40, generator=stream(3)).p_value > ALARM


def test_the_unit_of_a_parameter_does_not_matter() -> None:
    """The second parameter in metres or in millimetres."""
    drawn, unit = WORLD.posterior()(X, 20), torch.tensor([1.0, 1000.0]).double()
    a = tarp(drawn, THETA, generator=stream(1))
    b = tarp(drawn * unit, THETA * unit, generator=stream(1))
    np.testing.assert_allclose(a.inside, b.inside)


def test_what_does_not_fit_together_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"a reference point for each row of theta, \(1500, 2\), got \(1500, 3\)"):
        tarp(WORLD.posterior(), THETA, X, references=normals(1500, 3))
    with pytest.raises(ValueError, match="column 1 of theta does not vary"):
        tarp(prior(), torch.stack([X[:, 0], torch.ones(1500)], -1), X)
    with pytest.raises(ValueError, match="among the draws for rows 0 to 1309 are NaN"):
        tarp(lambda x, n: torch.full((n, len(x), 2), float("nan")), THETA, X)
    with pytest.raises(ValueError, match="among the draws for rows 0 to 1499 are NaN"):
        simulation_based_calibration(lambda x, n: torch.full((n, len(x), 2), float("nan")), THETA, X, draws=5)
