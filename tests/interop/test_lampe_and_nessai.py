"""Flows of ours where lampe and nessai expect theirs."""

import warnings
from typing import Any

import pytest
import torch

from counterflow import models
from foreign.agreement import largest_difference

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    lampe = pytest.importorskip("lampe")
    pytest.importorskip("nessai")
    from lampe.inference import NPE, NPELoss
    from nessai.flows.utils import configure_model

    from counterflow.interop import lampe as for_lampe
    from counterflow.interop import nessai as for_nessai

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("build", [for_lampe.maf, for_lampe.nsf])
def test_lampe_trains_and_samples_our_flow(build: Any) -> None:
    torch.manual_seed(0)
    npe = NPE(2, 3, build=build, layers=2, hidden=(16,))
    loss, optimiser = NPELoss(npe), torch.optim.Adam(npe.parameters(), 1e-2)
    theta = torch.randn(256, 2)
    x = torch.cat([theta, theta.sum(-1, keepdim=True)], -1) + 0.1 * torch.randn(256, 3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(theta, x)
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    assert losses[-1] < losses[0] - 1
    assert npe(theta[:, None], x[:5]).shape == (256, 5)
    assert npe.flow(x[0]).sample((7,)).shape == (7, 2)
    expected = npe.flow.flow.log_prob(theta, x)
    assert torch.allclose(npe(theta, x), expected)


@pytest.mark.parametrize("kind", [for_nessai.Maf, for_nessai.Nsf])
def test_nessai_builds_our_flow_and_its_calls_agree(kind: Any) -> None:
    torch.manual_seed(0)
    flow = configure_model({"n_inputs": 3, "n_neurons": 8, "n_blocks": 2, "n_layers": 2, "flow": kind}).double().eval()
    x = torch.randn(20, 3, dtype=torch.float64)
    z, log_det = flow(x)
    again, back = flow.inverse(z)
    assert largest_difference(again, x) < 1e-8
    assert largest_difference(back, -log_det) < 1e-8
    assert torch.allclose(flow.forward_and_log_prob(x)[1], flow.log_prob(x))
    drawn, log_prob = flow.sample_and_log_prob(30)
    assert torch.allclose(flow.log_prob(drawn), log_prob, atol=1e-8)
    assert flow.sample(4).shape == flow.sample_latent_distribution(4).shape == (4, 3)
    flow.freeze_transform()
    assert not any(p.requires_grad for p in flow.flow.bijection.parameters())
    flow.unfreeze_transform()
    assert all(p.requires_grad for p in flow.flow.bijection.parameters())


def test_a_context_is_passed_on() -> None:
    flow = for_nessai.NessaiFlow(models.maf(2, 1, layers=1, hidden=(8,)))
    x, c = torch.randn(6, 2), torch.randn(6, 1)
    assert torch.allclose(flow.forward_and_log_prob(x, c)[1], flow.flow.log_prob(x, c), atol=1e-5)
    assert flow.sample(6, c).shape == (6, 2)
