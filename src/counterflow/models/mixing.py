"""What stands between the layers of a flow: anything that makes a bijection of a number of features."""

import dataclasses
from collections.abc import Callable

import torch

from ..bijections import Bijection, Permutation

Mixing = Callable[[int], Bijection]


@dataclasses.dataclass(frozen=True)
class Reverse:
    """The order reversed: what one layer reads last, the next reads first."""

    def __call__(self, features: int) -> Bijection:
        """The reversal of that many coordinates."""
        return Permutation(range(features - 1, -1, -1))


class Shuffle:
    """A random permutation, another one at each call.

    Args:
        seed: Of the stream of permutations.
    """

    def __init__(self, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, features: int) -> Bijection:
        """A random permutation of that many coordinates."""
        return Permutation(torch.randperm(features, generator=self._generator).tolist())
