"""A histogram on an interval: a class for each bin."""

import dataclasses
import math

import torch
from torch import Generator

from ..shapes import RowParams, Scalars, first_violation
from ..spec import register
from .family import Family


@register
@dataclasses.dataclass(frozen=True)
class Categorical(Family):
    r"""Bins of equal width with probabilities softmax(a): a piecewise constant density.

    .. math:: p(x) = \frac{K}{\text{high} - \text{low}} \mathrm{softmax}(a)_{k(x)}

    Its derivative in x is zero wherever it has one, so nothing can be distilled from it by pathwise gradients; a
    `LogisticMixture` or an `InterpolatedLogisticMixture` in its place can.

    Args:
        bins: K.
        low, high: The ends of the interval.

    Raises:
        ValueError: fewer than one bin, or low >= high.

    Source: the 256 classes of van den Oord et al. (2016), arXiv:1609.03499, as a density.
    """

    bins: int = 256
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.bins < 1 or not self.low < self.high:
            raise ValueError(f"expected at least one bin from low to high, got {self.bins}: {self.low}, {self.high}")

    @property
    def num_params(self) -> int:
        """K logits."""
        return self.bins

    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """log softmax(a) of the bin, minus the log of its width.

        Raises:
            ValueError: x outside the interval.
        """
        wrong = first_violation(x, ((x >= self.low) & (x <= self.high)) | x.isnan())
        if wrong is not None:
            raise ValueError(f"found x = {wrong} outside the bins, which reach from {self.low} to {self.high}")
        place = (x.detach() - self.low) * (self.bins / (self.high - self.low))
        k = place.nan_to_num(0.0).long().clamp(0, self.bins - 1)
        batch = torch.broadcast_shapes(k.shape, params.shape[:-1])
        logits = params.log_softmax(-1).expand(*batch, self.bins)
        log_prob = logits.gather(-1, k.expand(batch)[..., None]).squeeze(-1)
        log_prob = log_prob + math.log(self.bins / (self.high - self.low))
        return torch.where(x.isnan(), x, log_prob)

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """A bin by its probability, then a uniform place in it."""
        flat = params.softmax(-1).reshape(-1, self.bins)
        k = torch.multinomial(flat, 1, generator=generator).reshape(params.shape[:-1])
        place = torch.rand(k.shape, dtype=params.dtype, device=params.device, generator=generator)
        return self.low + (k + place) * ((self.high - self.low) / self.bins)

    def entropy(self, params: RowParams) -> Scalars:
        """-sum p log p + log of the width of a bin."""
        log_p = params.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1) + math.log((self.high - self.low) / self.bins)
