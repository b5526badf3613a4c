"""Pairs of normal densities whose divergence, weights and tails are known in closed form."""

import math

import torch
from torch import Generator, Tensor


class Normal:
    """N(loc, scale^2) in each of D coordinates, as a density of ours sees others: log_prob and draws."""

    def __init__(self, features: int, loc: float = 0.0, scale: float = 1.0, *, log_constant: float = 0.0) -> None:
        self.features, self.loc, self.scale, self.log_constant = features, loc, scale, log_constant

    def log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        one = -0.5 * z.square() - math.log(self.scale) - 0.5 * math.log(2 * math.pi)
        return one.sum(-1) + self.log_constant

    def sample(self, shape: tuple[int, ...], *, generator: Generator | None = None) -> Tensor:
        return self.loc + self.scale * torch.randn(*shape, self.features, generator=generator, dtype=torch.float64)

    def rsample_and_log_prob(
        self, shape: tuple[int, ...] = (), *, generator: Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        x = self.sample(shape, generator=generator)
        return x, Normal.log_prob(self, x) - self.log_constant


def kl_of_normals(q: Normal, p: Normal) -> float:
    ratio = q.scale / p.scale
    one = -math.log(ratio) + 0.5 * (ratio**2 + ((q.loc - p.loc) / p.scale) ** 2) - 0.5
    return q.features * one


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)
