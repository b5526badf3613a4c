"""Flows as distributions of torch and of Pyro: shapes, supports, gradients, copies; models and guides with them."""

import copy
import math
import pickle
import subprocess
import sys
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor, nn
from torch.distributions import Distribution, biject_to, constraints

import counterflow as cf
from counterflow import bases, bijections, univariate
from counterflow.interop import FlowDistribution, to_torch_distribution

D, M = 3, 2


def made(context_features: int = 0, **options: Any) -> cf.Flow:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = cf.models.maf(D, context_features, layers=2, hidden=(16, 16), **options)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return flow


def plain(flow: Any, context: Tensor | None = None, validate_args: bool | None = None) -> FlowDistribution:
    """As it is where Pyro has not been imported."""
    return FlowDistribution(flow, context, validate_args)


MAKERS = pytest.mark.parametrize("make", [plain, to_torch_distribution], ids=["torch", "pyro"])
BATCHES = pytest.mark.parametrize("batch", [(), (4,), (2, 4)], ids=str)


@MAKERS
@BATCHES
def test_shapes_are_those_of_the_context_and_the_features(make: Any, batch: tuple[int, ...]) -> None:
    law = make(made(M), torch.randn(*batch, M))
    assert isinstance(law, Distribution)
    assert law.batch_shape == batch
    assert law.event_shape == (D,)
    for sample_shape in ((), (5,), (6, 5)):
        drawn = law.sample(sample_shape)
        assert drawn.shape == law.rsample(sample_shape).shape == (*sample_shape, *batch, D)
        assert law.log_prob(drawn).shape == (*sample_shape, *batch)
    assert law.log_prob(torch.zeros(D)).shape == batch
    assert law.sample(torch.Size([5])).shape == (5, *batch, D)


@MAKERS
def test_scores_and_draws_are_those_of_the_flow(make: Any) -> None:
    flow, context = made(M), torch.randn(4, M)
    law = make(flow, context)
    x = torch.randn(7, 4, D)
    assert torch.equal(law.log_prob(x), flow.log_prob(x, context))
    torch.manual_seed(1)
    drawn = law.sample((7,))
    torch.manual_seed(1)
    assert torch.equal(drawn, flow.sample((7,), context))
    assert not drawn.requires_grad


@MAKERS
@pytest.mark.parametrize("context", [None, torch.randn(M), torch.randn(4, M)], ids=["none", "one", "several"])
def test_expanding_repeats_the_distribution(make: Any, context: Tensor | None) -> None:
    law = make(made(0 if context is None else M), context)
    larger = law.expand((5, 4))
    assert type(larger) is type(law)
    assert larger.batch_shape == (5, 4)
    assert larger.event_shape == (D,)
    assert larger.sample((2,)).shape == larger.rsample((2,)).shape == (2, 5, 4, D)
    x = torch.randn(5, 4, D)
    assert torch.allclose(larger.log_prob(x), law.log_prob(x), atol=1e-6)
    assert larger.log_prob(torch.zeros(D)).shape == (5, 4)
    assert larger.expand((6, 5, 4)).log_prob(torch.zeros(D)).shape == (6, 5, 4)


class Counted(nn.Module):
    """An encoder that takes one batch axis, as image networks do, and knows how many contexts it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = nn.Sequential(nn.Flatten(), nn.Linear(8, M)), 0

    def forward(self, context: Tensor) -> Tensor:
        self.seen += len(context)
        encoded: Tensor = self.net(context)
        return encoded


@MAKERS
def test_expanding_repeats_what_the_encoder_made_of_the_context(make: Any) -> None:
    encoder, x = Counted(), torch.randn(5, D)
    law = make(made(M, context_encoder=encoder), torch.randn(5, 2, 4))
    larger = law.expand((6, 5))
    encoder.seen = 0
    assert larger.sample().shape == larger.rsample().shape == (6, 5, D)
    assert torch.allclose(larger.log_prob(x), law.log_prob(x).expand(6, 5), atol=1e-6)
    assert larger.expand((7, 6, 5)).sample((2,)).shape == (2, 7, 6, 5, D)
    assert encoder.seen == 5 * 5  # five calls, of the five contexts that there are
    assert larger.arg_constraints["context"].event_dim == 2


@MAKERS
def test_an_expanded_distribution_follows_its_encoder_and_passes_gradients(make: Any) -> None:
    encoder, context = Counted(), torch.randn(5, 2, 4, requires_grad=True)
    larger = make(made(M, context_encoder=encoder), context).expand((6, 5))
    for _ in range(2):  # no graph is kept from one call to the next
        larger.log_prob(torch.zeros(D)).sum().backward()
    assert context.grad is not None
    assert all(p.grad is not None for p in encoder.parameters())
    before = larger.log_prob(torch.zeros(D))
    with torch.no_grad():
        encoder.net[1].weight.mul_(3.0)
    assert not torch.allclose(larger.log_prob(torch.zeros(D)), before)


@MAKERS
@pytest.mark.parametrize("batch", [(3,), (4, 3), ()], ids=str)
def test_a_distribution_expands_to_what_it_broadcasts_to_only(make: Any, batch: tuple[int, ...]) -> None:
    for law in (make(made(M), torch.randn(4, M)), make(made()).expand((4,))):
        with pytest.raises(ValueError, match=r"a batch of shape \(4,\) does not expand to"):
            law.expand(batch)


def test_draws_of_an_expanded_distribution_without_context_differ() -> None:
    drawn = plain(made()).expand((5,)).sample()
    assert len(drawn.unique(dim=0)) == 5


@MAKERS
def test_gradients_reach_parameters_and_context(make: Any) -> None:
    flow, context = made(M), torch.randn(4, M, requires_grad=True)
    make(flow, context).rsample((8,)).square().mean().backward()
    make(flow, context).log_prob(torch.zeros(D)).sum().backward()
    assert context.grad is not None
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in flow.parameters())


def test_a_flow_without_reparameterised_draws_says_so() -> None:
    base = bases.NormalMixtureBase(D, 2)
    law = plain(cf.Flow(base, bijections.LULinear(D)))
    assert not law.has_rsample
    assert law.sample((4,)).shape == (4, D)
    with pytest.raises(NotImplementedError, match="no reparameterised draws"):
        law.rsample()
    assert plain(made()).has_rsample


def test_finding_out_about_reparameterisation_leaves_the_random_stream_alone() -> None:
    before = torch.get_rng_state()
    plain(made(M), torch.zeros(M))
    plain(cf.Flow(bases.StudentT(D), bijections.LULinear(D)))
    assert torch.equal(torch.get_rng_state(), before)


SUPPORTS: dict[str, tuple[cf.Bijection, list[float], list[list[float]]]] = {
    "cube": (bijections.Elementwise((univariate.Interval(-1.0, 2.0),) * D), [0.0, 1.0, -0.5], [[0.0, 2.5, 0.0]]),
    "positive": (bijections.positive(D), [0.1, 1.0, 9.0], [[0.1, -1.0, 9.0]]),
    "mixed": (
        bijections.Elementwise((univariate.Interval(0.0, 1.0), univariate.Line(), univariate.HalfLine(2.0, False))),
        [0.5, -7.0, 1.0],
        [[1.5, 0.0, 1.0], [0.5, 0.0, 3.0]],
    ),
    "mixed, permuted": (
        cf.Chain(
            [
                bijections.Elementwise((univariate.Interval(0.0, 1.0), univariate.Line(), univariate.HalfLine(2.0))),
                bijections.Permutation([2, 0, 1]),
            ]
        ),
        [3.0, 0.5, -7.0],
        [[1.0, 0.5, 0.0], [3.0, 1.5, 0.0]],
    ),
    "everything": (bijections.LULinear(D), [-9.0, 0.0, 9.0], []),
}


@pytest.mark.parametrize("case", SUPPORTS)
def test_the_support_is_that_of_the_outermost_maps(case: str) -> None:
    bijection, inside, outside = SUPPORTS[case]
    law = plain(cf.Flow(bases.StandardNormal(D), cf.Chain([bijections.LULinear(D), bijection])), validate_args=True)
    assert law.support.event_dim == 1
    assert bool(law.support.check(torch.tensor(inside)))
    assert bool(law.log_prob(torch.tensor(inside)).isfinite())
    assert bool(law.support.check(law.sample((100,))).all())
    drawn = biject_to(law.support)(torch.randn(20, D))
    assert bool(law.support.check(drawn).all())
    for point in outside:
        assert not bool(law.support.check(torch.tensor(point)))
        with pytest.raises(ValueError, match="support"):
            law.log_prob(torch.tensor(point))


def test_arguments_and_values_are_validated_where_asked() -> None:
    flow = made(M)
    with pytest.raises(ValueError, match="context"):
        plain(flow, torch.tensor([math.nan, 0.0]), True)
    with pytest.raises(ValueError, match="value"):
        plain(flow, torch.zeros(M), True).log_prob(torch.zeros(D + 1))
    with pytest.raises(ValueError, match="within the support"):
        plain(flow, torch.zeros(M), True).log_prob(torch.full((D,), math.nan))
    assert bool(plain(flow, torch.zeros(M), False).log_prob(torch.full((D,), math.nan)).isnan())
    with pytest.raises(ValueError, match="expected a context with 2 features, got none"):
        plain(flow)
    assert plain(flow, torch.zeros(4, M)).arg_constraints["context"].event_dim == 1
    assert plain(made()).arg_constraints == {}
    assert plain(made()).support is constraints.real_vector


@MAKERS
def test_it_is_pickled_and_copied(make: Any) -> None:
    law = make(made(M), torch.randn(4, M))
    x = torch.randn(4, D)
    for again in (pickle.loads(pickle.dumps(law)), copy.deepcopy(law), copy.copy(law)):
        assert type(again) is type(law)
        assert again.batch_shape == law.batch_shape
        assert torch.equal(again.log_prob(x), law.log_prob(x))


def test_a_context_encoder_takes_contexts_of_its_own_shape() -> None:
    encoder = nn.Sequential(nn.Flatten(start_dim=-2), nn.Linear(8, M))
    law = plain(made(M, context_encoder=encoder), torch.randn(4, 2, 4))
    assert law.batch_shape == (4,)
    assert law.arg_constraints["context"].event_dim == 2
    assert law.expand((5, 4)).sample().shape == (5, 4, D)


def test_torch_wraps_it() -> None:
    law = torch.distributions.Independent(plain(made(M), torch.randn(4, M)), 1)
    assert law.log_prob(law.sample((5,))).shape == (5,)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(4)), plain(made(M), torch.randn(4, M))
    )
    assert mixture.log_prob(torch.zeros(6, D)).shape == (6,)


def test_pyro_is_not_imported_for_those_who_have_not() -> None:
    program = (
        "import sys, torch, counterflow as cf\n"
        "from counterflow.interop import to_torch_distribution\n"
        "law = to_torch_distribution(cf.models.maf(2, layers=1, hidden=(8, 8)))\n"
        "assert 'pyro' not in sys.modules and law.sample((3,)).shape == (3, 2)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_it_is_a_distribution_of_pyro() -> None:
    law = to_torch_distribution(made(M), torch.randn(4, M))
    assert isinstance(law, TorchDistributionMixin)
    assert law.to_event(1).event_shape == (4, D)
    assert law.mask(False).log_prob(torch.zeros(D)).eq(0).all()
    assert law.expand_by((5,)).batch_shape == (5, 4)
    trace = poutine.trace(lambda: pyro.sample("x", law)).get_trace()
    assert torch.equal(trace.log_prob_sum(), law.log_prob(trace.nodes["x"]["value"]).sum())


def test_a_flow_in_a_guide_learns_a_posterior_by_svi() -> None:
    """Prior N(0, 1) in each coordinate, likelihood N(z, 1/2): the posterior of an observation y is N(0.8 y, 0.2)."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    observed = torch.tensor([1.0, -0.5, 2.0])
    flow = cf.models.iaf(D, layers=1, hidden=(16, 16), base=bases.DiagonalNormal(D))

    def model() -> None:
        z = pyro.sample("z", pyro.distributions.Normal(torch.zeros(D), 1.0).to_event(1))
        pyro.sample("y", pyro.distributions.Normal(z, 0.5).to_event(1), obs=observed)

    def guide() -> None:
        pyro.module("flow", flow)
        pyro.sample("z", to_torch_distribution(flow))

    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO(num_particles=64, vectorize_particles=True))
    losses = [svi.step() for _ in range(120)]
    evidence = torch.distributions.Normal(0.0, math.sqrt(1.25)).log_prob(observed).sum()
    assert losses[0] > losses[-1] > -float(evidence) - 0.05
    assert losses[-1] < -float(evidence) + 0.2
    drawn = flow.sample(4000, generator=torch.Generator().manual_seed(0))
    # Standard errors are 0.007 and 0.005; what is left is the optimiser's.
    assert torch.allclose(drawn.mean(0), 0.8 * observed, atol=0.15)
    assert torch.allclose(drawn.std(0), torch.full((D,), math.sqrt(0.2)), atol=0.1)


def test_a_flow_is_the_likelihood_of_a_model() -> None:
    """The context is inferred: the flow is x = c + noise exactly, so that the posterior mean of c is known."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    flow = cf.Flow(bases.StandardNormal(M), _Shifted())
    data = torch.tensor([1.0, -2.0]) + torch.randn(50, M, generator=torch.Generator().manual_seed(1))

    def model() -> None:
        c = pyro.sample("c", pyro.distributions.Normal(torch.zeros(M), 10.0).to_event(1))
        with pyro.plate("rows", len(data)):
            pyro.sample("x", to_torch_distribution(flow, c), obs=data)

    guide = pyro.infer.autoguide.AutoNormal(model, init_scale=0.1)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), Trace_ELBO())
    for _ in range(150):
        svi.step()
    # The standard error of the mean of 50 rows is 0.14, and the guide's last step is noisy by a tenth of that.
    assert torch.allclose(guide.median()["c"], data.mean(0), atol=0.15)


class _Shifted(cf.Bijection):
    """x = u + c."""

    features = context_features = M

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert context is not None
        return u + context, torch.zeros(torch.broadcast_shapes(u.shape[:-1], context.shape[:-1]))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert context is not None
        return x - context, torch.zeros(torch.broadcast_shapes(x.shape[:-1], context.shape[:-1]))
