"""The contract of a univariate map: an increasing bijection of the line, steered by parameters from outside."""

import dataclasses
from abc import ABC, abstractmethod

from torch import Tensor

from ..shapes import RowParams, Scalars
from ..spec import register


class Univariate(ABC):
    """Increasing maps x = tau(u; params), elementwise over any batch.

    A frozen value without parameters of its own: the conditioner supplies them. Zero parameters give a well-behaved
    map, the identity wherever the form allows it.
    """

    @property
    @abstractmethod
    def num_params(self) -> int:
        """P, the parameters of one map."""

    @abstractmethod
    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """x = tau(u), and log dx/du."""

    @abstractmethod
    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """u = tau^-1(x), and log du/dx."""

    @property
    def inverted(self) -> "Univariate":
        """The inverse map, with the same parameters: its forward is this one's inverse."""
        return Inverted(self)


@register
@dataclasses.dataclass(frozen=True)
class Inverted(Univariate):
    """The inverse of a univariate map, so that a layer can be written (x - mu) / sigma as well as mu + sigma u."""

    univariate: Univariate

    @property
    def num_params(self) -> int:
        """P of the map that is inverted."""
        return self.univariate.num_params

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The inner map's inverse."""
        return self.univariate.inverse(u, params)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The inner map's forward."""
        return self.univariate.forward(x, params)

    @property
    def inverted(self) -> Univariate:
        """The inner map itself."""
        return self.univariate


@register
@dataclasses.dataclass(frozen=True)
class Composed(Univariate):
    """Maps applied one after the other, the first one first; their parameters lie side by side."""

    parts: tuple[Univariate, ...]

    @property
    def num_params(self) -> int:
        """The sum over the parts."""
        return sum(part.num_params for part in self.parts)

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """tau_K(... tau_1(u)), and the sum of the logs of the derivatives."""
        log_det = u.new_zeros(())
        for part, own in zip(self.parts, self._split(params), strict=True):
            u, step = part.forward(u, own)
            log_det = log_det + step
        return u, log_det.expand_as(u)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """tau_1^-1(... tau_K^-1(x)), and the sum of the logs of the derivatives."""
        log_det = x.new_zeros(())
        for part, own in reversed(list(zip(self.parts, self._split(params), strict=True))):
            x, step = part.inverse(x, own)
            log_det = log_det + step
        return x, log_det.expand_as(x)

    def _split(self, params: Tensor) -> tuple[Tensor, ...]:
        return tuple(params.split([part.num_params for part in self.parts], dim=-1))
