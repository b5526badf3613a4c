"""Normal laws, and finite mixtures of them."""

import dataclasses
import math

import torch
from torch import Generator, Tensor

from ..shapes import RowParams, Scalars
from ..spec import register
from ..univariate import BoundedExp, Scale
from .family import Family
from .mixing import check_components, chosen, components_of

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def _noise(like: Tensor, generator: Generator | None) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


@register
@dataclasses.dataclass(frozen=True)
class Normal(Family):
    """N(mu, sigma^2) with sigma = scale(a); parameters (mu, a)."""

    scale: Scale = BoundedExp()

    @property
    def num_params(self) -> int:
        """Two: mu and a."""
        return 2

    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """-((x - mu) / sigma)^2 / 2 - log sigma - log(2 pi) / 2."""
        mu, a = params.unbind(-1)
        log_sigma = self.scale.log_scale(a)
        z = (x - mu) * torch.exp(-log_sigma)
        return -0.5 * z * z - log_sigma - _HALF_LOG_2PI

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """mu + sigma times standard normal noise."""
        return self.rsample(params, generator=generator)

    def rsample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """mu + sigma times standard normal noise."""
        mu = params[..., 0]
        return mu + self.scale(params[..., 1])[0] * _noise(mu, generator)

    def entropy(self, params: RowParams) -> Scalars:
        """log sigma + (1 + log 2 pi) / 2."""
        return self.scale.log_scale(params[..., 1]) + 0.5 + _HALF_LOG_2PI


@register
@dataclasses.dataclass(frozen=True)
class NormalMixture(Family):
    """sum_k pi_k N(mu_k, sigma_k^2); parameters: K logits of pi, then K means, then K raw scales.

    Args:
        components: K.
        scale: Makes the raw scales positive.

    Source: MADE MoG of Papamakarios et al. (2017), arXiv:1705.07057; mixture density networks, Bishop (1994).
    """

    components: int = 10
    scale: Scale = BoundedExp()

    def __post_init__(self) -> None:
        check_components(self.components)

    @property
    def num_params(self) -> int:
        """3 K."""
        return 3 * self.components

    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """Log-sum-exp over the components."""
        log_pi, mu, raw = components_of(params)
        log_sigma = self.scale.log_scale(raw)
        z = (x[..., None] - mu) * torch.exp(-log_sigma)
        return torch.logsumexp(log_pi - 0.5 * z * z - log_sigma, -1) - _HALF_LOG_2PI

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """A component by its weight, then a normal draw from it."""
        mu, raw = chosen(components_of(params), generator)
        return mu + self.scale(raw)[0] * _noise(mu, generator)
