"""Shifts and affine maps of the line."""

import dataclasses

import torch
from torch import Tensor

from ..shapes import RowParams, Scalars
from ..spec import register
from .scales import BoundedExp, Scale
from .univariate import Univariate


@register
@dataclasses.dataclass(frozen=True)
class Additive(Univariate):
    """x = u + mu, volume preserving.

    Source: NICE, Dinh et al. (2015), arXiv:1410.8516.
    """

    @property
    def num_params(self) -> int:
        """One: mu."""
        return 1

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """u + mu, and 0."""
        x = u + params[..., 0]
        return x, torch.zeros_like(x)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """x - mu, and 0."""
        u = x - params[..., 0]
        return u, torch.zeros_like(u)


@register
@dataclasses.dataclass(frozen=True)
class Affine(Univariate):
    """x = mu + sigma u, with sigma = scale(a); `Affine().inverted` is (u - mu) / sigma.

    Args:
        scale: Makes the second parameter positive; the default is bounded, see `BoundedExp`.
    """

    scale: Scale = BoundedExp()

    @property
    def num_params(self) -> int:
        """Two: mu and a."""
        return 2

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """mu + sigma u, and log sigma."""
        mu, a = params.unbind(-1)
        sigma, log_sigma = self.scale(a)
        x = torch.addcmul(mu, sigma, u)
        return x, _as_wide(log_sigma, x)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """(x - mu) / sigma, and -log sigma."""
        mu, a = params.unbind(-1)
        log_slope = -self.scale.log_scale(a)
        u = (x - mu) * log_slope.exp()
        return u, _as_wide(log_slope, u)


def _as_wide(value: Tensor, like: Tensor) -> Tensor:
    """The value over the batch of `like`; an expand that does nothing would still cost a node in the graph."""
    return value if value.shape == like.shape else value.expand_as(like)
