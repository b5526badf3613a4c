"""What the tests of conversions share: models that have learnt something, points, and how far apart two results are."""

import functools
from typing import Any

import torch
from torch import Tensor, nn

import counterflow as cf

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}  # of 1 + |value|
ROWS = 200


@torch.no_grad()
def perturb_(model: nn.Module, size: float = 0.3) -> nn.Module:
    """Noise on all weights, and averages as batches would leave them: libraries begin with residual blocks near 0."""
    generator = torch.Generator().manual_seed(0)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like)

    for parameter in model.parameters():
        parameter.add_(size * noise(parameter) / (parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 1.0))
    for module in model.modules():
        if isinstance(getattr(module, "running_var", None), Tensor):
            module.running_mean.add_(size * noise(module.running_mean))
            module.running_var.copy_(0.7 + 0.5 * noise(module.running_var).abs())
    return model


def points(features: int, dtype: torch.dtype, *, spread: float = 2.0) -> Tensor:
    """Rows where data lie, and a tenth of them beyond the boxes of all splines."""
    x = spread * torch.randn(ROWS, features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x[: ROWS // 10] *= 4
    return x.to(dtype)


def contexts(width: int, dtype: torch.dtype) -> Tensor | None:
    if not width:
        return None
    return torch.randn(ROWS, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    """Relative where the value is above 1; NaN counts as infinite."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    return float(((ours - theirs).abs() / (1 + theirs.abs())).nan_to_num(torch.inf).max())


@functools.cache
def pair(zoo: Any, kind: str, width: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Any, cf.Flow]:
    """A flow of another library, and what it becomes; not to be changed.

    Args:
        zoo: A module `zoo_*`.
        kind: Of its `CASES`.
        width: Of the context.
        dtype: Of all.
    """
    theirs = zoo.made(kind, width, dtype)
    return theirs, zoo.convert(theirs)
