"""Sampling given a prefix: the right law, the prefix bit for bit, and refusals that name what is wrong."""

import math
from collections.abc import Callable, Iterator

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import bases, bijections, families, models, univariate
from counterflow.testing import perturb_

D, M, K = 4, 2, 2
ORDER = (2, 0, 3, 1)
H = (12, 12)


def layer(t: cf.Univariate | None = None, context_features: int = 0) -> cf.Autoregressive:
    t = t or univariate.Affine()
    return cf.Autoregressive(cf.MaskedMLP(D, t.num_params, H, context_features, order=ORDER), t)


def flow_of(*parts: cf.Bijection, base: cf.Base | None = None) -> cf.Flow:
    return cf.Flow(base or bases.StandardNormal(D), cf.Chain(parts) if len(parts) > 1 else parts[0])


def units() -> cf.Bijection:
    return bijections.Standardise([5.0] * D, [0.1] * D)


def nested() -> cf.Bijection:
    """Chains and inverses within each other: forward runs the last layer's inverse, then its neighbours, in turn."""
    inner = cf.Inverse(cf.Chain([layer(), layer(SPLINE)]))
    return cf.Chain([layer(), cf.Chain([bijections.ActNorm(D), inner])])


def inner_support() -> cf.Flow:
    """Layers on both sides of a bounded support: what the outer one makes of a padded row must stay inside it."""
    return flow_of(layer(), bijections.logit(D, 0.0), layer(), cf.Inverse(layer(univariate.Affine().inverted)))


SPLINE = univariate.RationalQuadratic(bins=4)
FLOWS: dict[str, Callable[[], cf.Flow]] = {
    "iaf": lambda: models.iaf(D, layers=3, hidden=H, permutation=None),
    "maf": lambda: models.maf(D, layers=3, hidden=H, permutation=None),
    "spline": lambda: models.maf(D, layers=2, hidden=H, permutation=None, univariate=SPLINE),
    "context": lambda: models.maf(D, M, layers=2, hidden=H, permutation=None),
    "one layer": lambda: flow_of(layer()),
    "an inverse layer": lambda: flow_of(cf.Inverse(layer())),
    "an inverse of a nested chain": lambda: flow_of(cf.Inverse(nested())),
    "a layer without context among others": lambda: flow_of(layer(None, M), layer()),
    "every order will do": lambda: flow_of(bijections.ActNorm(D), bijections.positive(D)),
    "bounded": lambda: flow_of(layer(), bijections.bounded([0.0, -1.0, -math.inf, 2.0], [1.0, math.inf, 3.0, 3.0])),
    "bounded, in its own units": lambda: flow_of(layer(), bijections.logit(D), units()),
    "a support inside": inner_support,
    "a bounded base": lambda: flow_of(cf.Inverse(bijections.logit(D, 0.0)), layer(), base=bases.Uniform(D)),
    "heavy tails": lambda: flow_of(layer(), base=bases.StudentT(D)),
    "a learnable base": lambda: flow_of(layer(), base=bases.DiagonalNormal(D)),
}


def prepared(name: str) -> tuple[cf.Flow, Tensor | None, list[int]]:
    flow = FLOWS[name]().double()
    perturb_(flow, seeded(1))
    context = torch.randn(M, generator=seeded(2)).double() if flow.context_features else None
    return flow, context, list(flow.bijection.order or range(D))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("k", range(D + 1))
@pytest.mark.parametrize("name", FLOWS)
def test_the_noise_of_the_rest_is_what_the_base_drew(name: str, k: int) -> None:
    """A prefix and the noise of the other coordinates fix the row: so this is the whole law, for any flow."""
    flow, context, order = prepared(name)
    prefix = flow.sample(6, context, generator=seeded(3))[:, order[:k]]
    x = flow.sample_given_prefix(prefix, (), context, generator=seeded(4))
    found = flow.bijection.inverse(x, context)[0][:, order[k:]]
    drawn = flow.base.sample(6, generator=seeded(4))[:, order[k:]]
    torch.testing.assert_close(found, drawn, rtol=1e-6, atol=1e-6)
    assert torch.equal(x[:, order[:k]], prefix)


@pytest.mark.parametrize("name", FLOWS)
def test_prefixes_come_back_bit_for_bit_in_rows_of_finite_density(name: str) -> None:
    flow, context, order = prepared(name)
    flow = flow.float()
    context = None if context is None else context.float()
    prefix = flow.sample(5, context, generator=seeded(4))[:, order[:K]]
    x = flow.sample_given_prefix(prefix, 7, context, generator=seeded(5))
    assert x.shape == (7, 5, D)
    assert torch.equal(bits(x[..., order[:K]]), bits(prefix.expand(7, 5, K)))
    assert bool(flow.log_prob(x, context).isfinite().all())
    assert not x.requires_grad


def bits(x: Tensor) -> Tensor:
    return x.contiguous().view(torch.int32)


def test_even_a_negative_zero_and_nan_come_back_bit_for_bit() -> None:
    flow = FLOWS["maf"]()
    prefix = torch.tensor([[-0.0, 0.5], [math.nan, 0.5]])
    x = flow.sample_given_prefix(prefix)
    assert torch.equal(bits(x[:, :2]), bits(prefix))
    assert bool(x[0].isfinite().all())
    assert bool(x[1, 2:].isnan().all())


# Draws that obey a law exceed each bound below with probability 1e-5 (two-sided normal tail, by the central limit
# theorem); with 2 + 3 statistics each, the cases below fail by chance with probability 3e-4 at most.
DRAWS, BOUND = 20_000, 4.417


@pytest.mark.parametrize("inverse", [False, True], ids=["iaf", "maf"])
@pytest.mark.parametrize("shifted", [0.0, 3.0], ids=["likely prefix", "unlikely prefix"])
def test_a_linear_flow_draws_from_the_conditional_of_its_multivariate_normal(inverse: bool, shifted: float) -> None:
    t = univariate.Additive()
    parts = [
        cf.Autoregressive(cf.MaskedMLP(D, 1, H, activation=nn.Identity(), order=ORDER), t),
        bijections.ActNorm(D),
        cf.Autoregressive(cf.MaskedMLP(D, 1, H, activation=nn.Identity(), order=ORDER), t),
    ]
    stack = cf.Chain(parts)
    flow = cf.Flow(bases.DiagonalNormal(D), cf.Inverse(stack) if inverse else stack).double()
    perturb_(flow, seeded(6))
    # x = J u + m with u normal, so x is normal; its conditional by the textbook formula.
    m, jacobian = affine_form(flow)
    covariance = jacobian @ torch.diag((2 * flow.base.log_scale).exp()) @ jacobian.mT
    mean = m + jacobian @ flow.base.loc
    known, rest = list(ORDER[:K]), list(ORDER[K:])
    gain = covariance[rest][:, known] @ torch.linalg.inv(covariance[known][:, known])
    prefix = mean[known] + torch.tensor([0.7, -0.4]).double() + shifted
    expected_mean = mean[rest] + gain @ (prefix - mean[known])
    expected_covariance = covariance[rest][:, rest] - gain @ covariance[known][:, rest]
    assert gain.abs().max() > 0.05  # the prefix matters

    x = flow.sample_given_prefix(prefix, DRAWS, generator=seeded(7))
    z = torch.linalg.solve_triangular(
        torch.linalg.cholesky(expected_covariance), (x[:, rest] - expected_mean).mT, upper=False
    )  # (2, draws): independent standard normal
    assert float(z.mean(1).abs().max()) * DRAWS**0.5 < BOUND
    moments = z @ z.mT / DRAWS - torch.eye(len(rest)).double()
    spread = torch.ones(2, 2).double() + torch.eye(2).double()  # variances of z_i z_j
    assert float((moments / spread.sqrt()).abs().max()) * DRAWS**0.5 < BOUND


def affine_form(flow: cf.Flow) -> tuple[Tensor, Tensor]:
    """m and J of x = J u + m, detached."""
    with torch.no_grad():
        zero = flow.bijection(torch.zeros(D).double())[0]
        unit = flow.bijection(torch.eye(D).double())[0]
    for parameter in flow.parameters():
        parameter.requires_grad_(False)
    return zero, (unit - zero).mT


def test_an_empty_prefix_is_sample_and_a_whole_row_is_itself() -> None:
    flow = FLOWS["spline"]()
    drawn = flow.sample_given_prefix(torch.empty(0), 5, generator=seeded(8))
    assert torch.equal(drawn, flow.sample(5, generator=seeded(8)))
    x = torch.randn(3, D)
    assert torch.equal(flow.sample_given_prefix(x, 2), x.expand(2, 3, D))


def test_batch_axes_of_prefix_and_context_broadcast() -> None:
    flow, _, _ = prepared("context")
    prefix, context = torch.randn(3, 1, K).double(), torch.randn(5, M).double()
    x = flow.sample_given_prefix(prefix, (2, 6), context, generator=seeded(9))
    assert x.shape == (2, 6, 3, 5, D)
    bound = flow.given(context).sample_given_prefix(prefix, (2, 6), generator=seeded(9))
    assert torch.equal(bound, x)
    assert flow.sample_given_prefix(prefix, 0, context).shape == (0, 3, 5, D)
    assert flow.sample_given_prefix(prefix[:0], 2, context).shape == (2, 0, 5, D)
    with pytest.raises(ValueError, match="do not broadcast"):
        flow.sample_given_prefix(torch.randn(3, K).double(), (), context)


def test_a_context_encoder_is_used() -> None:
    encoder = nn.Linear(3, M)
    flow = models.iaf(D, M, layers=2, hidden=H, permutation=None, context_encoder=encoder)
    perturb_(flow, seeded(10))
    raw, prefix = torch.randn(5, 3), torch.randn(K)
    x = flow.sample_given_prefix(prefix, (), raw, generator=seeded(11))
    flow.context_encoder = None
    assert torch.equal(x, flow.sample_given_prefix(prefix, (), encoder(raw), generator=seeded(11)))


def test_the_one_order_view_samples_as_its_flow_does() -> None:
    flow = FLOWS["iaf"]()
    prefix = torch.randn(3, K)
    x = cf.as_autoregressive(flow).sample_given_prefix(prefix, 2, generator=seeded(12))
    assert torch.equal(x, flow.sample_given_prefix(prefix, 2, generator=seeded(12)))


@pytest.mark.parametrize("name", ["maf", "heavy tails"])
def test_a_generator_is_the_only_randomness_of_a_completion(name: str) -> None:
    flow = FLOWS[name]()
    prefix = torch.randn(3, K)
    before = torch.get_rng_state()
    a = flow.sample_given_prefix(prefix, 4, generator=seeded(13))
    assert torch.equal(a, flow.sample_given_prefix(prefix, 4, generator=seeded(13)))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(a, flow.sample_given_prefix(prefix, 4))
    assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [1e3, 1e10])
@pytest.mark.parametrize("name", ["iaf", "maf", "spline", "heavy tails"])
def test_a_strange_prefix_costs_no_other_row_its_noise(name: str, size: float) -> None:
    """What stands in the unknown coordinates while the prefix is inverted may overflow, and must not be seen."""
    flow, context, order = prepared(name)
    flow = flow.float()
    prefix = torch.tensor([[size, -size], [0.3, 0.2]])
    both = flow.sample_given_prefix(prefix, (), context, generator=seeded(14))
    alone = flow.sample_given_prefix(prefix[1], (2,), context, generator=seeded(14))
    assert torch.equal(bits(both[:, order[:K]]), bits(prefix))
    torch.testing.assert_close(both[1], alone[1], rtol=1e-5, atol=1e-5)


def explicit(context_features: int = 0) -> cf.AutoregressiveModel:
    conditioner = cf.MaskedMLP(D, 2, H, context_features, order=ORDER)
    model = cf.AutoregressiveModel(conditioner, families.Normal()).double()
    perturb_(model, seeded(16))
    return model


@torch.no_grad()
def test_an_explicit_model_steps_on_from_a_prefix() -> None:
    model = explicit()
    prefix = torch.tensor([0.3, -0.8]).double()
    x = model.sample_given_prefix(prefix, DRAWS, generator=seeded(17))
    assert torch.equal(x[:, ORDER[:K]], prefix.expand(DRAWS, K))
    params = model.conditionals(x).params
    z = (x - params[..., 0]) * torch.exp(-model.family.scale.log_scale(params[..., 1]))
    z = z[:, ORDER[K:]].mT  # (2, draws): independent standard normal
    assert float(z.mean(1).abs().max()) * DRAWS**0.5 < BOUND
    moments = z @ z.mT / DRAWS - torch.eye(2).double()
    spread = torch.ones(2, 2).double() + torch.eye(2).double()
    assert float((moments / spread.sqrt()).abs().max()) * DRAWS**0.5 < BOUND
    again = model.sample_given_prefix(prefix[:0], 7, generator=seeded(18))
    assert torch.equal(again, model.sample(7, generator=seeded(18)))


def test_batch_axes_of_an_explicit_model_broadcast() -> None:
    model, prefix, context = explicit(M), torch.randn(3, 1, K).double(), torch.randn(5, M).double()
    x = model.sample_given_prefix(prefix, (2,), context)
    assert x.shape == (2, 3, 5, D)
    assert torch.equal(x[..., ORDER[:K]], prefix.expand(2, 3, 5, K))


def test_a_coordinate_that_overflows_spoils_none_before_it() -> None:
    flow = flow_of(bijections.ActNorm(D), cf.Inverse(layer()))
    perturb_(flow, seeded(15))
    with torch.no_grad():
        flow.bijection.parts[0].log_scale[ORDER[-1]] = 100.0  # e^100 is beyond float32
    x = flow.sample_given_prefix(torch.tensor([0.3, 0.2]), 5)
    assert bool(x[:, ORDER[:-1]].isfinite().all())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: models.maf(D, layers=3, hidden=H), r"bijection\.bijection\.parts\.1 \(Permutation\) breaks the order"),
        (lambda: models.realnvp(D, layers=2, hidden=H), r"bijection\.parts\.\d \(\w+\) breaks the order: it mixes"),
        (lambda: flow_of(layer(), bijections.LULinear(D)), r"bijection\.parts\.1 \(LULinear\) breaks the order"),
        (
            lambda: flow_of(layer(), cf.Autoregressive(cf.MaskedMLP(D, 2, H), univariate.Affine())),
            r"parts\.1 \(Autoregressive\) breaks the order: it generates in the order \(0, 1, 2, 3\), "
            r"layers before it \(2, 0, 3, 1\)",
        ),
    ],
    ids=["reversed", "couplings", "linear", "two orders"],
)
def test_the_first_layer_that_breaks_the_order_is_named(make: Callable[[], cf.Flow], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make().sample_given_prefix(torch.zeros(1))


@pytest.mark.parametrize(
    ("prefix", "error", "words"),
    [
        (torch.zeros(D + 1), ValueError, "a prefix of at most 4 coordinates, got 5"),
        (torch.zeros(2).double(), TypeError, r"computes in torch\.float32 and the prefix is torch\.float64"),
        (torch.zeros(2).long(), TypeError, "a prefix in floating point"),
        (torch.tensor(1.0), ValueError, r"got shape \(\)"),
        ([0.0, 1.0], TypeError, "a prefix as a torch.Tensor, got a list"),
    ],
    ids=["too long", "precision", "integers", "no axis", "a list"],
)
@pytest.mark.parametrize("bound", [False, True], ids=["flow", "given"])
def test_a_prefix_that_is_none_is_refused(
    prefix: Tensor, error: type[Exception], words: str, bound: bool, unchecked: None
) -> None:
    density = FLOWS["context"]().given(torch.zeros(M)) if bound else FLOWS["maf"]()
    with pytest.raises(error, match=words):
        density.sample_given_prefix(prefix)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the shape checks of the test run, which would answer before the door does."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.parametrize(
    "make",
    [
        lambda: flow_of(layer(), base=bases.NormalMixtureBase(D, 2)),
        lambda: models.maf_mog(D, layers=2, hidden=H, permutation=None),
        lambda: cf.Ensemble([FLOWS["maf"]()]),
    ],
    ids=["mixture", "a model as base", "ensemble"],
)
def test_densities_without_independent_noise_are_refused_by_name(make: Callable[[], cf.Model]) -> None:
    with pytest.raises(TypeError, match=r"a (NormalMixtureBase|AutoregressiveModel|Ensemble)"):
        make().sample_given_prefix(torch.zeros(1))


def test_a_value_outside_the_support_is_refused() -> None:
    with pytest.raises(ValueError, match="outside its support"):
        FLOWS["bounded, in its own units"]().sample_given_prefix(torch.tensor([9.0]))
