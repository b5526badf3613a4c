"""Coverage of highest-density regions, and the ranks of log p behind it."""

import numpy as np
import pytest
import torch
from scipy import stats

import counterflow as cf
from counterflow.diagnostics import coverage, density_ranks, density_ranks_among
from diagnostics.worlds import normal_flow, normals, shaken, stream

ALARM = 1e-3  # the chance that a seeded test of a right model would fail, had it been drawn afresh


def test_the_levels_of_a_normal_are_those_of_its_ellipsoids() -> None:
    """The region that begins to hold x has mass P(chi2_D < x^2); 20,000 draws give it to 0.0035, five errors here."""
    x = normals(50, 3)
    found = density_ranks(normal_flow((0.0,) * 3, (1.0,) * 3), x, draws=20_000, generator=stream(1))
    expected = stats.chi2(3).cdf(x.square().sum(-1).numpy())
    np.testing.assert_allclose(found.level, expected, atol=0.018)


def test_a_right_model_covers_what_it_promises() -> None:
    model = shaken(cf.models.maf(3, layers=2, hidden=(16,)))
    found = coverage(density_ranks(model, model.sample(3000, generator=stream()), generator=stream(1)))
    assert (np.abs(found.coverage - found.level) < 3.5 * found.null_error).all()
    assert found.uniformity.p_value[0] > ALARM
    assert (found.rows, found.draws) == (3000, 1000)


def test_the_null_error_is_the_scatter_of_right_models() -> None:
    """400 trials give the scatter to 3.5 %; half of the variance comes from the draws."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        x, s = (torch.from_numpy(rng.normal(size=300)) for _ in range(2))
        found.append(coverage(density_ranks_among(-(x**2), -(s**2)), levels=(0.7,)))
    scatter = np.std([f.coverage[0] for f in found])
    assert found[0].null_error[0] == pytest.approx(scatter, rel=0.15)
    assert np.mean([f.standard_error[0] for f in found]) == pytest.approx(scatter, rel=0.15)


@pytest.mark.parametrize(("scale", "sign"), [(0.8, -1), (1.25, 1)], ids=["too narrow", "too wide"])
def test_a_wrong_width_is_caught_with_its_sign(scale: float, sign: int) -> None:
    model = normal_flow(scale=(scale, scale))
    found = coverage(density_ranks(model, normals(3000), draws=3000, generator=stream(1)))
    pulls = sign * (found.coverage - found.level) / found.null_error
    assert (pulls[:4] > 5).all()
    assert found.uniformity.p_value[0] < 1e-6
    assert np.sign(found.uniformity.mean[0] - 0.5) == -sign
    # A normal of scale s promises its region, x^2 < s^2 q, the mass P(chi2_2 < s^2 q) of the truth.
    expected = stats.chi2(2).cdf(scale**2 * stats.chi2(2).ppf(found.level))
    assert (np.abs(found.coverage - expected) < 4 * np.maximum(found.standard_error, 0.002)).all()


def test_without_weights_the_error_is_binomial() -> None:
    model, x = normal_flow(), normals(400)
    found = coverage(density_ranks(model, x, draws=10**5, generator=stream()))
    c = found.coverage
    assert found.standard_error == pytest.approx(np.sqrt(c * (1 - c) * (1 / 400 + 1e-5)))


def test_with_contexts_every_row_has_its_own_regions() -> None:
    """y ~ N(0, c^2): regions pooled over c would be right on average only."""
    model = shaken(cf.models.maf(2, 1, layers=2, hidden=(16,)))
    c = torch.randn(1500, 1, generator=stream(1)).double()
    y = model.sample((), c, generator=stream(2))
    right = density_ranks(model, y, c, draws=200, generator=stream(3))
    assert not right.shared
    assert coverage(right).uniformity.p_value[0] > ALARM
    wrong = density_ranks(model, y, c.flip(0), draws=200, generator=stream(3))
    assert coverage(wrong).uniformity.p_value[0] < 1e-6


def test_reweighted_rows_are_covered_where_unweighted_ones_are_not() -> None:
    """Rows of N(0, 1.5^2), weighted to N(0, 1)."""
    x = 1.5 * normals(6000, 1)
    weight = torch.exp(-0.5 * x[:, 0] ** 2 * (1 - 1 / 1.5**2))
    ranks = density_ranks(normal_flow((0.0,), (1.0,)), x, draws=4000, generator=stream(1))
    right, wrong = coverage(ranks, weight=weight), coverage(ranks)
    assert (np.abs(right.coverage - right.level) < 3.5 * right.null_error).all()
    assert right.uniformity.p_value[0] > ALARM
    assert (np.abs(wrong.coverage - wrong.level) > 8 * wrong.null_error).all()
    assert right.effective_rows < 6000 == wrong.effective_rows


def test_ties_in_the_density_are_spread() -> None:
    """A binary model has few values of log p; coverage is right all the same."""
    model = shaken(cf.models.made(4, family=cf.families.Bernoulli(), hidden=(16,)))
    ranks = density_ranks(model, model.sample(3000, generator=stream()), draws=3000, generator=stream(1))
    assert (ranks.equal > 20).all()
    assert coverage(ranks).uniformity.p_value[0] > ALARM


def test_the_levels_given_a_context_are_shares_of_denser_draws() -> None:
    """Against 20,000 other draws for each row; 2000 draws give a level to 0.011, four errors here."""
    model = shaken(cf.models.maf(2, 1, layers=2, hidden=(16,)), size=0.5)
    c = torch.randn(20, 1, generator=stream(1)).double()
    y = 1.5 * model.sample((), c, generator=stream(2))
    found = density_ranks(model, y, c, draws=2000, generator=stream(3))
    with torch.no_grad():
        expected = (model.log_prob(model.sample(20_000, c), c) > model.log_prob(y, c)).double().mean(0)
        np.testing.assert_allclose(found.log_prob, model.log_prob(y, c))
    np.testing.assert_allclose(found.level, expected, atol=0.045)


def test_few_rows_at_a_time_give_ranks_of_the_same_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterflow.diagnostics.draws.CHUNK_CELLS", 1000)
    model = shaken(cf.models.maf(2, 1, layers=1, hidden=(16,)))
    c = torch.randn(300, 1, generator=stream(1)).double()
    ranks = density_ranks(model, model.sample((), c, generator=stream(2)), c, draws=50, generator=stream(3))
    assert coverage(ranks).uniformity.p_value[0] > ALARM


def test_what_cannot_be_ranked_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="1 values of log p of the rows are NaN"):
        density_ranks_among(torch.tensor([0.0, float("nan")]), torch.zeros(3))
    with pytest.raises(ValueError, match="at least one log p of the draws"):
        density_ranks_among(torch.zeros(2), torch.zeros(0))
    with pytest.raises(ValueError, match="at least one draw, got 0"):
        density_ranks(normal_flow(), normals(3), draws=0)
    with pytest.raises(ValueError, match=r"levels between 0 and 1, got \(0.5, 1.0\)"):
        coverage(density_ranks_among(torch.zeros(2), torch.zeros(3)), levels=(0.5, 1.0))
