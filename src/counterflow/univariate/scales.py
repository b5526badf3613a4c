"""Positive scales of an affine map: the forms that trained models in the wild use, each sigma(a) with its logarithm."""

import dataclasses
import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F

from ..shapes import Scalars
from ..spec import register


class Scale(ABC):
    """A positive function of an unconstrained parameter a, given by its logarithm."""

    @abstractmethod
    def log_scale(self, a: Scalars) -> Scalars:
        """log sigma(a)."""

    def __call__(self, a: Scalars) -> tuple[Scalars, Scalars]:
        """sigma(a), and log sigma(a)."""
        log_scale = self.log_scale(a)
        return log_scale.exp(), log_scale


@register
@dataclasses.dataclass(frozen=True)
class BoundedExp(Scale):
    """sigma = exp(a / (1 + |a| / bound)), so that |log sigma| < bound whatever the network says.

    a = 0 gives sigma = 1 with slope 1. The default bound, log 1000, lets one layer stretch a thousandfold.

    Source: the scale of zuko's MonotonicAffineTransform (slope = exp(-bound)).
    """

    bound: float = math.log(1000.0)

    def __post_init__(self) -> None:
        if not self.bound > 0:
            raise ValueError(f"expected a positive bound on log sigma, got {self.bound}")

    def log_scale(self, a: Scalars) -> Scalars:
        """a / (1 + |a| / bound)."""
        return a / torch.rsub(a.abs(), 1, alpha=-1 / self.bound)  # rsub: 1 + |a| / bound in one operation


@register
@dataclasses.dataclass(frozen=True)
class Exp(Scale):
    """sigma = exp(a), unbounded: for parameters that are not a network's output."""

    def log_scale(self, a: Scalars) -> Scalars:
        """a itself."""
        return a


@register
@dataclasses.dataclass(frozen=True)
class Softplus(Scale):
    """sigma = softplus(a + shift) + minimum.

    Source: with shift 0 and minimum 1e-3, nflows' MaskedAffineAutoregressiveTransform.
    """

    minimum: float = 1e-3
    shift: float = 0.0

    def __post_init__(self) -> None:
        _check_minimum(self.minimum)

    def log_scale(self, a: Scalars) -> Scalars:
        """log(softplus(a + shift) + minimum)."""
        return torch.log(F.softplus(a + self.shift) + self.minimum)


@register
@dataclasses.dataclass(frozen=True)
class ShiftedSigmoid(Scale):
    """sigma = sigmoid(a + shift) + minimum: at most 1 + minimum, near it at a = 0.

    Source: nflows' affine coupling transform, and the gate of the IAF paper (Kingma et al. 2016, arXiv:1606.04934).
    """

    shift: float = 2.0
    minimum: float = 1e-3

    def __post_init__(self) -> None:
        _check_minimum(self.minimum)

    def log_scale(self, a: Scalars) -> Scalars:
        """log(sigmoid(a + shift) + minimum)."""
        return torch.log(torch.sigmoid(a + self.shift) + self.minimum)


@register
@dataclasses.dataclass(frozen=True)
class ClippedExp(Scale):
    """sigma = exp(clip(a, low, high)), with gradient 0 outside the interval.

    Source: Pyro's AffineAutoregressive (low -5, high 3).
    """

    low: float = -5.0
    high: float = 3.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"expected low < high, got {self.low} and {self.high}")

    def log_scale(self, a: Scalars) -> Scalars:
        """clip(a, low, high)."""
        return a.clamp(self.low, self.high)


def _check_minimum(minimum: float) -> None:
    if not minimum >= 0:
        raise ValueError(f"expected a minimum of sigma of 0 or more, got {minimum}")
