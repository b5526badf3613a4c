"""Flows of ours inside sbi: trained, sampled, scored, pickled by its own code."""

import contextlib
import math
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterflow import models

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    sbi = pytest.importorskip("sbi")
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

    from counterflow.interop import sbi as ours

pytestmark = pytest.mark.filterwarnings("ignore")
PRIOR = BoxUniform(-2 * torch.ones(2), 2 * torch.ones(2))
NOISE = 0.4


def simulate(theta: Tensor) -> Tensor:
    """Three noisy numbers, linear in the parameters: away from the prior's walls the posterior is normal."""
    clean = theta @ torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
    return clean + NOISE * torch.randn(clean.shape)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    # sbi writes its logs where it runs.
    with warnings.catch_warnings(), contextlib.chdir(tmp_path_factory.mktemp("sbi")):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        theta = PRIOR.sample((2000,))
        inference = NPE(PRIOR, density_estimator=ours.maf(layers=2, hidden=(32, 32)), show_progress_bars=False)
        estimator = inference.append_simulations(theta, simulate(theta)).train(max_num_epochs=25)
        return inference.build_posterior(estimator)


def exact(x: Tensor) -> tuple[Tensor, Tensor]:
    a = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
    covariance = NOISE**2 * torch.linalg.inv(a @ a.T)
    return torch.linalg.solve(a @ a.T, a @ x), covariance


def test_the_posterior_of_a_linear_simulator_is_the_known_normal(trained: Any) -> None:
    """5,000 draws: the means have standard errors below 0.004; what is allowed is the training's error."""
    x = torch.tensor([0.5, -0.3, 0.8])
    drawn = trained.sample((5000,), x=x[None], show_progress_bars=False)
    mean, covariance = exact(x)
    assert torch.allclose(drawn.mean(0), mean, atol=0.1)
    assert torch.allclose(drawn.T.cov(), covariance, atol=0.03)


def test_the_estimator_scores_draws_and_undoes_them(trained: Any) -> None:
    estimator = trained.posterior_estimator
    condition = torch.randn(4, 3)
    x, log_prob = estimator.sample_and_log_prob(torch.Size((5,)), condition)
    assert x.shape == (5, 4, 2)
    assert torch.allclose(estimator.log_prob(x, condition), log_prob, atol=1e-4)
    flow = estimator.net
    assert torch.allclose(flow.log_prob(x, condition), log_prob, atol=1e-4)
    u = estimator.inverse_transform(x, condition)
    assert torch.allclose(u, flow.bijection.inverse(x, flow.encode(condition))[0])
    assert estimator.loss(x[0], condition).shape == (4,)


@pytest.mark.parametrize("shapes", [((50, 1, 2), (1, 3)), ((50, 7, 2), (7, 3)), ((7, 2), (7, 3)), ((50, 1, 2), (7, 3))])
def test_batch_axes_of_inputs_and_conditions_broadcast(shapes: Any, trained: Any) -> None:
    estimator = trained.posterior_estimator
    x, condition = (torch.randn(shape) for shape in shapes)
    found = estimator.log_prob(x, condition)
    rows = x if x.dim() == 3 else x[None]
    batch = max(rows.shape[1], condition.shape[0])
    assert found.shape == (rows.shape[0], batch)
    one = estimator.net.log_prob(rows[0, -1], condition[-1:])
    assert torch.allclose(found[0, -1], one, atol=1e-5)


def test_posteriors_are_pickled_and_sampled_in_batches(trained: Any) -> None:
    again = pickle.loads(pickle.dumps(trained))
    x = torch.zeros(3, 3)
    assert again.sample_batched((6,), x=x, show_progress_bars=False).shape == (6, 3, 2)
    theta = torch.randn(9, 3, 2)
    for posterior in (again, trained):
        posterior.posterior_estimator.eval()
    scores = [posterior.posterior_estimator.log_prob(theta, x) for posterior in (again, trained)]
    assert torch.equal(*scores)


def test_draws_stay_in_the_support_of_the_prior(trained: Any) -> None:
    drawn = trained.sample((500,), x=torch.tensor([[2.0, 2.0, 0.0]]), show_progress_bars=False)
    assert bool((drawn.abs() <= 2).all())


def test_embedding_nets_and_standardisation_are_sbis_own() -> None:
    embedding = nn.Sequential(nn.Linear(30, 5), nn.ReLU())
    theta, x = 100 + 10 * torch.randn(200, 2), 1e3 * torch.randn(200, 30)
    built = ours.maf(layers=1, hidden=(16,), embedding_net=embedding)(theta, x)
    assert built.net.context_features == 5
    assert next(embedding.parameters()).grad is None
    standardised = built.net.bijection.parts[-1]
    assert torch.allclose(torch.tensor(standardised.loc), theta.mean(0), rtol=1e-4)
    assert float(built.log_prob(theta[None], x).detach().mean()) == pytest.approx(-2 * math.log(10) - 2.8, abs=1.0)
    built.loss(theta, x).mean().backward()
    assert all(p.grad is not None for p in built.embedding_net.parameters())


def test_a_flow_of_other_sizes_is_refused() -> None:
    builder = ours.estimator(lambda features, context_features: models.maf(3, context_features))
    with pytest.raises(ValueError, match="expected a flow of 2 features given 3"):
        builder(torch.randn(5, 2), torch.randn(5, 3))


@pytest.mark.parametrize("kind", ["maf", "nsf", "zuko_maf", "zuko_nsf"])
def test_a_trained_posterior_of_sbi_is_accelerated(kind: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    theta = PRIOR.sample((300,))
    inference = NPE(PRIOR, density_estimator=kind, show_progress_bars=False)
    estimator = inference.append_simulations(theta, simulate(theta)).train(max_num_epochs=3)
    posterior = inference.build_posterior(estimator)
    fast = ours.accelerated(posterior)
    assert type(posterior.posterior_estimator) is not ours.FlowEstimator
    x, points = torch.zeros(1, 3), PRIOR.sample((20,))[:, None]
    scores = [p.posterior_estimator.log_prob(points, x) for p in (posterior, fast)]
    assert torch.allclose(*scores, atol=1e-4)
    drawn = fast.sample((100,), x=x, show_progress_bars=False)
    assert drawn.shape == (100, 2)
    potential = fast.potential_fn
    potential.set_x(x)
    assert torch.allclose(potential(points[:, 0]), scores[0][:, 0], atol=1e-3)
