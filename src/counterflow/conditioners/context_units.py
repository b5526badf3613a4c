"""Context columns in numbers of order one, as the first thing that a conditional model does with them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..shapes import Context
from ..spec import register


@register
class ContextUnits(nn.Module):
    """Standardised context: (c - loc) / scale, of log c where a column spans decades.

    Args:
        loc: M numbers.
        scale: M positive numbers.
        log: Which columns are taken by their logarithm.

    Raises:
        ValueError: lists of different length, or a scale that is not positive and finite.
    """

    _loc: Tensor
    _scale: Tensor
    _log: Tensor

    def __init__(self, loc: Sequence[float], scale: Sequence[float], log: Sequence[bool]) -> None:
        super().__init__()
        self.loc, self.scale, self.log = tuple(loc), tuple(scale), tuple(bool(flag) for flag in log)
        if not len(self.loc) == len(self.scale) == len(self.log):
            raise ValueError(f"expected lists of one length, got {len(self.loc)}, {len(self.scale)}, {len(self.log)}")
        for i, (shift, size) in enumerate(zip(self.loc, self.scale, strict=True)):
            if not (size > 0 and math.isfinite(size) and math.isfinite(shift)):
                raise ValueError(f"context {i + 1} cannot be standardised: location {shift}, scale {size}")
        self.register_buffer("_loc", torch.tensor(self.loc))
        self.register_buffer("_scale", torch.tensor(self.scale))
        self.register_buffer("_log", torch.tensor(self.log))

    def forward(self, context: Context) -> Context:
        """(*B, M) -> (*B, M).

        Raises:
            ValueError: another number of columns, or a number that is not above zero in one that is taken by its
                logarithm.
        """
        if context.shape[-1:] != self._loc.shape:
            raise ValueError(f"expected a context with {len(self.loc)} features, got shape {tuple(context.shape)}")
        if any(self.log):
            wrong = (context <= 0) & self._log
            if bool(wrong.any()):
                column = int(wrong.reshape(-1, len(self.log)).any(0).int().argmax())
                found = float(context[..., column][wrong[..., column]].max())
                raise ValueError(f"context {column + 1} was positive in all training rows, and now is {found:g}")
            # log of 1 where it is not taken: a gradient through log of anything else could be NaN.
            context = torch.where(self._log, torch.where(self._log, context, 1.0).log(), context)
        return (context - self._loc) / self._scale
