"""Far tails, and float32 against float64, each with the tolerance that it is held to.

The tolerances are relative to 1 + |value|. A float32 has 6e-8 of rounding; a spline of K bins
accumulates it over K knots, a flow over its layers, and dividing by the slope of the map amplifies it.
"""

import copy

import pytest
import torch
from torch import nn

import counterflow as cf
from counterflow import bases, models, univariate
from counterflow.testing import perturb_
from laws.table import TABLE, H

LINE = {name: entry for name, entry in TABLE["univariate"].items() if not name.startswith(("Interval", "HalfLine"))}
FLOWS = {
    "maf": (models.maf, 2e-5),
    "iaf": (models.iaf, 2e-5),
    "nice": (models.nice, 2e-5),
    "realnvp": (models.realnvp, 2e-5),
    "nsf": (models.nsf, 2e-4),
    "nsf_coupling": (models.nsf_coupling, 2e-4),
}


def gap(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.detach(), expected.detach()
    return float(((found.double() - expected.double()).abs() / (1 + expected.double().abs())).max())


def grid(reach: float) -> torch.Tensor:
    inner = torch.linspace(-6, 6, 481, dtype=torch.float64)
    far = torch.logspace(0, 1, 60, base=reach, dtype=torch.float64)
    return torch.cat([-far.flip(0), inner, far]).float().double()  # numbers that both precisions hold exactly


def small(make: object, features: int = 5) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        flow = make(features, layers=3, hidden=H).double().eval()  # type: ignore[operator]
        half = copy.deepcopy(flow)
        perturb_(half, torch.Generator().manual_seed(3))
        with torch.no_grad():
            for parameter, moved in zip(flow.parameters(), half.parameters(), strict=True):
                parameter.copy_((0.5 * (parameter + moved)).float())
    return flow


@pytest.mark.parametrize("name", LINE)
def test_univariate_map_in_float32_agrees_with_float64_out_to_a_thousand(name: str) -> None:
    t = LINE[name].make(1, 0)
    u = grid(1e3)
    params = torch.randn(len(u), t.num_params, generator=torch.Generator().manual_seed(1)).double()
    x, log_slope = t.forward(u, params)
    x_32, log_slope_32 = t.forward(u.float(), params.float())
    assert x_32.dtype == torch.float32
    assert gap(x_32, x) < 2e-5
    assert gap(log_slope_32, log_slope) < 2e-4
    back, _ = t.inverse(x_32, params.float())
    assert gap(back, u) < 2e-4


@pytest.mark.parametrize("name", FLOWS)
def test_flow_in_float32_scores_like_float64(name: str) -> None:
    make, tolerance = FLOWS[name]
    flow = small(make)
    x = flow.sample((500,), generator=torch.Generator().manual_seed(0)).float().double()
    assert gap(flow.float().log_prob(x.float()), small(make).log_prob(x)) < tolerance


@pytest.mark.parametrize("name", FLOWS)
def test_flow_in_float32_returns_from_a_round_trip(name: str) -> None:
    make, tolerance = FLOWS[name]
    flow = small(make).float()
    u = torch.randn(500, 5, generator=torch.Generator().manual_seed(0))
    x, log_det = flow.bijection(u)
    back, log_det_back = flow.bijection.inverse(x)
    assert gap(back, u) < 10 * tolerance
    assert gap(-log_det_back, log_det) < 10 * tolerance


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_flow_is_finite_with_finite_gradients_at_a_thousand(name: str, dtype: torch.dtype) -> None:
    flow = small(FLOWS[name][0]).to(dtype)
    for sign in (-1.0, 1.0):
        x = torch.full((2, 5), sign * 1e3, dtype=dtype, requires_grad=True)
        score = flow.log_prob(x)
        assert bool(score.isfinite().all())
        score.sum().backward()
        gradients = [x.grad, *(p.grad for p in flow.parameters())]
        assert all(bool(g.isfinite().all()) for g in gradients if g is not None)


@pytest.mark.parametrize("name", ["StandardNormal", "StandardLogistic", "DiagonalNormal", "StudentT"])
def test_base_scores_far_tails_in_float32_like_float64(name: str) -> None:
    base = getattr(bases, name)(1)
    u = grid(1e3)[:, None]
    assert gap(base.log_prob(u.float()), copy.deepcopy(base).double().log_prob(u)) < 2e-6


def test_stepping_in_float32_drifts_no_further_than_the_parallel_pass() -> None:
    """Both sum the same products in another order: D = 64, two layers of 128."""
    torch.manual_seed(0)
    net = cf.MaskedMLP(64, 2, (128, 128))
    bijection = cf.Autoregressive(net, univariate.Affine())
    u = torch.randn(200, 64)
    x = bijection(u)[0]
    assert gap(bijection.inverse(x)[0], u) < 2e-5
