"""The contract of a family: conditional laws p(x_i; params) whose parameters a conditioner supplies."""

import dataclasses
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor

from ..shapes import RowParams, Scalars, Shape


class Family(ABC):
    """A frozen value: the shape of a law on one coordinate. Elementwise over any batch of parameters (*B, P)."""

    @property
    @abstractmethod
    def num_params(self) -> int:
        """P, the parameters of one law."""

    @abstractmethod
    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """log p(x; params), nats."""

    @abstractmethod
    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """One draw per law; where `rsample` exists this is the same draw."""

    def rsample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """One reparameterised draw per law.

        Raises:
            TypeError: the family has none.
        """
        raise TypeError(f"{type(self).__name__} has no reparameterised draws: use sample")

    def entropy(self, params: RowParams) -> Scalars:
        """The differential (or discrete) entropy in nats.

        Raises:
            TypeError: there is no closed form.
        """
        raise TypeError(f"the entropy of {type(self).__name__} has no closed form")


@dataclasses.dataclass(frozen=True)
class Laws:
    """A family with its parameters bound: the conditionals p(x_i | x_<i) of all rows, batch shape (*B, D).

    Args:
        family: The shape of the laws.
        params: Their parameters, (*B, D, P).
    """

    family: Family
    params: Tensor

    def log_prob(self, x: Scalars, /) -> Scalars:
        """log p(x_i | x_<i), one per row; further leading axes of x are extra draws."""
        return self.family.log_prob(x, self.params)

    def sample(self, sample_shape: Shape = (), /, *, generator: Generator | None = None) -> Scalars:
        """Draws of every row given the same prefixes, (*sample, *B, D), without gradient."""
        with torch.no_grad():
            return self.family.sample(self._repeated(sample_shape), generator=generator)

    def rsample(self, sample_shape: Shape = (), /, *, generator: Generator | None = None) -> Scalars:
        """Reparameterised draws of every row given the same prefixes, (*sample, *B, D)."""
        return self.family.rsample(self._repeated(sample_shape), generator=generator)

    def entropy(self) -> Scalars:
        """H[p(x_i | x_<i)], one per row."""
        return self.family.entropy(self.params)

    def _repeated(self, sample_shape: Shape) -> Tensor:
        return self.params.expand(*sample_shape, *self.params.shape)
