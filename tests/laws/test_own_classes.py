"""A user's own classes, held to the laws as the documentation shows: no class of the library underneath."""

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from counterflow.testing import (
    Atoms,
    Continuous,
    LawBroken,
    Traits,
    check_bijection,
    check_conditioner,
    check_density,
    check_univariate,
    laws,
)


def check_door(x: Tensor, features: int, context: Tensor | None) -> None:
    if not x.is_floating_point():
        raise TypeError(f"expected floating point, got {x.dtype}")
    if x.dim() == 0 or x.shape[-1] != features:
        raise ValueError(f"expected {features} features, got shape {tuple(x.shape)}")
    if context is not None:
        raise ValueError("this class takes no context")


class Sinh(nn.Module):
    """x = sinh(s u) with a learnable s > 0 per feature: a bijection that knows only the contract."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.context_features = features, 0
        self.log_s = nn.Parameter(torch.zeros(features))

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_door(u, self.features, context)
        v = self.log_s.exp() * u
        return v.sinh(), (self.log_s + v.cosh().log()).sum(-1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_door(x, self.features, context)
        v = x.asinh()
        return v * torch.exp(-self.log_s), -(self.log_s + 0.5 * torch.log1p(x * x)).sum(-1)


class SoftSign(Sinh):
    """x = u (1 + |u|) s: finite far out, where a hyperbolic sine is not."""

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_door(u, self.features, context)
        return self.log_s.exp() * u * (1 + u.abs()), (self.log_s + torch.log1p(2 * u.abs())).sum(-1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_door(x, self.features, context)
        z = x * torch.exp(-self.log_s)
        root = (1 + 4 * z.abs()).sqrt()
        return 2 * z / (1 + root), -(self.log_s + root.log()).sum(-1)


class Laplace(nn.Module):
    """A density that draws, with a learnable scale."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.log_scale = nn.Parameter(torch.zeros(features))

    def log_prob(self, x: Tensor) -> Tensor:
        check_door(x, self.features, None)
        return (-x.abs() * torch.exp(-self.log_scale) - self.log_scale - math.log(2.0)).sum(-1)

    def rsample_and_log_prob(self, shape: Any = (), *, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        like = self.log_scale
        v = torch.rand((*shape, self.features), generator=generator, dtype=like.dtype, device=like.device) - 0.5
        x = -self.log_scale.exp() * v.sign() * torch.log1p(-2 * v.abs())
        return x, self.log_prob(x)

    @torch.no_grad()
    def sample(self, shape: Any = (), *, generator: Generator | None = None) -> Tensor:
        return self.rsample_and_log_prob(shape, generator=generator)[0]


class RunningSum(nn.Module):
    """A conditioner: row i is a learnable multiple of tanh of the sum before it."""

    num_params = 1

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.context_features = features, 0
        self.order = tuple(range(features))
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        check_door(x, self.features, context)
        before = x.cumsum(-1) - x
        before = (
            torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1].cumsum(-1)], -1) if self.features > 1 else before * 0
        )
        return ((1 + before.tanh()) * self.weight)[..., None]

    def stepper(self, batch_shape: Any, context: Tensor | None = None) -> "RunningSumSteps":
        if context is not None:
            raise ValueError("this class takes no context")
        return RunningSumSteps(self.weight, batch_shape)


class RunningSumSteps:
    """One row at a time."""

    def __init__(self, weight: Tensor, batch_shape: Any) -> None:
        self.weight, self.known = weight, 0
        self.total = torch.zeros(batch_shape, dtype=weight.dtype, device=weight.device)

    def params(self) -> Tensor:
        return ((1 + self.total.tanh()) * self.weight[self.known])[..., None]

    def push(self, value: Tensor) -> None:
        self.total = self.total + value
        self.known += 1


class Cubic:
    """x = u + u^3 / 3 + mu, whose inverse is a hyperbolic sine."""

    num_params = 1

    def forward(self, u: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        x = u + u**3 / 3 + params[..., 0]
        return x, torch.log1p(u * u).expand_as(x)

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        u = 2 * ((1.5 * (x - params[..., 0])).asinh() / 3).sinh()
        return u, -torch.log1p(u * u)

    @property
    def inverted(self) -> "CubicRoot":
        return CubicRoot()


class CubicRoot(Cubic):
    """The inverse of `Cubic`."""

    forward, inverse = Cubic.inverse, Cubic.forward
    inverted = property(lambda self: Cubic())  # type: ignore[assignment]


def test_own_univariate_map_obeys_the_laws() -> None:
    check_univariate(Cubic())


def test_own_conditioner_obeys_the_laws() -> None:
    check_conditioner(lambda features, context_features: RunningSum(features), context_features=(0,))


def test_own_bijection_obeys_the_laws() -> None:
    check_bijection(lambda features, context_features: SoftSign(features), context_features=(0,))


def test_own_density_obeys_the_laws() -> None:
    check_density(lambda features, context_features: Laplace(features), context_features=(0,))


def test_bijection_that_overflows_is_told_where() -> None:
    with pytest.raises(LawBroken, match=r"far points are finite.*forward at -1000 is not finite.*D = 1"):
        check_bijection(lambda features, context_features: Sinh(features), context_features=(0,))


def test_density_whose_scale_is_forgotten_is_told_the_integral() -> None:
    class Forgetful(Laplace):
        def log_prob(self, x: Tensor) -> Tensor:
            return super().log_prob(x) + self.log_scale.sum()

    with pytest.raises(LawBroken, match=r"it integrates to one.*the density integrates to \d"):
        check_density(lambda features, context_features: Forgetful(features), context_features=(0,))


def test_every_kind_lists_its_laws() -> None:
    assert all(len(laws(kind)) >= 15 for kind in ("univariate", "conditioner", "bijection", "density"))
    with pytest.raises(ValueError, match="no such kind 'flow'"):
        laws("flow")


def test_traits_say_what_a_contract_leaves_open() -> None:
    traits = Traits(support=Atoms((0.0, 1.0)))
    assert traits.support.axis(2).weights.tolist() == [1.0, 1.0]
    assert math.isclose(float(Continuous(-1.0, 3.0).axis(1).weights.sum()), 4.0)
