"""Diagonal affine maps of other libraries, as constants or with parameters."""

import torch
from torch import Tensor

from ..bijections import DiagonalAffine, Standardise
from .weights import write_parameter


@torch.no_grad()
def constant_affine(loc: Tensor, scale: Tensor) -> Standardise:
    """v -> loc + scale v with constants, (D,) each, to their last digit."""
    ours = Standardise(loc.tolist(), scale.tolist()).to(loc)
    ours._loc.copy_(loc)
    ours._scale.copy_(scale)
    return ours


def learnt_affine(loc: Tensor, log_scale: Tensor) -> DiagonalAffine:
    """v -> loc + exp(log_scale) v, (D,) each, to be trained further."""
    ours = DiagonalAffine(len(loc)).to(loc)
    write_parameter(ours.loc, loc)
    write_parameter(ours.log_scale, log_scale)
    return ours
