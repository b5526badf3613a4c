"""The masked linear layer, and what a whole masked network is to those who run it their own way."""

import dataclasses
from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .masks import Degrees, mask


class MaskedLinear(nn.Linear):
    """y = (W * mask) x + b. Weights outside the mask exist but are never used, so any weights are admissible."""

    mask: Tensor

    def __init__(self, out_degrees: Tensor, in_degrees: Tensor) -> None:
        super().__init__(len(in_degrees), len(out_degrees))
        self.register_buffer("mask", mask(out_degrees, in_degrees), persistent=False)

    @property
    def masked_weight(self) -> Tensor:
        """The weight that is in force, computed from the parameter at each call and never stored."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """(*B, in) -> (*B, out)."""
        return F.linear(x, self.masked_weight, self.bias)


@dataclasses.dataclass(frozen=True)
class MaskedLayers:
    """A masked network taken apart, for a stepper or a solver; made per call, so never stale.

    Attributes:
        order: The coordinates in the order in which they are generated.
        degrees: Degrees of the hidden units, one tuple per layer.
        first: Inputs to the first hidden layer; the context is added to its result.
        context: The context's contribution to the first hidden layer, if there is a context.
        layers: Each hidden layer from the one below; the inner layers of the blocks of a residual network.
        outer: The outer layers of the blocks of a residual network, else empty.
        out: The last hidden layer to the rows, parameter by parameter.
        num_params: P.
        activation: Elementwise.
    """

    order: tuple[int, ...]
    degrees: tuple[Degrees, ...]
    first: MaskedLinear
    context: nn.Module | None
    layers: Sequence[MaskedLinear]
    outer: Sequence[MaskedLinear]
    out: MaskedLinear
    num_params: int
    activation: Callable[[Tensor], Tensor]
