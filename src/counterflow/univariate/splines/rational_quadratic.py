"""Rational-quadratic spline: on each bin a ratio of two quadratics, increasing and once differentiable."""

import dataclasses
import math
from abc import abstractmethod

import torch.nn.functional as F
from torch import Tensor

from ...shapes import RowParams, Scalars
from ...spec import register
from ..univariate import Univariate
from .knots import (
    Bins,
    check_box,
    check_spline,
    edges,
    gather_bins,
    in_single_precision,
    into_bin,
    locate,
    slopes,
    with_tails,
)

Knots = tuple[Tensor, Tensor, Tensor]  # of both axes, and the slopes there, each (*B, K + 1)


class _Quadratic(Univariate):
    """What the splines of this file share: all but how parameters become knots."""

    bins: int
    bound: float
    min_slope: float

    @property
    def num_params(self) -> int:
        """3 K - 1."""
        return 3 * self.bins - 1

    @in_single_precision
    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The spline, and the log of its slope."""
        return _forward(u, self._knots(params), self.bound)

    @in_single_precision
    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The root in the bin that holds x, and minus the log of the slope there."""
        return _inverse(x, self._knots(params), self.bound, self.min_slope)

    @abstractmethod
    def _knots(self, params: Tensor) -> Knots:
        """Knots of both axes and the slopes there, of (*B, 3 K - 1)."""


@register
@dataclasses.dataclass(frozen=True)
class RationalQuadratic(_Quadratic):
    r"""Monotone rational-quadratic spline on [-bound, bound], the identity outside.

    With t = (x - x_k) / w_k in bin k, s = h_k / w_k and knot slopes d,

    .. math:: y = y_k + h_k \frac{s t^2 + d_k t (1-t)}{s + (d_{k+1} + d_k - 2 s) t (1-t)}

    Zero parameters give the identity (with an edge_slope of 1). Values and gradients are finite everywhere, on knots
    and far outside too.

    Args:
        bins: K; a map has 3 K - 1 parameters (K widths, K heights, K - 1 inner slopes).
        bound: Half the side of the box.
        min_bin: Smallest bin, as a fraction of the box.
        min_slope: Smallest slope at a knot.
        edge_slope: Slope at both ends of the box; 1 is that of the tails, anything else a kink there (Pyro has 0.999).

    Source: Durkan et al. (2019), arXiv:1906.04032; the inverse takes the stable root 2c / (-b - sqrt(b^2 - 4ac)).
    """

    bins: int = 8
    bound: float = 5.0
    min_bin: float = 1e-3
    min_slope: float = 1e-3
    edge_slope: float = 1.0

    def __post_init__(self) -> None:
        check_spline(self.bins, self.bound, self.min_bin, self.min_slope, self.edge_slope)

    def _knots(self, params: Tensor) -> Knots:
        widths, heights, inner = params.split([self.bins, self.bins, self.bins - 1], dim=-1)
        return (
            edges(widths, self.bound, self.min_bin),
            edges(heights, self.bound, self.min_bin),
            slopes(inner, self.min_slope, self.edge_slope),
        )


@register
@dataclasses.dataclass(frozen=True)
class SoftclippedRationalQuadratic(_Quadratic):
    r"""The spline of `RationalQuadratic` with bins and slopes from soft-clipped parameters.

    With L = -log min_slope, sizes are in proportion to exp(a / (1 + 2 |a| / L)), slopes are exp(a / (1 + |a| / L)): no
    bin is smaller than min_slope of another, and slopes lie between min_slope and its reciprocal.

    Args:
        bins: K; a map has 3 K - 1 parameters (K widths, K heights, K - 1 inner slopes).
        bound: Half the side of the box.
        min_slope: Bound on slopes, and on the ratios of bins.

    Source: zuko's MonotonicRQSTransform.
    """

    bins: int = 8
    bound: float = 5.0
    min_slope: float = 1e-3

    def __post_init__(self) -> None:
        check_box(self.bins, self.bound, self.min_slope)

    def _knots(self, params: Tensor) -> Knots:
        limit = -math.log(self.min_slope)
        sizes, inner = params.split([2 * self.bins, self.bins - 1], dim=-1)
        widths, heights = softclip(sizes, limit / 2).split(self.bins, dim=-1)
        at_knots = softclip(inner, limit).exp()
        return edges(widths, self.bound, 0.0), edges(heights, self.bound, 0.0), F.pad(at_knots, (1, 1), value=1.0)


def softclip(a: Tensor, limit: float) -> Tensor:
    """a / (1 + |a| / limit), between -limit and limit."""
    return a / (1 + a.abs() / limit)


def _forward(u: Tensor, knots: Knots, bound: float) -> tuple[Tensor, Tensor]:
    point = u.clamp(-bound, bound)
    b = gather_bins(locate(point, knots[0]), *knots)
    s = b.height / b.width
    t = (point - b.x) / b.width
    denominator = s + (b.slope_right + b.slope_left - 2 * s) * t * (1 - t)
    y = b.y + b.height * (s * t * t + b.slope_left * t * (1 - t)) / denominator
    return with_tails(u, bound, y, _log_slope(b, s, t, denominator))


def _inverse(x: Tensor, knots: Knots, bound: float, min_slope: float) -> tuple[Tensor, Tensor]:
    point = x.clamp(-bound, bound)
    bin_ = gather_bins(locate(point, knots[1]), *knots)
    s = bin_.height / bin_.width
    rise = point - bin_.y
    bend = bin_.slope_right + bin_.slope_left - 2 * s
    a = bin_.height * (s - bin_.slope_left) + rise * bend
    b = bin_.height * bin_.slope_left - rise * bend
    c = -s * rise
    # b^2 - 4ac is (slope x denominator x height)^2 > 0; rounding may still push a tiny one below zero.
    tiny = (bin_.height * bin_.height * min_slope * min_slope * 1e-6).detach()
    root = (b * b - 4 * a * c).clamp_min(tiny).sqrt()
    t = into_bin(-2 * c / (b + root))
    denominator = s + bend * t * (1 - t)
    u = bin_.x + t * bin_.width
    return with_tails(x, bound, u, -_log_slope(bin_, s, t, denominator))


def _log_slope(b: Bins, s: Tensor, t: Tensor, denominator: Tensor) -> Tensor:
    r"""log dy/dx = log s^2 (d_{k+1} t^2 + 2 s t (1-t) + d_k (1-t)^2) - 2 log denominator."""
    numerator = s * s * (b.slope_right * t * t + 2 * s * t * (1 - t) + b.slope_left * (1 - t) * (1 - t))
    return numerator.log() - 2 * denominator.log()
