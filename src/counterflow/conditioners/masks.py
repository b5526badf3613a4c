"""Degrees and masks: who may read whom in a masked network.

The input at position k of the order (from 0) has degree k + 1. A hidden unit of degree m reads units and inputs of
degree at most m. The row of the input at position k reads hidden units of degree at most k. Degree 0 is the context.
"""

import torch
from torch import Generator, Tensor

Degrees = tuple[int, ...]


def sorted_degrees(features: int, width: int, lowest: int) -> Degrees:
    """Degrees lowest .. features - 1 spread evenly over `width` units, in ascending order.

    With width >= the number of degrees each degree has a unit, so every row sees every earlier coordinate.
    """
    lowest = min(lowest, features - 1)
    count = features - lowest
    return tuple(lowest + (unit * count) // width for unit in range(width))


def random_degrees(features: int, width: int, lowest: int, *, generator: Generator | None = None) -> Degrees:
    """Degrees drawn uniformly from lowest .. features - 1, as in the MADE paper.

    Source: Germain et al. (2015), arXiv:1502.03509, section 4.2.
    """
    lowest = min(lowest, features - 1)
    return tuple(torch.randint(lowest, features, (width,), generator=generator).tolist())


def random_order(features: int, *, generator: Generator | None = None) -> tuple[int, ...]:
    """A uniformly random order of generation."""
    return tuple(torch.randperm(features, generator=generator).tolist())


def input_degrees(order: tuple[int, ...]) -> Tensor:
    """Degree of each coordinate: its position in the order, from 1."""
    degrees = torch.empty(len(order), dtype=torch.long)
    degrees[torch.tensor(order, dtype=torch.long)] = torch.arange(1, len(order) + 1)
    return degrees


def mask(out_degrees: Tensor, in_degrees: Tensor) -> Tensor:
    """1 where a unit may read a source of lower or equal degree, (out, in)."""
    return (out_degrees[:, None] >= in_degrees[None, :]).to(torch.get_default_dtype())


def check_order(order: tuple[int, ...], features: int) -> None:
    """Refuse an order that is not a permutation of the coordinates.

    Raises:
        ValueError: it is not.
    """
    if sorted(order) != list(range(features)):
        raise ValueError(f"expected an order of the coordinates 0..{features - 1}, got {order}")
