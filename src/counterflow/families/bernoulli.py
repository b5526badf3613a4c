"""Bernoulli laws: binary coordinates."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Generator

from ..shapes import RowParams, Scalars, first_violation
from ..spec import register
from .family import Family


@register
@dataclasses.dataclass(frozen=True)
class Bernoulli(Family):
    """P(x = 1) = sigmoid(a); x is 0 or 1 in floating point, and log_prob is the log of a probability.

    Source: the binary MADE, Germain et al. (2015), arXiv:1502.03509.
    """

    @property
    def num_params(self) -> int:
        """One: the logit a."""
        return 1

    def log_prob(self, x: Scalars, params: RowParams) -> Scalars:
        """x log sigmoid(a) + (1 - x) log sigmoid(-a).

        Raises:
            ValueError: a value that is neither 0 nor 1.
        """
        wrong = first_violation(x, (x == 0) | (x == 1))
        if wrong is not None:
            raise ValueError(f"Bernoulli conditionals score binary data: found {wrong}, neither 0 nor 1")
        a = params[..., 0]
        return x * F.logsigmoid(a) + (1 - x) * F.logsigmoid(-a)

    def sample(self, params: RowParams, *, generator: Generator | None = None) -> Scalars:
        """1 with probability sigmoid(a)."""
        p = torch.sigmoid(params[..., 0])
        return (torch.rand(p.shape, dtype=p.dtype, device=p.device, generator=generator) < p).to(p.dtype)

    def entropy(self, params: RowParams) -> Scalars:
        """-p log p - (1 - p) log (1 - p)."""
        a = params[..., 0]
        p = torch.sigmoid(a)
        return -(p * F.logsigmoid(a) + (1 - p) * F.logsigmoid(-a))
