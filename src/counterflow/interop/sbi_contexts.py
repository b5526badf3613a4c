"""What sbi puts before a density, standardisation and embedding, as a context encoder of ours."""

from typing import Any

import torch
from torch import Tensor, nn

from ..conditioners import ContextUnits, EmbeddedContext
from .libraries import importing

with importing("sbi"):
    from sbi.utils.sbiutils import Standardize


def context_encoder(net: nn.Module, event_shape: torch.Size) -> nn.Module | None:
    """The same for any batch axes: what sbi standardises and embeds takes one.

    Args:
        net: As sbi makes it: a `Standardize` first, or none, and an embedding net, or the identity. It is not copied.
        event_shape: Of one condition.

    Returns:
        None where vectors stay as they are. Vectors that are only standardised have a class of the core, so that
        files with it are loaded wherever Counterflow is.

    Raises:
        ValueError: a condition that cannot be standardised.
    """
    moments: list[Tensor] = []
    if isinstance(net, nn.Sequential) and len(net) == 2 and isinstance(net[0], Standardize):
        first: Any = net[0]
        moments, net = [first._mean, first._std], net[1]
    if isinstance(net, nn.Identity) and len(event_shape) == 1:
        if not moments:
            return None
        loc, scale = (moment.expand(event_shape).tolist() for moment in moments)
        return ContextUnits(loc, scale, [False] * event_shape[0])
    encoder = EmbeddedContext(event_shape, None if isinstance(net, nn.Identity) else net)
    if moments:
        encoder.to(moments[0].device).standardise_(*moments)
    return encoder
