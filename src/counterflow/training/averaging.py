"""Averages of the weights along a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ExponentialAverage:
    r"""Exponential moving average of the weights; the average is what is validated and returned.

    .. math:: \bar\theta_n = d_n \bar\theta_{n-1} + (1 - d_n) \theta_n, \quad d_n = \min(d, (1 + n) / (10 + n))

    The smaller d_n of the first updates let the average forget the start. Buffers are not averaged.

    Args:
        decay: d, between 0 and 1.

    Cost: one more copy of the parameters, one fused multiply-add of them per step.
    Source: Polyak and Juditsky (1992); the rising decay is the one of TensorFlow's ``ExponentialMovingAverage``.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        if not 0 < self.decay < 1:
            raise ValueError(f"expected a decay between 0 and 1, got {self.decay:g}")

    @torch.no_grad()
    def update_(self, average: Sequence[Tensor], parameters: Sequence[Tensor], step: int) -> None:
        """One step of the recursion, n = ``step``, written into ``average``."""
        decay = min(self.decay, (1 + step) / (10 + step))
        # The public function around the fused kernel that torch's own AveragedModel uses.
        torch.optim.swa_utils.get_ema_multi_avg_fn(decay)(list(average), list(parameters), step)


@contextmanager
def exchanged(parameters: Sequence[Tensor], average: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the parameters hold the average; afterwards they hold what they held."""
    kept = [parameter.detach().clone() for parameter in parameters]
    copy_(parameters, average)
    try:
        yield
    finally:
        copy_(parameters, kept)


@torch.no_grad()
def copy_(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Write ``values`` into ``parameters``."""
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
