"""The guide of Pyro models whose posterior is a flow of ours."""

import math
from collections.abc import Callable
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO

import counterflow as cf
from counterflow import bases
from counterflow.interop.pyro_guide import AutoFlow

OBSERVED = torch.tensor([1.0, -0.5])


def model() -> None:
    """The posterior of z is N(0.8 y, 0.2); that of the rate is its prior."""
    z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("rate", dist.Gamma(3.0, 2.0))
    pyro.sample("y", dist.Normal(z, 0.5).to_event(1), obs=OBSERVED)


@pytest.fixture(autouse=True)
def fresh_store() -> None:
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def test_it_learns_the_posterior_of_a_model() -> None:
    guide = AutoFlow(model)
    elbo = Trace_ELBO(num_particles=64, vectorize_particles=True)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), elbo)
    for _ in range(120):
        svi.step()
    draws = guide.flow.sample(4000, generator=torch.Generator().manual_seed(0))
    # Standard errors are 0.007 and 0.014; what is left is the optimiser's.
    assert torch.allclose(draws[:, :2].mean(0), 0.8 * OBSERVED, atol=0.15)
    assert torch.allclose(draws[:, :2].std(0), torch.full((2,), math.sqrt(0.2)), atol=0.1)
    assert abs(float(draws[:, 2].exp().mean()) - 1.5) < 0.3
    several = Predictive(model, guide=guide, num_samples=5)()
    assert several["z"].shape == (5, 2)
    assert bool((several["rate"] > 0).all())


def test_its_flow_is_an_ordinary_one(tmp_path: Path) -> None:
    guide = AutoFlow(model, lambda features: cf.models.nsf(features, layers=1, hidden=(8, 8)))
    with pytest.raises(RuntimeError, match="first called"):
        _ = guide.flow
    guide()
    assert type(guide.flow) is cf.Flow
    assert guide.flow.features == 3
    assert all(type(module).__module__.split(".")[0] in ("counterflow", "torch") for module in guide.flow.modules())
    cf.save(tmp_path / "posterior.safetensors", guide.flow)
    assert cf.load(tmp_path / "posterior.safetensors").sample(5).shape == (5, 3)
    stored = pyro.get_param_store()
    assert {name.split("$$$")[1] for name in stored} == {name for name, _ in guide.flow.named_parameters()}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda features: cf.models.maf(2, layers=1, hidden=(8,)), "3 features without context; it returned one of 2"),
        (lambda features: cf.models.maf(features, 1, layers=1, hidden=(8,)), "it returned one of 3 given 1"),
    ],
    ids=["size", "context"],
)
def test_a_flow_of_another_size_is_refused_in_words(make: Callable[[int], cf.Flow], words: str) -> None:
    guide = AutoFlow(model, make)
    for _ in range(2):  # nothing is kept of the first attempt
        with pytest.raises(ValueError, match=f"the model has 3 latent variables.*{words}"):
            guide()


def test_a_flow_over_a_mixture_is_trained_by_scores_of_its_draws() -> None:
    """Without reparameterised draws Pyro takes the score-function gradient by itself."""

    def make(features: int) -> cf.Flow:
        return cf.Flow(bases.NormalMixtureBase(features, 2), cf.bijections.LULinear(features))

    guide = AutoFlow(model, make)
    losses = [SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO()).step() for _ in range(3)]
    assert all(math.isfinite(loss) for loss in losses)
    assert not guide.get_posterior().has_rsample
