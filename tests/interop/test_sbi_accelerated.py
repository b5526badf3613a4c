"""Estimators and posteriors of sbi, made faster: what is taken, what is refused, and that nothing else changes."""

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import counterflow as cf
from counterflow import interop
from foreign.agreement import largest_difference, perturb_

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("sbi")
    from sbi.inference import (
        NLE,
        NPE,
        DirectPosterior,
        EnsemblePosterior,
        ImportanceSamplingPosterior,
        MCMCPosterior,
        RejectionPosterior,
        VIPosterior,
        likelihood_estimator_based_potential,
        posterior_estimator_based_potential,
    )
    from sbi.neural_nets import likelihood_nn, posterior_nn
    from sbi.utils import BoxUniform

    from counterflow.interop import sbi as ours

pytestmark = pytest.mark.filterwarnings("ignore")
PRIOR = BoxUniform(-2 * torch.ones(2), 2 * torch.ones(2))
X = torch.tensor([[1000.0, 1.0, 5.0]])  # observed
SHOWN = {"show_progress_bars": False}


@pytest.fixture(autouse=True)
def where_sbi_may_write_its_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def simulations() -> tuple[Any, Any]:
    """Data in units of their own."""
    generator = torch.Generator().manual_seed(0)
    theta = 4 * torch.rand(200, 2, generator=generator) - 2
    noise = torch.randn(200, 3, generator=generator)
    return theta, torch.tensor([1000.0, 1.0, 5.0]) + torch.tensor([10.0, 1e-3, 1.0]) * noise


def estimator(kind: str = "maf", **options: Any) -> Any:
    """As after training: away from where sbi begins."""
    torch.manual_seed(0)
    theta, x = simulations()
    return perturb_(posterior_nn(kind, **options)(theta, x)).eval()


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "maf": ("maf", {}),
    "maf_rqs": ("maf_rqs", {}),
    "nsf": ("nsf", {}),
    "zuko_maf": ("zuko_maf", {}),
    "zuko_nsf": ("zuko_nsf", {}),
    "zuko_nice": ("zuko_nice", {}),
    "maf, embedded": ("maf", {"embedding_net": nn.Sequential(nn.Linear(3, 5), nn.Tanh())}),
    "zuko_maf, embedded": ("zuko_maf", {"embedding_net": nn.Sequential(nn.Linear(3, 5), nn.Tanh())}),
    "maf, nothing standardised": ("maf", {"z_score_theta": "none", "z_score_x": "none"}),
    "zuko_maf, as a whole": ("zuko_maf", {"z_score_theta": "structured", "z_score_x": "structured"}),
}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_trained_estimator_is_accelerated(kind: str) -> None:
    name, options = KINDS[kind]
    old = estimator(name, **options)
    new = ours.accelerated(old)
    theta, x = (part[:5] for part in simulations())
    assert largest_difference(new.log_prob(theta[None], x), old.log_prob(theta[None], x)) < 1e-4
    drawn, log_prob = new.sample_and_log_prob(torch.Size((7,)), x)
    assert largest_difference(old.log_prob(drawn, x), log_prob) < 1e-3
    again = theta.expand(2, 5, 2)
    assert torch.allclose(new.net.log_prob(again, x.expand(2, 5, 3)), new.log_prob(again, x), atol=1e-5)
    assert new.net.sample(3, x[0]).shape == (3, 2)


def direct(old: Any) -> Any:
    return DirectPosterior(old, PRIOR)


def ensemble(old: Any) -> Any:
    return EnsemblePosterior([direct(old), direct(estimator("zuko_maf"))], weights=[0.25, 0.75])


def scoring(cls: Any, **options: Any) -> Any:
    """A posterior that draws from the prior, and scores the estimator."""

    def make(old: Any) -> Any:
        potential, transform = posterior_estimator_based_potential(old, PRIOR, x_o=None)
        return cls(potential, proposal=PRIOR, theta_transform=transform, **options)

    return make


def from_proposal(old: Any) -> Any:
    """Importance sampling of a likelihood that is known, from a posterior that was learnt."""

    def potential(theta: Any, x_o: Any) -> Any:
        return -theta.square().sum(-1)

    return ImportanceSamplingPosterior(potential, proposal=direct(old).set_default_x(X))


POSTERIORS: dict[str, Any] = {
    "direct": direct,
    "ensemble": ensemble,
    "mcmc": scoring(MCMCPosterior, num_chains=2, warmup_steps=2, init_strategy="proposal"),
    "rejection": scoring(RejectionPosterior, num_samples_to_find_max=50, num_iter_to_find_max=2),
    "importance": scoring(ImportanceSamplingPosterior, oversampling_factor=2),
    "importance, from a posterior": from_proposal,
}


def estimators(posterior: Any) -> list[Any]:
    parts = [posterior, getattr(posterior, "proposal", None), posterior.potential_fn]
    for part in (*getattr(posterior, "posteriors", ()), *getattr(posterior.potential_fn, "potential_fns", ())):
        parts += [part, getattr(part, "potential_fn", None)]
    held = (getattr(part, "posterior_estimator", None) for part in parts)
    return [one for one in held if one is not None]


@pytest.mark.parametrize("kind", POSTERIORS)
def test_every_estimator_of_a_posterior_is_replaced_and_the_potential_stays(kind: str) -> None:
    old = POSTERIORS[kind](estimator())
    new = ours.accelerated(old)
    assert type(new) is type(old)
    assert estimators(new)
    assert all(isinstance(one, ours.FlowEstimator) for one in estimators(new))
    assert len({id(one) for one in estimators(new)}) == len({id(one) for one in estimators(old)})
    assert not any(isinstance(one, ours.FlowEstimator) for one in estimators(old))
    theta = PRIOR.sample((20,))
    assert torch.allclose(new.potential(theta, x=X), old.potential(theta, x=X), atol=1e-3)
    assert new.sample((6,), x=X, **SHOWN).shape == (6, 2)
    if kind == "mcmc":
        assert isinstance(new.potential_.keywords["potential_fn"].posterior_estimator, ours.FlowEstimator)


def test_weights_and_observations_are_kept() -> None:
    old = ensemble(estimator())
    old.set_default_x(X)
    new = ours.accelerated(old)
    assert torch.equal(new.weights, old.weights)
    assert torch.equal(new.default_x, old.default_x)
    theta = PRIOR.sample((20,))
    kept = {"norm_posterior": False}
    assert torch.allclose(new.log_prob(theta, **kept), old.log_prob(theta, **kept), atol=1e-3)


def of_a_likelihood(_: Any) -> Any:
    theta, x = simulations()
    potential, transform = likelihood_estimator_based_potential(likelihood_nn("maf")(theta, x), PRIOR, x_o=None)
    return MCMCPosterior(potential, proposal=PRIOR, theta_transform=transform)


def variational(old: Any) -> Any:
    potential, transform = posterior_estimator_based_potential(old, PRIOR, x_o=None)
    return VIPosterior(potential, theta_transform=transform)


REFUSED: dict[str, tuple[Any, str, str]] = {
    "a likelihood": (of_a_likelihood, "posterior", "LikelihoodBasedPotential.*nothing to invert"),
    "variational": (variational, "posterior", "VIPosterior draws from a family of its own"),
    "an inference": (lambda old: NPE(PRIOR), "posterior", "NPE_C.*what its train"),
    "an inference of likelihoods": (lambda old: NLE(PRIOR), "posterior", "NLE_A.*what its train"),
    "a dictionary": (lambda old: {"net": old}, "posterior", "builtins.dict"),
    "a state": (lambda old: old.state_dict(), "posterior", "OrderedDict"),
    "the flow inside": (lambda old: old.net, "posterior", "nflows.flows.base.Flow.*from_nflows"),
    "nothing": (lambda old: None, "posterior", "NoneType"),
    "another estimator": (lambda old: estimator("mdn"), "posterior", "MixtureDensityEstimator"),
    "a posterior with another estimator": (
        lambda old: direct(estimator("mdn")),
        "posterior.posterior_estimator",
        "MixtureDensityEstimator",
    ),
    "one of an ensemble": (
        lambda old: EnsemblePosterior([direct(old), direct(estimator("mdn"))]),
        "posterior.posteriors[1].posterior_estimator",
        "MixtureDensityEstimator",
    ),
    "ours": (
        lambda old: direct(ours.maf(layers=1, hidden=(8,))(*simulations())),
        "posterior.posterior_estimator",
        "Counterflow's own.*already",
    ),
    "the prior's bijection": (
        lambda old: estimator("zuko_maf", z_score_theta="transform_to_unconstrained", x_dist=PRIOR),
        "posterior",
        "z_score_theta='transform_to_unconstrained'.*'independent'",
    ),
    "the prior's bijection, in a posterior": (
        lambda old: direct(estimator("zuko_nsf", z_score_theta="transform_to_unconstrained", x_dist=PRIOR)),
        "posterior.posterior_estimator",
        "z_score_theta='transform_to_unconstrained'.*'independent'",
    ),
    "an unknown transform": (
        lambda old: estimator("zuko_gf"),
        "posterior.net.transform.transforms[1].univariate",
        "GaussianizationTransform",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_accelerated_is_refused_in_words(case: str) -> None:
    make, place, words = REFUSED[case]
    given = make(estimator())
    with pytest.raises(interop.Unsupported, match=words) as refused:
        ours.accelerated(given)
    assert refused.value.place == place


def test_the_original_is_left_as_it_was() -> None:
    old = ensemble(estimator())
    before = copy.deepcopy(old.posteriors[0].posterior_estimator.state_dict())
    new = ours.accelerated(old)
    with torch.no_grad():
        for parameter in new.posteriors[0].posterior_estimator.parameters():
            parameter.add_(1.0)
    after = old.posteriors[0].posterior_estimator.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_accelerated_estimator_makes_a_posterior_and_is_saved(tmp_path: Path) -> None:
    new = ours.accelerated(estimator())
    drawn = DirectPosterior(new, PRIOR).sample((5,), x=X, **SHOWN)
    cf.save(tmp_path / "flow.safetensors", new.net)
    again = cf.load(tmp_path / "flow.safetensors")
    assert torch.equal(again.log_prob(drawn, X), new.net.log_prob(drawn, X))
