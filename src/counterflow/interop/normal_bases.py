"""Normal bases of other libraries as bases of ours."""

import torch
from torch import Tensor

from ..bases import Base, DiagonalNormal, StandardNormal


def normal_base(loc: Tensor, log_scale: Tensor, *, trainable: bool) -> Base:
    """N(loc, diag(exp(log_scale))^2), (D,) each: the standard one where it is that and stays so."""
    if not trainable and not bool(loc.any()) and not bool(log_scale.any()):
        return StandardNormal(len(loc)).to(loc)
    base = DiagonalNormal(len(loc)).to(loc)
    with torch.no_grad():
        base.loc.copy_(loc)
        base.log_scale.copy_(log_scale)
    return base.requires_grad_(trainable)
