"""Estimators of ours in sbi: words that are refused, contexts with any batch axes, files."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow.conditioners import EmbeddedContext
from counterflow.interop import to_torch_distribution
from foreign.agreement import perturb_

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("sbi")
    from sbi.inference import NLE
    from sbi.utils import BoxUniform
    from sbi.utils.sbiutils import standardizing_net

    from counterflow.interop import sbi as ours

pytestmark = pytest.mark.filterwarnings("ignore")
D = 4
THETA = 5 + 2 * torch.randn(50, D, generator=torch.Generator().manual_seed(0))


def data(*event: int) -> Tensor:
    return 1e3 + 10 * torch.randn(50, *event, generator=torch.Generator().manual_seed(1))


def embedding() -> nn.Module:
    """It takes images, and one batch axis only."""
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv2d(1, 2, 3), nn.Flatten())


KINDS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "vectors": ((6,), {}),
    "vectors, as a whole": ((6,), {"z_score_x": "structured"}),
    "vectors as they are": ((6,), {"z_score_x": "none"}),
    "images": ((6, 5), {}),
    "images, as a whole": ((6, 5), {"z_score_x": "structured"}),
    "embedded": ((6, 5), {"embedding_net": embedding()}),
    "embedded as they are": ((6, 5), {"embedding_net": embedding(), "z_score_x": None}),
}


def built(kind: str) -> tuple[Any, Tensor]:
    event, options = KINDS[kind]
    torch.manual_seed(0)
    x = data(*event)
    estimator = ours.maf(layers=1, hidden=(16,), **options)(THETA, x)
    return perturb_(estimator).eval(), x


@pytest.mark.parametrize("word", ["transform_to_unconstrained", "unconstrained", "Independent"])
@pytest.mark.parametrize("argument", ["z_score_theta", "z_score_x"])
def test_a_standardisation_that_would_not_happen_is_refused(argument: str, word: str) -> None:
    with pytest.raises(ValueError, match=f"{argument}='{word}'.*'independent', 'structured' or 'none'") as refused:
        ours.maf(**{argument: word})
    assert ("prior" in str(refused.value)) == (argument == "z_score_theta" and word == "transform_to_unconstrained")


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_flow_of_an_estimator_takes_any_batch_axes(kind: str) -> None:
    estimator, x = built(kind)
    net, theta = estimator.net, THETA[:6]
    scores = net.log_prob(theta, x[:6])
    assert torch.allclose(scores, estimator.log_prob(theta[None], x[:6])[0])
    several = x[:6].reshape(2, 3, *x.shape[1:])
    assert torch.allclose(net.log_prob(theta.reshape(2, 3, D), several).reshape(6), scores)
    assert net.log_prob(theta, x[0]).shape == (6,)
    assert net.sample(5, x[0]).shape == (5, D)
    assert net.sample(5, several).shape == (5, 2, 3, D)
    assert to_torch_distribution(net, x[:3]).expand((2, 3)).sample().shape == (2, 3, D)


@pytest.mark.parametrize("kind", KINDS)
def test_a_condition_of_another_shape_is_refused_in_words(kind: str) -> None:
    estimator, x = built(kind)
    with pytest.raises(ValueError, match="expected a context"):
        estimator.net.log_prob(THETA, x[..., :-1])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_standardised_conditions_are_those_of_sbi(kind: str) -> None:
    """Their own moments: conditions of mean 1,000 and deviation 10 arrive in numbers of order one."""
    estimator, x = built(kind)
    if "as they are" in kind:
        return
    net = standardizing_net(x, KINDS[kind][1].get("z_score_x") == "structured")
    inner = getattr(estimator.net.context_encoder, "embedding_net", None)
    expected = net(x) if inner is None else inner(net(x))
    assert torch.allclose(estimator.net.encode(x), expected.flatten(1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_flow_of_an_estimator_is_saved(kind: str, tmp_path: Path) -> None:
    estimator, x = built(kind)
    cf.save(tmp_path / "flow.safetensors", estimator.net)
    if "embedded" not in kind:
        again = cf.load(tmp_path / "flow.safetensors")
    else:
        with pytest.raises(cf.SpecError, match=r"modules=\{'context_encoder.embedding_net': module\}"):
            cf.load(tmp_path / "flow.safetensors")
        again = cf.load(tmp_path / "flow.safetensors", modules={"context_encoder.embedding_net": embedding()})
    assert torch.equal(again.log_prob(THETA, x), estimator.net.log_prob(THETA, x))


@pytest.mark.parametrize("kind", ["vectors", "images"])
def test_a_saved_flow_is_loaded_where_sbi_is_not_installed(kind: str, tmp_path: Path) -> None:
    estimator, _ = built(kind)
    cf.save(tmp_path / "flow.safetensors", estimator.net)
    program = (
        "import sys\nsys.modules['sbi'] = None\nimport counterflow as cf\n"
        f"assert cf.load({str(tmp_path / 'flow.safetensors')!r}).features == {D}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_encoder_of_events_follows_precision_and_passes_gradients() -> None:
    encoder = EmbeddedContext((2, 3), nn.Linear(3, 5))
    encoder.standardise_(torch.ones(2, 3), torch.tensor(2.0))
    x = torch.randn(4, 7, 2, 3, dtype=torch.float64, requires_grad=True)
    encoder.double()(x).square().sum().backward()
    assert encoder(x).shape == (4, 7, 10)
    assert x.grad is not None
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize("std", [torch.tensor(0.0), torch.tensor([1.0, torch.nan])])
def test_an_encoder_of_events_refuses_scales_that_are_not_positive(std: Tensor) -> None:
    with pytest.raises(ValueError, match="cannot be standardised"):
        EmbeddedContext((2,)).standardise_(torch.zeros(2), std)


def test_a_flow_that_ends_in_the_priors_box_leaks_nothing() -> None:
    """What the refusal of 'transform_to_unconstrained' tells people to write."""

    def make(features: int, context_features: int) -> cf.Flow:
        inner = cf.models.maf(features, context_features, layers=1, hidden=(16,))
        box = cf.univariate.Interval(0.0, 1.0, least=1e-6)
        return cf.Flow(inner.base, cf.Chain([inner.bijection, cf.bijections.Elementwise((box,) * features)]))

    theta = torch.rand(50, D)
    theta[:4] = torch.eye(4)  # rounding puts a parameter on an end now and then
    estimator = ours.estimator(make, z_score_theta="none")(theta, data(6))
    drawn = estimator.sample(torch.Size((200,)), data(6)[:1])
    assert bool(((drawn >= 0) & (drawn <= 1)).all())
    assert bool(estimator.log_prob(theta[None], data(6)).isfinite().all())


def test_a_likelihood_is_estimated_with_the_roles_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NLE calls a builder with parameters and data, and models the data."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    prior = BoxUniform(-2 * torch.ones(2), 2 * torch.ones(2))
    theta = prior.sample((300,))
    x = torch.cat([theta, theta.sum(-1, keepdim=True)], -1) + 0.3 * torch.randn(300, 3)
    build = ours.maf(layers=1, hidden=(16,))
    inference = NLE(prior, density_estimator=lambda theta, x: build(x, theta), show_progress_bars=False)
    estimator = inference.append_simulations(theta, x).train(max_num_epochs=2)
    assert (estimator.input_shape, estimator.condition_shape) == ((3,), (2,))
    drawn = inference.build_posterior(estimator, sample_with="rejection").sample(
        (20,), x=x[:1], show_progress_bars=False
    )
    assert drawn.shape == (20, 2)
