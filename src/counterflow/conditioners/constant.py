"""A network that reads nothing: learnable numbers where a network is expected."""

import torch
from torch import Tensor, nn

from ..spec import register


@register
class Constant(nn.Module):
    """x -> w, whatever x: in a `Coupling`, maps of the changed coordinates that depend on nothing.

    Args:
        outputs: Entries of w; it starts at 0.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        if outputs < 1:
            raise ValueError(f"expected at least one output, got {outputs}")
        self.outputs = outputs
        self.value = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(*B, features) -> (*B, outputs)."""
        return self.value.expand(*x.shape[:-1], self.outputs)
