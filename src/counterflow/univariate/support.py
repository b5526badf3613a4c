"""Maps of the line onto an interval or half-line: the supports that data live on. They have no parameters."""

import dataclasses
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..shapes import RowParams, Scalars, first_violation
from ..spec import register
from .univariate import Univariate


@register
@dataclasses.dataclass(frozen=True)
class Interval(Univariate):
    r"""x = low + (high - low) (sigmoid(u) - margin) / (1 - 2 margin); its inverse is a logit.

    A margin > 0 keeps data that lie on the ends of the interval at finite u; samples may then
    overshoot the interval by a fraction margin of its length, which is its price.

    Args:
        low: Lower end.
        high: Upper end.
        margin: The logit is taken of margin + (1 - 2 margin) p, p the position in the interval.
        least: The smallest share that the logit is taken of, or of 1 minus it: nearer data, and draws that rounding has
            put on an end of the image, count as being so far from it. 0 refuses what is on an end.

    Source: the logit preprocessing of Dinh et al. (2017), arXiv:1605.08803, and Papamakarios et al. (2017).
    """

    low: float = 0.0
    high: float = 1.0
    margin: float = 0.0
    least: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"expected finite low < high, got {self.low} and {self.high}")
        if not 0 <= self.margin < 0.5:
            raise ValueError(f"expected a margin in [0, 0.5), got {self.margin}")
        if not 0 <= self.least < 0.5:
            raise ValueError(f"expected a least share in [0, 0.5), got {self.least}")

    @property
    def num_params(self) -> int:
        """None."""
        return 0

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """Onto the interval, and the log of the slope."""
        x = self.low + self._stretch * (torch.sigmoid(u) - self.margin)
        return _kept_inside(x, *self._image), self._log_slope(u)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """Onto the line.

        Raises:
            OutsideSupport: x outside the image of the line: the open interval, longer by the margin at both ends; with
                `least`, the closed one, its ends rounded as x is.
        """
        low, high = (torch.tensor(end, dtype=x.dtype, device=x.device) for end in self._image)
        inside = (x >= low) & (x <= high) if self.least else (x > low) & (x < high)
        _refuse(first_violation(x, inside), "({}, {})", *self._image)
        p = (x - self.low) / self._stretch + self.margin
        # 1 - p in the data's own terms: near the upper end 1 - p would lose every digit of a small distance to it.
        q = (self.high - x) / self._stretch + self.margin
        # Close to an end rounding may leave nothing of them, or less.
        least = max(self.least, torch.finfo(x.dtype).tiny)
        u = _at_least(p, least).log() - _at_least(q, least).log()
        return u, -self._log_slope(u)

    @property
    def _image(self) -> tuple[float, float]:
        overshoot = self.margin * self._stretch
        return self.low - overshoot, self.high + overshoot

    @property
    def _stretch(self) -> float:
        return (self.high - self.low) / (1 - 2 * self.margin)

    def _log_slope(self, u: Tensor) -> Tensor:
        return F.logsigmoid(u) + F.logsigmoid(-u) + math.log(self._stretch)


@register
@dataclasses.dataclass(frozen=True)
class HalfLine(Univariate):
    """x = bound + softplus(u), or bound - softplus(-u): values above (or below) a bound, nearly linear far from it.

    Args:
        bound: The end that x never reaches.
        above: Whether x lies above the bound or below it.
        least: The smallest distance to the bound: nearer data, and draws that rounding has put on the bound, count as
            being so far from it. 0 refuses them.

    Raises:
        ValueError: a bound that is not finite, or a negative least distance.
    """

    bound: float = 0.0
    above: bool = True
    least: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bound) and 0 <= self.least < math.inf):
            raise ValueError(f"expected a finite bound and a least distance of at least 0, got {self}")

    @property
    def num_params(self) -> int:
        """None."""
        return 0

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """Onto the half-line, and log sigmoid(u) (of -u below a bound)."""
        sign = 1.0 if self.above else -1.0
        distance = F.softplus(sign * u)
        if self.least:
            distance = _at_least(distance, self.least)
        x = self.bound + sign * distance
        ends = (self.bound, math.inf) if self.above else (-math.inf, self.bound)
        return _kept_inside(x, *ends), F.logsigmoid(sign * u)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """Onto the line.

        Raises:
            OutsideSupport: x on the bound or beyond it.
        """
        sign = 1.0 if self.above else -1.0
        distance = sign * (x - self.bound)
        inside = distance > -self.least
        _refuse(first_violation(x, inside), "({}, inf)" if self.above else "(-inf, {})", self.bound)
        if self.least:
            distance = _at_least(distance, self.least)
        u = distance + torch.log(-torch.expm1(-distance))  # the stable log(exp(distance) - 1)
        return sign * u, -F.logsigmoid(u)


@register
@dataclasses.dataclass(frozen=True)
class Line(Univariate):
    """x = u: an unbounded coordinate among bounded ones."""

    @property
    def num_params(self) -> int:
        """None."""
        return 0

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The value u itself, and 0."""
        return u, torch.zeros_like(u)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """The value x itself, and 0."""
        return x, torch.zeros_like(x)


def _kept_inside(x: Tensor, low: float, high: float) -> Tensor:
    """x, which rounding may have put on an end of its open support, moved inside; the gradient stays that of x."""
    ends = [torch.tensor(end, dtype=x.dtype, device=x.device) for end in (low, high)]
    inside = x.clamp(torch.nextafter(ends[0], ends[1]), torch.nextafter(ends[1], ends[0]))
    return x + (inside - x).detach()


def _at_least(v: Tensor, least: float) -> Tensor:
    """The larger of the two; the gradient stays that of v."""
    return v + (v.clamp(min=least) - v).detach()


class OutsideSupport(ValueError):
    """A row where a map of bounded range has no inverse: the density there is zero."""


def _refuse(wrong: float | None, interval: str, *ends: float) -> None:
    if wrong is not None:
        raise OutsideSupport(f"found x = {wrong} outside its support {interval.format(*ends)}")


def support(low: float, high: float, **margin: Any) -> Univariate:
    """The map of the line onto (low, high), either end of which may be infinite.

    Raises:
        ValueError: low >= high, or NaN.
    """
    if not low < high:
        raise ValueError(f"expected low < high, got {low} and {high}")
    if math.isinf(low) and math.isinf(high):
        return Line()
    if math.isinf(high):
        return HalfLine(low, above=True)
    if math.isinf(low):
        return HalfLine(high, above=False)
    return Interval(low, high, **margin)
