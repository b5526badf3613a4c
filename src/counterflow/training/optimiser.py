"""The optimiser that ``fit`` uses when it is given none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

_LARGE = 1 << 15


def adamw(
    parameters: Sequence[nn.Parameter], *, learning_rate: float = 1e-3, weight_decay: float = 1e-4
) -> torch.optim.AdamW:
    """AdamW whose weight decay spares biases and all other parameters of at most one axis.

    Source: Loshchilov and Hutter (2019), arXiv:1711.05101.
    """
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    fused = _fused_pays(parameters)
    foreach = True if not fused and parameters[0].device.type == "cpu" else None  # None: torch knows the device
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=learning_rate, fused=fused, foreach=foreach
    )


def _fused_pays(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether the fused kernel is the fast one.

    It is on a GPU and on one CPU thread. With several CPU threads it starts them anew for every tensor, however small,
    and where other programs compete for the cores a start can wait for a time slice; large tensors repay that.
    """
    devices = {parameter.device.type for parameter in parameters}
    if devices == {"cpu"}:
        mean_size = sum(parameter.numel() for parameter in parameters) / len(parameters)
        return torch.get_num_threads() == 1 or mean_size >= _LARGE
    return devices == {"cuda"}
