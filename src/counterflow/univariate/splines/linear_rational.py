"""Linear-rational spline: on each bin two pieces, each a ratio of two lines, increasing and once differentiable."""

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from ...shapes import RowParams, Scalars
from ...spec import register
from ..univariate import Univariate
from .knots import Bins, check_spline, edges, gather_bins, in_single_precision, into_bin, locate, slopes, with_tails


class _Pieces(NamedTuple):
    """The two pieces of a bin, in its own coordinates (t from 0 to 1, y from 0 to h), joined at t = lam, y = y_c."""

    lam: Tensor
    w_b: Tensor
    w_c: Tensor
    y_c: Tensor


@register
@dataclasses.dataclass(frozen=True)
class LinearRational(Univariate):
    r"""Monotone linear-rational spline on [-bound, bound], the identity outside.

    With t in [0, 1] in a bin of slope s = h / w, knot slopes d and weights w_a = 1, w_b = sqrt(d_k / d_{k+1}),
    w_c = (lam d_k + (1 - lam) w_b d_{k+1}) / s, and y measured from the bin's lower knot,

    .. math:: y = \frac{w_c y_c t}{(\lambda - t) + w_c t} \; (t \le \lambda), \qquad
              y = \frac{w_c y_c (1 - t) + w_b h (t - \lambda)}{w_c (1 - t) + w_b (t - \lambda)} \; (t > \lambda)

    Its inverse is of the same form, so neither direction needs a square root. Zero parameters give the identity
    (with an edge_slope of 1).

    Args:
        bins: K; a map has 4 K - 1 parameters (K widths, K heights, K - 1 inner slopes, K break points lam).
        bound: Half the side of the box.
        min_bin: Smallest bin, as a fraction of the box.
        min_slope: Smallest slope at a knot.
        min_lambda: lam lies in (min_lambda, 1 - min_lambda).
        edge_slope: Slope at both ends of the box; 1 is that of the tails, anything else a kink there (Pyro has 0.999).

    Source: Dolatabadi et al. (2020), arXiv:2001.05168.
    """

    bins: int = 8
    bound: float = 5.0
    min_bin: float = 1e-3
    min_slope: float = 1e-3
    min_lambda: float = 0.025
    edge_slope: float = 1.0

    def __post_init__(self) -> None:
        check_spline(self.bins, self.bound, self.min_bin, self.min_slope, self.edge_slope)
        if not 0 < self.min_lambda < 0.5:
            raise ValueError(f"expected min_lambda in (0, 0.5), got {self.min_lambda}")

    @property
    def num_params(self) -> int:
        """4 K - 1."""
        return 4 * self.bins - 1

    @in_single_precision
    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The spline, and the log of its slope."""
        point = u.clamp(-self.bound, self.bound)
        x_knots, y_knots, knot_slopes, lambdas = self._knots(params)
        b = gather_bins(locate(point, x_knots), x_knots, y_knots, knot_slopes)
        p = _pieces(b, lambdas)
        t = into_bin((point - b.x) / b.width)
        left = t <= p.lam
        numerator = torch.where(left, p.w_c * p.y_c * t, p.w_c * p.y_c * (1 - t) + p.w_b * b.height * (t - p.lam))
        y = b.y + numerator / _denominator(p, t, left)
        return with_tails(u, self.bound, y, _log_slope(b, p, t, left))

    @in_single_precision
    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The spline solved for t in closed form, and minus the log of the slope there."""
        point = x.clamp(-self.bound, self.bound)
        x_knots, y_knots, knot_slopes, lambdas = self._knots(params)
        b = gather_bins(locate(point, y_knots), x_knots, y_knots, knot_slopes)
        p = _pieces(b, lambdas)
        y = point - b.y
        left = y <= p.y_c
        up, down = p.w_c * (p.y_c - y), p.w_b * (b.height - y)
        # left: t = lam y / (y + w_c (y_c - y));  right: t = (up - lam down) / (up - down), both terms negated
        numerator = torch.where(left, p.lam * y, p.lam * down - up)
        denominator = torch.where(left, y + up, down - up)
        t = into_bin(numerator / denominator)
        u = b.x + t * b.width
        return with_tails(x, self.bound, u, -_log_slope(b, p, t, left))

    def _knots(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        k = self.bins
        widths, heights, inner, raw_lambda = params.split([k, k, k - 1, k], dim=-1)
        return (
            edges(widths, self.bound, self.min_bin),
            edges(heights, self.bound, self.min_bin),
            slopes(inner, self.min_slope, self.edge_slope),
            self.min_lambda + (1 - 2 * self.min_lambda) * torch.sigmoid(raw_lambda),
        )


def _pieces(b: Bins, lambdas: Tensor) -> _Pieces:
    lam = lambdas.expand(*b.which.shape[:-1], lambdas.shape[-1]).gather(-1, b.which).squeeze(-1)
    w_b = (b.slope_left / b.slope_right).sqrt()
    w_c = (lam * b.slope_left + (1 - lam) * w_b * b.slope_right) * b.width / b.height
    y_c = lam * w_b * b.height / ((1 - lam) + lam * w_b)
    return _Pieces(lam, w_b, w_c, y_c)


def _denominator(p: _Pieces, t: Tensor, left: Tensor) -> Tensor:
    return torch.where(left, (p.lam - t) + p.w_c * t, p.w_c * (1 - t) + p.w_b * (t - p.lam))


def _log_slope(b: Bins, p: _Pieces, t: Tensor, left: Tensor) -> Tensor:
    """log dy/dx = log (w_a w_c lam y_c, or w_b w_c (1 - lam) (h - y_c)) - 2 log denominator - log width."""
    numerator = p.w_c * torch.where(left, p.lam * p.y_c, p.w_b * (1 - p.lam) * (b.height - p.y_c))
    return numerator.log() - 2 * _denominator(p, t, left).log() - b.width.log()
