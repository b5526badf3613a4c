"""Finite mixtures of laws with a location and a scale: what all of them share."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Components(NamedTuple):
    """Parameters of K components, (*B, K) each: log weights, locations, raw scales."""

    log_weight: Tensor
    loc: Tensor
    raw_scale: Tensor


def components_of(params: Tensor) -> Components:
    """From the parameters of a row: K logits, then K locations, then K raw scales."""
    logits, loc, raw = params.chunk(3, dim=-1)
    return Components(logits.log_softmax(-1), loc, raw)


def chosen(mixture: Components, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """Location and raw scale of one component each, drawn by its weight, (*B)."""
    count = mixture.log_weight.shape[-1]
    flat = mixture.log_weight.exp().reshape(-1, count)
    k = torch.multinomial(flat, 1, generator=generator).reshape(*mixture.log_weight.shape[:-1], 1)
    return mixture.loc.gather(-1, k).squeeze(-1), mixture.raw_scale.gather(-1, k).squeeze(-1)


def check_components(components: int) -> None:
    """Refuse a mixture of nothing.

    Raises:
        ValueError: fewer than one component.
    """
    if components < 1:
        raise ValueError(f"expected at least one component, got {components}")
