"""What stands between the layers of a flow: anything that makes a bijection of a number of features."""

import dataclasses
from collections.abc import Callable

import torch

from ..bijections import Bijection, Chain, LULinear, Permutation

Mixing = Callable[[int], Bijection]


@dataclasses.dataclass(frozen=True)
class Reverse:
    """The order reversed: what one layer reads last, the next reads first."""

    def __call__(self, features: int) -> Bijection:
        """The reversal of that many coordinates."""
        return Permutation(range(features - 1, -1, -1))


@dataclasses.dataclass(frozen=True)
class ReverseLU:
    """The order reversed, then an LU linear layer, which starts as the identity and is learnt with the rest."""

    def __call__(self, features: int) -> Bijection:
        """The two for that many coordinates."""
        return Chain([Reverse()(features), LULinear(features)])


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """A random permutation, another one at each call.

    Args:
        generator: The source of randomness; None is the global one.
    """

    generator: torch.Generator | None = None

    def __call__(self, features: int) -> Bijection:
        """A random permutation of that many coordinates."""
        return Permutation(torch.randperm(features, generator=self.generator).tolist())
