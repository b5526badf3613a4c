"""Probability integral transforms: closed forms, a right model, and the mistakes each of them must see."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import counterflow as cf
from counterflow import families
from counterflow.diagnostics import base_space_pit, conditional_pit, marginal_pit
from counterflow.diagnostics.cdfs import base_cdf, family_cdf
from counterflow.families import Bernoulli, Family
from counterflow.shapes import Shape
from diagnostics.worlds import correlated, normal_flow, normals, shaken, stream

ALARM = 1e-3  # the chance that a seeded test of a right model would fail, had it been drawn afresh
CAUGHT = 1e-6  # how sure a verdict on a wrong model is

BASES = {
    "normal": (cf.bases.StandardNormal(2), stats.norm()),
    "logistic": (cf.bases.StandardLogistic(2), stats.logistic()),
    "uniform": (cf.bases.Uniform(2, -3.0, 4.0), stats.uniform(-3, 7)),
    "student": (cf.bases.StudentT(2, degrees_of_freedom=3.0), stats.t(3)),
}


@pytest.mark.parametrize("name", BASES)
def test_the_pit_of_a_flow_is_the_distribution_function_of_its_base(name: str) -> None:
    base, law = BASES[name]
    flow = cf.Flow(base, cf.bijections.Standardise([1.0, -2.0], [2.0, 3.0])).double()
    x = normals(50)
    u = (x.numpy() - [1.0, -2.0]) / [2.0, 3.0]
    np.testing.assert_allclose(base_space_pit(flow, x).values, law.cdf(u), atol=1e-6)


def test_the_pit_of_a_learnt_diagonal_base_is_that_of_its_normals() -> None:
    base = shaken(cf.bases.DiagonalNormal(2))
    law = stats.norm(base.loc.detach().numpy(), base.log_scale.exp().detach().numpy())
    np.testing.assert_allclose(base_cdf(base, normals(50)).detach(), law.cdf(normals(50).numpy()), atol=1e-12)


def areas(log_density: Tensor, grid: Tensor) -> Tensor:
    """Its integral from the left end of the grid to each of the other points, by the trapezium rule."""
    return torch.cumulative_trapezoid(log_density.exp(), grid)


def test_a_mixture_as_base_is_seen_conditional_on_the_coordinates_before() -> None:
    base = shaken(cf.bases.NormalMixtureBase(2, components=3))
    grid = torch.linspace(-12, 12, 4801).double()
    u = torch.stack([torch.full_like(grid, 0.4), grid], -1)
    with torch.no_grad():
        area = areas(base.log_prob(u), grid)
        torch.testing.assert_close(base_cdf(base, u)[1:, 1], area / area[-1], atol=1e-4, rtol=0)


CONTINUOUS = {
    "normal": families.Normal(),
    "mixture of normals": families.NormalMixture(3),
    "logistic": families.Logistic(),
    "mixture of logistics": families.LogisticMixture(3),
    "interpolated, step of a tenth": families.InterpolatedLogisticMixture(3, step=0.1),
    "interpolated, step much wider than a component": families.InterpolatedLogisticMixture(3, step=8.0),
    "interpolated, step of an audio sample": families.InterpolatedLogisticMixture(3),
    "histogram": families.Categorical(7, low=-60.0, high=60.0),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_distribution_function_of_a_family_is_the_integral_of_its_density(name: str) -> None:
    family = CONTINUOUS[name]
    grid = torch.linspace(-60, 60, 120_001).double()
    params = torch.randn(family.num_params, generator=stream()).double().expand(len(grid), -1)
    below, at = family_cdf(family, grid, params)
    torch.testing.assert_close(below[1:], areas(family.log_prob(grid, params), grid), atol=2e-4, rtol=0)
    assert not at.any()


@pytest.mark.parametrize("family", [families.Bernoulli(), families.DiscretisedLogisticMixture(3, levels=5)])
def test_the_distribution_function_of_whole_levels_is_the_sum_of_their_probabilities(family: Family) -> None:
    levels = torch.linspace(-1, 1, 5).double() if family != families.Bernoulli() else torch.tensor([0.0, 1.0]).double()
    params = torch.randn(family.num_params, generator=stream()).double().expand(len(levels), -1)
    below, at = family_cdf(family, levels, params)
    torch.testing.assert_close(at, family.log_prob(levels, params).exp())
    torch.testing.assert_close(below + at, at.cumsum(0))
    assert below[0] == 0


def recommended(context_features: int = 0) -> cf.Model:
    return shaken(cf.models.recommended(2, context_features), size=0.1)


MODELS = {
    "recommended, whose base is a MADE of mixtures": recommended,
    "maf": lambda: shaken(cf.models.maf(2, layers=2, hidden=(16,))),
    "made of mixtures": lambda: shaken(cf.models.made_mog(2, hidden=(16,), components=3)),
    "mixture as base": lambda: shaken(cf.models.maf(2, layers=1, hidden=(16,), base=cf.bases.NormalMixtureBase(2, 3))),
    "flow in a flow": lambda: cf.Flow(
        shaken(cf.models.nsf(2, layers=1, hidden=(16,))), cf.bijections.Standardise([1.0, 2.0], [3.0, 4.0])
    ).double(),
    "one order": lambda: cf.as_autoregressive(shaken(cf.models.maf(2, layers=1, hidden=(16,)))),
}


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_the_model_itself_are_noise_in_its_base(name: str) -> None:
    model = MODELS[name]()
    found = base_space_pit(model, model.sample(2000, generator=stream()))
    assert found.uniformity.adjusted_p_value.min() > ALARM
    assert found.dependence.p_value > ALARM
    assert found.folded_dependence.p_value > ALARM
    assert found.uniformity.rows == 2000


def test_with_a_context_every_row_is_seen_given_its_own() -> None:
    model = recommended(context_features=3)
    context = torch.randn(2000, 3, generator=stream(1)).double()
    x = model.sample((), context, generator=stream())
    assert base_space_pit(model, x, context).uniformity.adjusted_p_value.min() > ALARM
    assert base_space_pit(model, x, context.flip(0)).uniformity.adjusted_p_value.min() < CAUGHT


def test_a_context_encoder_is_asked_once_per_chunk_and_not_twice() -> None:
    encoder = nn.Sequential(nn.Flatten(-2), nn.Linear(6, 3)).double()
    plain = recommended(context_features=3)
    encoded = cf.Flow(plain.base, plain.bijection, context_encoder=encoder)
    image = torch.randn(20, 2, 3, generator=stream()).double()
    found, expected = base_space_pit(encoded, normals(20), image), base_space_pit(plain, normals(20), encoder(image))
    np.testing.assert_allclose(found.values, expected.values)


def test_chunks_make_no_difference() -> None:
    x = normals(5000)
    whole = base_space_pit(normal_flow(), x).values
    np.testing.assert_array_equal(
        whole, np.concatenate([base_space_pit(normal_flow(), p).values for p in x.split(999)])
    )


def test_a_binary_model_is_seen_through_randomised_values() -> None:
    model = shaken(cf.models.made(6, family=Bernoulli(), hidden=(16,)))
    x = model.sample(2000, generator=stream())
    right = base_space_pit(model, x, generator=stream(1))
    assert right.uniformity.adjusted_p_value.min() > ALARM
    assert base_space_pit(model, 1 - x, generator=stream(1)).uniformity.adjusted_p_value.min() < CAUGHT


@pytest.mark.parametrize(
    ("loc", "scale", "mean", "spread"),
    [(0.3, 1.0, -1, 0), (0.0, 1.5, 0, -1), (0.0, 0.7, 0, 1)],
    ids=["shifted", "too wide", "too narrow"],
)
def test_a_wrong_column_is_caught_and_the_others_are_not(loc: float, scale: float, mean: int, spread: int) -> None:
    model, x = normal_flow((0.0, loc), (1.0, scale)), normals(2000)
    samples = model.sample(4000, generator=stream(5))
    for found in (base_space_pit(model, x), marginal_pit(x, samples, generator=stream())):
        test = found.uniformity
        assert test.adjusted_p_value[1] < CAUGHT
        assert test.adjusted_p_value[0] > ALARM
        verdicts = (test.mean[1] - 0.5) / test.mean_error[1], (test.spread[1] - 1) / test.spread_error[1]
        assert [round(np.sign(v)) if abs(v) > 6 else 0 for v in verdicts] == [mean, spread]


def test_a_missing_correlation_is_seen_in_the_base_and_not_in_the_marginals() -> None:
    x, model = correlated(2000, 0.5), normal_flow()
    assert marginal_pit(x, normals(4000, seed=1), generator=stream()).uniformity.adjusted_p_value.min() > ALARM
    found = base_space_pit(model, x)
    assert found.uniformity.adjusted_p_value.min() > ALARM
    assert found.dependence.p_value < CAUGHT
    assert found.dependence.pair == (0, 1)
    # Of normal columns with correlation rho, the ranks correlate by (6 / pi) asin(rho / 2).
    assert found.dependence.correlation[0, 1] == pytest.approx(6 / np.pi * np.arcsin(0.25), abs=0.06)


def test_large_deviations_that_come_together_are_seen_without_a_correlation() -> None:
    x = normals(3000) * (0.5 + torch.rand(3000, 1, generator=stream(1)).double())
    found = base_space_pit(normal_flow(scale=(1.0, 1.0)), x)
    assert found.dependence.p_value > ALARM
    assert found.folded_dependence.p_value < CAUGHT


def test_the_correlation_of_many_independent_columns_keeps_its_error_rate() -> None:
    """200 trials of 105 pairs at 10 %: standard error 2 %."""
    model = normal_flow((0.0,) * 15, (1.0,) * 15)
    alarms = [base_space_pit(model, normals(300, 15, seed=s)).dependence.p_value < 0.1 for s in range(200)]
    assert 0.03 < np.mean(alarms) < 0.17


def test_reweighted_rows_pass_where_unweighted_ones_fail() -> None:
    x, model = normals(4000), normal_flow((0.5, 0.0))
    weight = torch.exp(0.5 * x[:, 0])
    samples = model.sample(4000, generator=stream(5))
    assert base_space_pit(model, x, weight=weight).uniformity.adjusted_p_value.min() > ALARM
    assert base_space_pit(model, x).uniformity.p_value[0] < CAUGHT
    assert marginal_pit(x, samples, weight=weight, generator=stream()).uniformity.adjusted_p_value.min() > ALARM
    assert marginal_pit(x, samples, generator=stream()).uniformity.p_value[0] < CAUGHT
    # The other way round: samples of a simulation, reweighted to the data.
    found = marginal_pit(samples, x, sample_weight=weight, generator=stream())
    assert found.uniformity.adjusted_p_value.min() > ALARM


def test_ranks_by_hand() -> None:
    """Two of four samples below, none equal: between 2/5 and 3/5; one equal: between 2/5 and 4/5."""
    samples = np.array([[0.0], [1.0], [2.0], [3.0]])
    for value, low, high in ((1.5, 2, 3), (2.0, 2, 4), (-1.0, 0, 1), (9.0, 4, 5)):
        found = marginal_pit(np.full((200, 1), value), samples, generator=stream()).values
        assert low / 5 <= found.min() < (low + 0.1) / 5
        assert (high - 0.1) / 5 < found.max() <= high / 5


def test_whole_numbers_with_many_ties_are_calibrated() -> None:
    """Without spreading, the distribution of ranks would have steps of a third."""
    draws = torch.poisson(torch.full((6000, 1), 0.8), generator=stream()).double()
    found = marginal_pit(draws[:2000], draws[2000:], generator=stream())
    assert found.uniformity.p_value[0] > ALARM
    more = torch.poisson(torch.full((2000, 1), 1.1), generator=stream(1)).double()
    assert marginal_pit(more, draws[2000:], generator=stream()).uniformity.p_value[0] < CAUGHT


def test_few_samples_do_not_make_a_right_model_look_wrong() -> None:
    """300 trials at 5 %: standard error 1.3 %. Were 150 samples taken for the model itself it would be above 30 %."""
    alarms = []
    for seed in range(300):
        found = marginal_pit(normals(500, 1, seed=seed), normals(150, 1, seed=seed + 999), generator=stream(seed))
        alarms.append(found.uniformity.p_value[0] < 0.05)
    assert np.mean(alarms) < 0.1


def test_conditional_ranks_by_hand() -> None:
    """Draws 0, 1, 2, 3 for each row: the same ranks as among samples that all rows share."""
    draws = torch.arange(4.0).double().reshape(4, 1, 1).expand(4, 200, 1)
    for value, low, high in ((1.5, 2, 3), (2.0, 2, 4), (-1.0, 0, 1), (9.0, 4, 5)):
        y = torch.full((200, 1), value).double()
        found = conditional_pit(draws, y, generator=stream()).values
        assert low / 5 <= found.min() < (low + 0.1) / 5
        assert (high - 0.1) / 5 < found.max() <= high / 5


def conditional_model() -> cf.Model:
    return shaken(cf.models.maf(2, 1, layers=2, hidden=(16,)))


def test_conditional_ranks_of_the_model_itself_are_uniform_and_forms_of_a_posterior_agree() -> None:
    model, c = conditional_model(), torch.randn(1000, 1, generator=stream(1)).double()
    y = model.sample((), c, generator=stream(2))
    of_model = conditional_pit(model, y, c, draws=30, generator=stream(3))
    assert of_model.uniformity.adjusted_p_value.min() > ALARM
    assert of_model.draws == 30
    seeded = stream(5)
    of_function = conditional_pit(
        lambda c, n: model.sample(n, c, generator=seeded), y, c, draws=30, generator=stream(3)
    )
    assert of_function.uniformity.adjusted_p_value.min() > ALARM
    drawn = model.sample(30, c, generator=stream(4))
    of_draws = conditional_pit(drawn, y, generator=stream(3))
    exact = (drawn < y).double().mean(0).numpy()
    assert (np.abs(of_draws.values - exact) < 1 / 30).all()


def test_noise_that_grows_with_the_context_is_caught_if_modelled_as_constant() -> None:
    c = torch.rand(3000, 1, generator=stream(1)).double()
    y, generator = (0.2 + 2 * c) * normals(3000, 1), stream(2)
    scale = float(y.std())

    def constant(c: Tensor, count: int) -> Tensor:
        return scale * torch.randn(count, *c.shape, dtype=c.dtype, generator=generator)

    def growing(c: Tensor, count: int) -> Tensor:
        return (0.2 + 2 * c) * torch.randn(count, *c.shape, dtype=c.dtype, generator=generator)

    assert conditional_pit(constant, y, c, generator=stream()).uniformity.p_value[0] < CAUGHT
    assert conditional_pit(growing, y, c, generator=stream()).uniformity.p_value[0] > ALARM


def test_few_rows_at_a_time_give_the_same_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, y = normals(7 * 50, seed=1).reshape(7, 50, 2), normals(50)
    whole = conditional_pit(drawn, y, generator=stream()).values
    monkeypatch.setattr("counterflow.diagnostics.draws.CHUNK_CELLS", 100)
    np.testing.assert_array_equal(whole, conditional_pit(drawn, y, generator=stream()).values)


class Echo(cf.Model):
    """Draws that are their context."""

    def encoded_sample(self, sample_shape: Shape, context: Tensor | None, *, generator: object) -> Tensor:
        assert context is not None
        return context.expand(*sample_shape, *context.shape)

    encoded_log_prob = encoded_rsample_and_log_prob = None  # type: ignore[assignment]


def test_few_rows_at_a_time_are_each_seen_given_their_own_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Context and value are the row's number, and so are the draws, up to one below and two above."""
    monkeypatch.setattr("counterflow.diagnostics.draws.CHUNK_CELLS", 12)
    number = torch.arange(50.0).double()[:, None]

    def around(c: Tensor, count: int) -> Tensor:
        return c + torch.tensor([-0.5, 0.5, 0.5]).double()[:count, None, None]

    found = conditional_pit(around, number, number, draws=3, generator=stream()).values
    assert ((found > 1 / 4) & (found < 2 / 4)).all()
    found = conditional_pit(Echo(1, 1, None), number, number, draws=3, generator=stream()).values
    assert found.max() - found.min() > 0.8  # all three draws tie with the value: anywhere in (0, 1)
    assert (conditional_pit(Echo(1, 1, None), number + 0.5, number, draws=3).values > 3 / 4).all()


class Odd(cf.Base):
    """A base of whom nothing is known but its density."""

    def log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return -u.abs().sum(-1)

    def rsample_and_log_prob(self, *args: object, **kwargs: object) -> tuple[Tensor, Tensor]:
        raise TypeError


class OddWithLaw(Odd):
    def cdf_rows(self, u: Tensor) -> Tensor:
        return torch.where(u < 0, u.exp() / 2, 1 - (-u).exp() / 2)


def test_a_base_without_a_distribution_function_is_refused_and_one_of_your_own_is_used() -> None:
    units = cf.bijections.Standardise([0.0, 0.0], [1.0, 1.0])
    with pytest.raises(TypeError, match="the base, a Odd, has no distribution function here"):
        base_space_pit(cf.Flow(Odd(2), units).double(), normals(5))
    found = base_space_pit(cf.Flow(OddWithLaw(2), units).double(), normals(5))
    np.testing.assert_allclose(found.values, stats.laplace.cdf(normals(5).numpy()))


def test_a_family_without_a_distribution_function_is_refused() -> None:
    class Strange(Family):
        num_params = 1
        log_prob = sample = lambda self, x, params, **_: x

    with pytest.raises(TypeError, match="the family Strange has no distribution function here"):
        family_cdf(Strange(), normals(3), torch.zeros(3, 2, 1))


def test_an_ensemble_is_told_what_to_use_instead() -> None:
    model = shaken(cf.models.made(2, members=2, hidden=(16,), generator=stream()))
    with pytest.raises(TypeError, match="a Ensemble has no base space of known law; marginal_pit"):
        base_space_pit(model, normals(5))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: marginal_pit(normals(5), normals(5, 3)), "the table of rows has 2 columns, that of samples has 3"),
        (lambda: base_space_pit(normal_flow(), normals(5), normals(4)), "a context for each of the 5 rows"),
        (lambda: base_space_pit(normal_flow(), normals(5), normals(5)), "this model takes no context"),
        (lambda: conditional_pit(conditional_model(), normals(5)), "got no context"),
        (lambda: conditional_pit(conditional_model(), normals(5), normals(4, 1)), "a context for each of the 5 rows"),
        (lambda: conditional_pit(conditional_model(), normals(5), normals(5, 1), draws=0), "at least one draw"),
        (lambda: conditional_pit(normals(12).reshape(3, 4, 2), normals(5)), r"draws of shape \(draws, 5, D\)"),
        (lambda: conditional_pit(normals(15).reshape(3, 5, 2), normals(5), draws=4), "3 draws of each row were given"),
        (lambda: conditional_pit(normals(15).reshape(3, 5, 2), normals(5), normals(5)), "leave the context out"),
        (lambda: conditional_pit(lambda c, n: normals(3), normals(5), normals(5)), r"expected draws of shape \(100, 5"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_words(call: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
