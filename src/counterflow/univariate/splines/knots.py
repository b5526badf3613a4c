"""Knots of a monotone spline on [-bound, bound]: from free parameters to bins, and from points to their bin.

Everything here is finite, in value and in gradient, for every finite input: a spline is evaluated at the point clamped
to its box, and `with_tails` then selects the identity outside. Selecting between two finite branches keeps gradients
finite; selecting between a finite and an infinite one would not.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

S = TypeVar("S")

Map = Callable[[S, Tensor, Tensor], tuple[Tensor, Tensor]]


def in_single_precision(spline: Map[S]) -> Map[S]:
    """Evaluate a spline of 16-bit numbers in float32: sums of bin widths need more digits than they have."""

    @functools.wraps(spline)
    def widened(self: S, point: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        if point.dtype not in (torch.float16, torch.bfloat16):
            return spline(self, point, params)
        value, log_slope = spline(self, point.float(), params.float())
        return value.to(point.dtype), log_slope.to(point.dtype)

    return widened


class Bins(NamedTuple):
    """One bin per point: its left knot, its size, and the slopes at its two knots."""

    which: Tensor
    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    slope_left: Tensor
    slope_right: Tensor


def check_spline(bins: int, bound: float, min_bin: float, min_slope: float, edge_slope: float) -> None:
    """Refuse a spline that cannot exist.

    Raises:
        ValueError: fewer than one bin, a box without size, bins that do not fit, or slopes other than
            0 < min_slope < edge_slope.
    """
    check_box(bins, bound, min_slope, edge_slope)
    if not 0 < min_bin * bins < 1:
        raise ValueError(f"{bins} bins of at least {min_bin} do not fit into a box of relative size 1")


def check_box(bins: int, bound: float, min_slope: float, edge_slope: float = 1.0) -> None:
    """Refuse a box, or slopes, that cannot exist.

    Raises:
        ValueError: fewer than one bin, a box without size, or slopes other than 0 < min_slope < edge_slope.
    """
    if bins < 1:
        raise ValueError(f"expected at least one bin, got {bins}")
    if not bound > 0 or not math.isfinite(bound):
        raise ValueError(f"expected a positive finite bound, got {bound}")
    if not 0 < min_slope < edge_slope or not math.isfinite(edge_slope):
        raise ValueError(f"expected a smallest slope in (0, {edge_slope:g}), got {min_slope}")


def edges(raw: Tensor, bound: float, min_bin: float) -> Tensor:
    """Knots from free parameters: (*B, K) -> (*B, K + 1), increasing from -bound to bound.

    A softmax gives the relative sizes; each is at least min_bin of the box, so knots never meet.
    """
    bins = raw.shape[-1]
    sizes = min_bin + (1 - min_bin * bins) * raw.softmax(-1)
    inner = 2 * bound * sizes[..., :-1].cumsum(-1) - bound
    return F.pad(F.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)  # the ends are exact: no rounding of a sum


def slopes(raw: Tensor, min_slope: float, edge_slope: float = 1.0) -> Tensor:
    """Slopes at the knots, (*B, K - 1) -> (*B, K + 1): positive, edge_slope at both ends and at raw = 0."""
    inner = min_slope + F.softplus(raw + slope_shift(min_slope, edge_slope))
    return F.pad(inner, (1, 1), value=edge_slope)


def slope_shift(min_slope: float, edge_slope: float) -> float:
    """What is added to a free parameter, so that 0 means a slope of edge_slope: log(exp(edge - min) - 1)."""
    return math.log(math.expm1(edge_slope - min_slope))


def locate(point: Tensor, knots: Tensor) -> Tensor:
    """The bin of each point, (*B) in (*B, K + 1) -> (*B, 1); a point on a knot belongs to the bin at its right."""
    return (point.detach()[..., None] >= knots.detach()[..., 1:-1]).sum(-1, keepdim=True)


def gather_bins(index: Tensor, x_knots: Tensor, y_knots: Tensor, knot_slopes: Tensor) -> Bins:
    """The values of each point's bin."""
    right = index + 1

    def at(values: Tensor, where: Tensor) -> Tensor:
        return values.expand(*where.shape[:-1], values.shape[-1]).gather(-1, where).squeeze(-1)

    x, y = at(x_knots, index), at(y_knots, index)
    width, height = at(x_knots, right) - x, at(y_knots, right) - y
    return Bins(index, x, y, width, height, at(knot_slopes, index), at(knot_slopes, right))


def into_bin(t: Tensor) -> Tensor:
    """The position in a bin, which rounding may have pushed past 0 or 1, back in it; the gradient is that of t."""
    return t + (t.clamp(0, 1) - t).detach()


def with_tails(point: Tensor, bound: float, value: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
    """The spline inside the box, the identity outside it (and for NaN, which stays NaN)."""
    inside = point.abs() <= bound
    return torch.where(inside, value, point), torch.where(inside, log_slope, torch.zeros_like(log_slope))
