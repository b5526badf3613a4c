"""Small densities and losses with known optima, for the tests of `fit`."""

import math

import torch
from torch import Tensor, nn


class DiagonalNormal(nn.Module):
    """Normal with a mean and a log standard deviation per coordinate; its best fit are the moments of the data."""

    def __init__(self, features: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(features, dtype=dtype))
        self.log_scale = nn.Parameter(torch.zeros(features, dtype=dtype))

    def log_prob(self, x: Tensor) -> Tensor:
        u = (x - self.mean) * torch.exp(-self.log_scale)
        return (-0.5 * u.square() - self.log_scale - 0.5 * math.log(2 * math.pi)).sum(-1)

    def rsample_and_log_prob(self, count: int) -> tuple[Tensor, Tensor]:
        x = self.mean + self.log_scale.exp() * torch.randn(count, *self.mean.shape, dtype=self.mean.dtype)
        return x, self.log_prob(x)


class LinearNormal(nn.Module):
    """x | c normal with unit variance around a linear function of c; the best fit is least squares."""

    def __init__(self, features: int, context_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(context_features, features, dtype=torch.float64)

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        return (-0.5 * (x - self.linear(context)).square() - 0.5 * math.log(2 * math.pi)).sum(-1)


class NoisyNetwork(nn.Module):
    """A density with everything that a resumed run can get wrong.

    Dropout draws from the global stream, batch norm keeps running moments in buffers (a whole number among them), one
    matrix is used twice under two names, one is stored transposed, one parameter is frozen.
    """

    def __init__(self, features: int = 3, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Linear(features, width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, width)
        self.third.weight = self.second.weight
        self.last = nn.Parameter(torch.randn(width, features).mT)
        self.frozen = nn.Parameter(torch.ones(features), requires_grad=False)
        self.normalise = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(0.2)

    def log_prob(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x.roll(1, -1)))
        h = self.normalise(self.dropout(torch.tanh(self.second(h))))
        mean = torch.tanh(self.third(h)) @ self.last.mT
        return (-0.5 * (self.frozen * x - mean).square() - 0.5 * math.log(2 * math.pi)).sum(-1)


def reverse_kl_to_normal(module: DiagonalNormal, batch: None) -> Tensor:
    """KL(module || N(2, 0.5^2)) from 64 draws of the module."""
    x, log_q = module.rsample_and_log_prob(64)
    log_p = (-0.5 * ((x - 2.0) / 0.5).square() - math.log(0.5) - 0.5 * math.log(2 * math.pi)).sum(-1)
    return (log_q - log_p).mean()


def normal_rows(count: int, features: int, seed: int = 1) -> Tensor:
    """Correlated normal rows that are far from standard."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(features, features, generator=generator, dtype=torch.float64)
    return 1.5 + torch.randn(count, features, generator=generator, dtype=torch.float64) @ mix
