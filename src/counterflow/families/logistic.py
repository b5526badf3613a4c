"""Logistic laws and mixtures of them, as densities and as probabilities of a grid of levels."""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..shapes import RowParams, Scalars, first_violation
from ..spec import register
from ..univariate import BoundedExp, Scale
from .family import Family
from .mixing import check_components, chosen, components_of


def _noise(like: Tensor, generator: Generator | None) -> Tensor:
    """Standard logistic: the logit of a uniform number, kept off its ends."""
    uniform = torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    tiny = torch.finfo(like.dtype).tiny
    u = uniform.clamp(tiny, 1 - torch.finfo(like.dtype).eps / 2)
    return u.log() - torch.log1p(-u)


def _log_density(z: Tensor, log_scale: Tensor) -> Tensor:
    """log of e^{-z} / (s (1 + e^{-z})^2), which is even in z."""
    return F.logsigmoid(z) + F.logsigmoid(-z) - log_scale


def _log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log of sigmoid(high) - sigmoid(low), for low < high: sigmoid(high) sigmoid(-low) (1 - e^{low - high})."""
    return F.logsigmoid(high) + F.logsigmoid(-low) + torch.log(-torch.expm1(low - high))


@register
@dataclasses.dataclass(frozen=True)
class Logistic(Family):
    """Location mu and scale s = scale(a); parameters (mu, a)."""

    scale: Scale = BoundedExp()

    @property
    def num_params(self) -> int:
        """Two: mu and a."""
        return 2

    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """log sigmoid(z) + log sigmoid(-z) - log s, z = (x - mu) / s."""
        mu, a = params.unbind(-1)
        log_scale = self.scale.log_scale(a)
        return _log_density((x - mu) * torch.exp(-log_scale), log_scale)

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """mu + s times standard logistic noise."""
        return self.rsample(params, generator=generator)

    def rsample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """mu + s times standard logistic noise."""
        mu, a = params.unbind(-1)
        return mu + self.scale(a)[0] * _noise(mu, generator)

    def entropy(self, params: RowParams) -> Scalars:
        """2 + log s."""
        return 2.0 + self.scale.log_scale(params[..., 1])


@register
@dataclasses.dataclass(frozen=True)
class LogisticMixture(Family):
    """sum_k pi_k Logistic(mu_k, s_k); parameters: K logits of pi, then K locations, then K raw scales.

    Args:
        components: K.
        scale: Makes the raw scales positive.

    Source: Salimans et al. (2017), arXiv:1701.05517, before discretisation.
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
        log_scale = self.scale.log_scale(raw)
        return torch.logsumexp(log_pi + _log_density((x[..., None] - mu) * torch.exp(-log_scale), log_scale), -1)

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """A component by its weight, then a logistic draw from it."""
        mu, raw = chosen(components_of(params), generator)
        return mu + self.scale(raw)[0] * _noise(mu, generator)


@register
@dataclasses.dataclass(frozen=True)
class InterpolatedLogisticMixture(Family):
    r"""A mixture of logistics smeared over one step of a grid: a density that is P(level) / step on the levels.

    .. math:: p(x) = \frac1w \sum_k \pi_k \left[F\left(\frac{x + w/2 - \mu_k}{s_k}\right)
              - F\left(\frac{x - w/2 - \mu_k}{s_k}\right)\right]

    That of a logistic number plus uniform noise from [-w/2, w/2]. It is smooth, so a student can be distilled from it;
    on the levels it is the probability of a `DiscretisedLogisticMixture` that has no ends, over the step.

    Args:
        components: K.
        step: w, the distance of two levels.
        scale: Makes the raw scales positive.

    Raises:
        ValueError: fewer than one component, or a step that is not positive and finite.

    Source: van den Oord et al. (2018), arXiv:1711.10433, whose teacher has 65,536 levels.
    """

    components: int = 10
    step: float = 2 / 65_535
    scale: Scale = BoundedExp()

    def __post_init__(self) -> None:
        check_components(self.components)
        if not 0 < self.step < math.inf:
            raise ValueError(f"expected a positive step, got {self.step}")

    @property
    def num_params(self) -> int:
        """3 K."""
        return 3 * self.components

    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """Log-sum-exp over the components."""
        log_pi, mu, raw = components_of(params)
        inverse = torch.exp(-self.scale.log_scale(raw))
        centre, half = (x[..., None] - mu) * inverse, 0.5 * self.step * inverse
        return torch.logsumexp(log_pi + _log_mass(centre - half, centre + half), -1) - math.log(self.step)

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """A component by its weight, a logistic draw from it, and uniform noise."""
        mu, raw = chosen(components_of(params), generator)
        spread = torch.rand(mu.shape, dtype=mu.dtype, device=mu.device, generator=generator) - 0.5
        return mu + self.scale(raw)[0] * _noise(mu, generator) + self.step * spread


@register
@dataclasses.dataclass(frozen=True)
class DiscretisedLogisticMixture(Family):
    r"""P(level) of a mixture of logistics on a grid; the outermost levels take the tails.

    .. math:: P(x) = \sum_k \pi_k \left[F\left(\frac{x + w/2 - \mu_k}{s_k}\right)
              - F\left(\frac{x - w/2 - \mu_k}{s_k}\right)\right], \qquad
              F = 0 \text{ below the first level}, 1 \text{ above the last}

    Log probabilities of levels, not a density: scores and samples, but no pathwise gradient.

    Args:
        components: K.
        levels: How many there are, at least 2.
        low: The first.
        high: The last.
        scale: Makes the raw scales positive.

    Raises:
        ValueError: fewer than one component or two levels, or low >= high.

    Source: Salimans et al. (2017), arXiv:1701.05517, section 2.1.
    """

    components: int = 10
    levels: int = 256
    low: float = -1.0
    high: float = 1.0
    scale: Scale = BoundedExp()

    def __post_init__(self) -> None:
        check_components(self.components)
        if self.levels < 2 or not self.low < self.high:
            raise ValueError(f"expected at least 2 levels from low to high, got {self.levels}: {self.low}, {self.high}")

    @property
    def num_params(self) -> int:
        """3 K."""
        return 3 * self.components

    @property
    def step(self) -> float:
        """The distance of two levels."""
        return (self.high - self.low) / (self.levels - 1)

    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """log P of a level.

        Raises:
            ValueError: a number that is no level.
        """
        place = (x - self.low) / self.step
        near = place.round()
        slack = 1e-3 + 8 * self.levels * torch.finfo(x.dtype).eps
        allowed = (((place - near).abs() < slack) & (near >= 0) & (near < self.levels)) | x.isnan()
        wrong = first_violation(x, allowed)
        if wrong is not None:
            raise ValueError(f"found {wrong}, which is none of the {self.levels} levels from {self.low} to {self.high}")
        log_pi, mu, raw = components_of(params)
        inverse = torch.exp(-self.scale.log_scale(raw))
        centre, half = (x[..., None] - mu) * inverse, 0.5 * self.step * inverse
        inner = _log_mass(centre - half, centre + half)
        first, last = (near == 0)[..., None], (near == self.levels - 1)[..., None]
        log_mass = torch.where(first, F.logsigmoid(centre + half), inner)
        log_mass = torch.where(last, F.logsigmoid(half - centre), log_mass)
        return torch.logsumexp(log_pi + log_mass, -1)

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """A component by its weight, a logistic draw from it, and the nearest level."""
        mu, raw = chosen(components_of(params), generator)
        drawn = mu + self.scale(raw)[0] * _noise(mu, generator)
        place = ((drawn - self.low) / self.step).round().clamp(0, self.levels - 1)
        return self.low + self.step * place
