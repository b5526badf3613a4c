"""Every objective of distillation against the divergence of two normals, which is known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import counterflow as cf
from counterflow import distillation as d
from counterflow import families
from counterflow.univariate import Affine, Exp

LOC_Q, LOG_Q = torch.tensor([0.3, -0.2, 0.0]), torch.tensor([0.1, -0.3, 0.2])
LOC_P, LOG_P = torch.tensor([0.0, 0.1, 0.4]), torch.tensor([0.0, -0.1, 0.3])
MIX = torch.tensor([0.5, -0.7])  # x_2 and x_3 also move with the coordinate before them, in both alike
N = 40_000


class Line(cf.conditioners.Conditioner):
    """mu_i = loc_i + mix_{i-1} (x_{i-1} - loc_{i-1}), a_i = log scale_i: the steps of a normal with a banded factor."""

    def __init__(self, loc: Tensor, log_scale: Tensor, mix: Tensor) -> None:
        super().__init__()
        self.features, self.context_features, self.num_params = 3, 0, 2
        self.loc, self.log_scale = torch.nn.Parameter(loc.clone()), torch.nn.Parameter(log_scale.clone())
        self.register_buffer("mix", mix)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        moved = torch.nn.functional.pad(self.mix * (x - self.loc)[..., :-1], (1, 0))
        return torch.stack([self.loc + moved, self.log_scale.expand_as(moved)], -1)


def teacher() -> cf.AutoregressiveModel:
    return cf.AutoregressiveModel(Line(LOC_P, LOG_P, MIX), families.Normal(Exp()))


def student() -> cf.Flow:
    """Noise u: x_i = loc_i + s_i u_i + mix (x_{i-1} - loc_{i-1}), the same kind of law, written as an IAF."""

    class Unrolled(Line):
        def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
            rows = []
            moved = torch.zeros_like(u[..., 0])
            for i in range(3):
                rows.append(self.loc[i] + moved)
                if i < 2:
                    moved = self.mix[i] * (moved + self.log_scale[i].exp() * u[..., i])
            return torch.stack([torch.stack(rows, -1), self.log_scale.expand_as(u)], -1)

    return cf.Flow(cf.bases.StandardNormal(3), cf.Autoregressive(Unrolled(LOC_Q, LOG_Q, MIX), Affine(Exp())))


def moments(loc: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance: x - loc = (I - M)^-1 diag(s) u, M with `mix` below the diagonal."""
    inverse = torch.linalg.inv(torch.eye(3) - torch.diag(MIX, -1)).double()
    factor = inverse @ torch.diag(log_scale.double().exp())
    return loc.double(), factor @ factor.T


def exact_kl(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    normals = [torch.distributions.MultivariateNormal(mean, covariance) for mean, covariance in (first, second)]
    return float(torch.distributions.kl_divergence(*normals))


Q, P = moments(LOC_Q, LOG_Q), moments(LOC_P, LOG_P)
REVERSE = {
    "single draw": d.ReverseKL(N),
    "path": d.PathKL(N),
    "steps": d.StepwiseKL(N // 16, 16),
    "closed form": d.StepwiseNormalKL(N),
}


@pytest.mark.parametrize("objective", REVERSE.values(), ids=REVERSE)
def test_reverse_objectives_estimate_the_divergence_of_two_normals(objective: Any) -> None:
    """The standard deviation of log q - log p is below 1: five standard errors are missed once in a million."""
    found = float(objective(student(), teacher(), generator=torch.Generator().manual_seed(0)).detach())
    assert found == pytest.approx(exact_kl(Q, P), abs=5 / math.sqrt(N))


def test_the_forward_objective_is_the_divergence_from_the_teacher_and_its_entropy() -> None:
    p = teacher()
    found = float(d.ForwardKL(None, N)(student(), p, generator=torch.Generator().manual_seed(1)).detach())
    entropy = float(torch.distributions.MultivariateNormal(*P).entropy())
    assert found - entropy == pytest.approx(exact_kl(P, Q), abs=8 / math.sqrt(N))


def test_a_sum_is_the_weighted_sum_of_both_directions() -> None:
    p = teacher()
    rows = p.sample(N, generator=torch.Generator().manual_seed(2))
    both = d.Sum(((0.7, d.StepwiseNormalKL(N)), (0.3, d.ForwardKL(rows, N))))
    found = float(both(student(), p, generator=torch.Generator().manual_seed(3)).detach())
    entropy = float(torch.distributions.MultivariateNormal(*P).entropy())
    expected = 0.7 * exact_kl(Q, P) + 0.3 * (exact_kl(P, Q) + entropy)
    assert found == pytest.approx(expected, abs=8 / math.sqrt(N))


def test_matched_layers_are_the_divergence_to_second_order() -> None:
    """Of shifts and scales by a small e the sum of rows is KL up to e^3, if the rows read the same noise."""
    p, q = teacher(), student()
    e = 0.02
    inner = q.bijection.conditioner
    with torch.no_grad():
        inner.loc.copy_(LOC_P)
        inner.log_scale.copy_(LOG_P)
        inner.loc[2] += e
        inner.log_scale[2] += e
    found = float(d.MatchedLayers(None, N)(q, p, generator=torch.Generator().manual_seed(4)).detach())
    assert found == pytest.approx(exact_kl(moments(inner.loc.detach(), inner.log_scale.detach()), P), rel=0.05)
