"""Networks that read the same and whose outputs are laid side by side: one for shifts, one for scales."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..spec import register


@register
class SideBySide(nn.Module):
    """x -> (f_1(x), ..., f_K(x)), concatenated.

    Args:
        networks: At least one; each is given what this is given.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        if not len(self.networks):
            raise ValueError("expected at least one network")

    def forward(self, *inputs: Tensor) -> Tensor:
        """(*B, features) -> (*B, sum of the outputs)."""
        return torch.cat([network(*inputs) for network in self.networks], -1)
