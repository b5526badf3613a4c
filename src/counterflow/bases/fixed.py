"""Bases without parameters: standard normal, standard logistic, uniform."""

import math

import torch
import torch.nn.functional as F
from torch import Generator

from ..shapes import Vector
from ..spec import register
from .base import FactorisedBase, draw_uniform

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@register
class StandardNormal(FactorisedBase):
    """N(0, I)."""

    def log_prob_rows(self, u: Vector) -> Vector:
        """-u^2 / 2 - log(2 pi) / 2."""
        return torch.addcmul(u.new_full((), -_HALF_LOG_2PI), u, u, value=-0.5)

    def rsample_rows(self, shape: torch.Size, *, generator: Generator | None = None) -> Vector:
        """Standard normal noise."""
        return torch.randn(shape, dtype=self.anchor.dtype, device=self.anchor.device, generator=generator)

    def entropy_rows(self) -> Vector:
        """(1 + log 2 pi) / 2."""
        return self.anchor.new_full((self.features,), 0.5 + _HALF_LOG_2PI)


@register
class StandardLogistic(FactorisedBase):
    """Independent logistic coordinates, p(u) = sigmoid(u) sigmoid(-u): the base of NICE.

    Source: Dinh et al. (2015), arXiv:1410.8516.
    """

    def log_prob_rows(self, u: Vector) -> Vector:
        """Log sigmoid(u) + log sigmoid(-u)."""
        return F.logsigmoid(u) + F.logsigmoid(-u)

    def rsample_rows(self, shape: torch.Size, *, generator: Generator | None = None) -> Vector:
        """log v - log(1 - v) of uniform v."""
        v = draw_uniform(shape, self.anchor, generator)
        return v.log() - torch.log1p(-v)

    def entropy_rows(self) -> Vector:
        """2 nats."""
        return self.anchor.new_full((self.features,), 2.0)


@register
class Uniform(FactorisedBase):
    """Uniform on the cube (low, high)^D.

    Args:
        features: D.
        low: Lower end of each side.
        high: Upper end of each side.
    """

    def __init__(self, features: int, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(features)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"expected finite low < high, got {low} and {high}")
        self.low, self.high = low, high

    def log_prob_rows(self, u: Vector) -> Vector:
        """-log(high - low) inside, minus infinity outside."""
        inside = (u >= self.low) & (u <= self.high)
        level = torch.full_like(u, -math.log(self.high - self.low))
        return torch.where(inside, level, torch.where(u.isnan(), u, torch.full_like(u, -math.inf)))

    def rsample_rows(self, shape: torch.Size, *, generator: Generator | None = None) -> Vector:
        """low + (high - low) v of uniform v."""
        return self.low + (self.high - self.low) * draw_uniform(shape, self.anchor, generator)

    def entropy_rows(self) -> Vector:
        """log(high - low)."""
        return self.anchor.new_full((self.features,), math.log(self.high - self.low))
