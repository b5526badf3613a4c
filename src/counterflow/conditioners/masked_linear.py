"""The masked linear layer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .masks import mask
from .staircase import rectified_staircase_linear, staircase, staircase_linear, staircase_weight_gradient, worthwhile


class MaskedLinear(nn.Linear):
    """y = (W * mask) x + b. Weights outside the mask exist but never count, so any finite weights are admissible.

    Large products skip most of the masked half, see `staircase`. What is kept of that is the structure of the mask,
    which the degrees fix for good; weights are read anew at every call.
    """

    mask: Tensor

    def __init__(self, out_degrees: Tensor, in_degrees: Tensor) -> None:
        super().__init__(len(in_degrees), len(out_degrees))
        self.register_buffer("mask", mask(out_degrees, in_degrees), persistent=False)
        self.stairs = staircase(out_degrees, in_degrees)

    @property
    def masked_weight(self) -> Tensor:
        """The weight that is in force, computed from the parameter at each call and never stored."""
        return self.weight * self.mask

    @property
    def is_its_weight(self) -> bool:
        """Whether a call does no more than (W * mask) x + b: no hooks, no forward of a subclass."""
        return type(self).forward is MaskedLinear.forward and not (
            self._forward_hooks or self._forward_pre_hooks or "forward" in self.__dict__
        )

    def forward(self, x: Tensor, *, after_relu: bool = False) -> Tensor:
        """(*B, in) -> (*B, out).

        Args:
            x: What the layer reads.
            after_relu: Read relu(x) instead, which overwrites x.
        """
        if self.stairs is not None and worthwhile(x, self.weight):
            linear = rectified_staircase_linear if after_relu else staircase_linear
            return linear(x, self.weight, self.bias, self.mask, self.stairs)
        return F.linear(torch.relu_(x) if after_relu else x, self.masked_weight, self.bias)

    def weight_gradient(self, g: Tensor, x: Tensor) -> Tensor:
        """dL/dW from dL/dy (N, out) and x (N, in): zero where the mask is."""
        if self.stairs is not None and worthwhile(x, self.weight):
            return staircase_weight_gradient(g, x, self.mask, self.stairs)
        return (g.t() @ x) * self.mask
