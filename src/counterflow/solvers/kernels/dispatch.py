"""Which kernel can take what. Numba and Triton are imported when the first kernel is called."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...conditioners.program import Program
from ...univariate import Univariate
from .doors import knows

Kernel = Callable[..., tuple[Tensor, Tensor]]


def kernels_for(x: Tensor) -> Any:
    """The module whose doors take such numbers: `cpu`, `gpu`, or None if PyTorch has to do it."""
    if x.dtype not in (torch.float32, torch.float64):
        return None
    if x.device.type == "cpu":
        from . import cpu

        return cpu
    if x.device.type == "cuda":
        from . import gpu

        return gpu if gpu.available() else None
    return None


def kernel_for(program: Program, univariate: Univariate, x: Tensor) -> Kernel | None:
    """The door of the kernel that solves this network with this map at this x; None if PyTorch has to do it.

    Its arguments are (program, layout, univariate, given (N, D), context (N or 1, M) or None, *, evaluate), its result
    (values (N, D), log_det (N)).
    """
    kernels = kernels_for(x)
    return kernels.run if kernels is not None and knows(program, univariate) else None
