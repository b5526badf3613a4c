"""Bijections without parameters to train: supports, standardisation."""

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..shapes import Context, LogDensity, RowParams, Scalars, Vector
from ..spec import register
from ..univariate import Affine, Exp, Interval, Univariate, support
from .bijection import Bijection, RowMaps


@register
class Elementwise(Bijection):
    """One univariate map without parameters per coordinate: supports, and other fixed changes of variable.

    Args:
        maps: The D maps; each takes no parameters.

    Raises:
        ValueError: no maps, or one that needs parameters.
    """

    def __init__(self, maps: tuple[Univariate, ...]) -> None:
        super().__init__()
        self.maps = tuple(maps)
        self.features = len(self.maps)
        if not self.maps or any(m.num_params for m in self.maps):
            raise ValueError("expected one or more univariate maps without parameters")
        # Equal maps act on their columns together.
        self._groups = [(m, [i for i, other in enumerate(self.maps) if other == m]) for m in dict.fromkeys(self.maps)]

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """x, log |dx/du|."""
        self.check(u, "u", context)
        return self._apply_groups(u, reverse=False)

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """u, log |du/dx|."""
        self.check(x, "x", context)
        return self._apply_groups(x, reverse=True)

    @property
    def order(self) -> tuple[int, ...]:
        """Any order will do."""
        return ()

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """x, and the map, where all coordinates have the same one."""
        return self.forward(u, context)[0], self._rows(u)

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """u, and the map, where all coordinates have the same one."""
        return self.inverse(x, context)[0], self._rows(x)

    def _rows(self, like: Tensor) -> RowMaps:
        return RowMaps(self.maps[0] if len(self._groups) == 1 else PerRow(self.maps), like.new_empty(*like.shape, 0))

    def _apply_groups(self, v: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
        if len(self._groups) == 1:
            value, log_slope = _apply(self.maps[0], v, reverse)
            return value, log_slope.sum(-1)
        columns: list[Tensor] = [v[..., :0]] * self.features
        log_det = torch.zeros_like(v[..., 0])
        for univariate, indices in self._groups:
            value, log_slope = _apply(univariate, v[..., indices], reverse)
            log_det = log_det + log_slope.sum(-1)
            for i, column in zip(indices, value.unbind(-1), strict=True):
                columns[i] = column
        return torch.stack(columns, -1), log_det


def _apply(univariate: Univariate, v: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    none = v.new_empty(*v.shape, 0)
    return univariate.inverse(v, none) if reverse else univariate.forward(v, none)


@dataclasses.dataclass(frozen=True)
class PerRow(Univariate):
    """A different map without parameters on each entry of the last axis: the rows of an `Elementwise`."""

    maps: tuple[Univariate, ...]

    @property
    def num_params(self) -> int:
        """None."""
        return 0

    def forward(self, u: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """Each map on its own column."""
        return self._each(u, reverse=False)

    def inverse(self, x: Scalars, params: RowParams) -> tuple[Scalars, Scalars]:
        """Each inverse on its own column."""
        return self._each(x, reverse=True)

    def _each(self, v: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
        pairs = [_apply(m, column, reverse) for m, column in zip(self.maps, v.unbind(-1), strict=True)]
        return torch.stack([p[0] for p in pairs], -1), torch.stack([p[1] for p in pairs], -1)


def bounded(low: Sequence[float], high: Sequence[float]) -> Elementwise:
    """Data between user bounds, one pair per coordinate; infinite bounds are none.

    Raises:
        ValueError: lists of different length, or low >= high somewhere.
    """
    return Elementwise(tuple(support(float(a), float(b)) for a, b in zip(low, high, strict=True)))


def positive(features: int) -> Elementwise:
    """Data above zero: x = softplus(u)."""
    return bounded([0.0] * features, [math.inf] * features)


def logit(features: int, margin: float = 1e-6) -> Elementwise:
    """Support of data in [0, 1], where u is the logit of margin + (1 - 2 margin) x."""
    return Elementwise((Interval(0.0, 1.0, margin),) * features)


@register
class Standardise(Bijection):
    """x = loc + scale u with constants: data in their own units outside, of order one inside.

    Args:
        loc: D numbers, usually the means of the training data.
        scale: D positive numbers, usually their standard deviations.

    Raises:
        ValueError: lists of different length, or a scale that is not positive and finite (a constant column).
    """

    _loc: Tensor
    _scale: Tensor

    def __init__(self, loc: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        self.loc, self.scale = tuple(float(v) for v in loc), tuple(float(v) for v in scale)
        if not self.loc or len(self.loc) != len(self.scale):
            raise ValueError(f"expected as many scales as locations, got {len(self.scale)} and {len(self.loc)}")
        for i, (shift, size) in enumerate(zip(self.loc, self.scale, strict=True)):
            if not (size > 0 and math.isfinite(size) and math.isfinite(shift)):
                raise ValueError(f"column {i} cannot be standardised: location {shift}, scale {size}")
        self.features = len(self.loc)
        self.register_buffer("_loc", torch.tensor(self.loc))
        self.register_buffer("_scale", torch.tensor(self.scale))

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """loc + scale u, and sum log scale."""
        self.check(u, "u", context)
        return self._loc + self._scale * u, self._scale.log().sum().expand(u.shape[:-1])

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """The value (x - loc) / scale, and -sum log scale."""
        self.check(x, "x", context)
        return (x - self._loc) / self._scale, -self._scale.log().sum().expand(x.shape[:-1])

    @property
    def order(self) -> tuple[int, ...]:
        """Any order will do."""
        return ()

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """x, and loc + scale u per coordinate."""
        return self.forward(u, context)[0], affine_rows(self._loc, self._scale.log(), u)

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """u, and loc + scale u per coordinate."""
        return self.inverse(x, context)[0], affine_rows(self._loc, self._scale.log(), x)


def affine_rows(loc: Tensor, log_scale: Tensor, like: Tensor) -> RowMaps:
    """The row maps loc + exp(log_scale) u, over the batch of `like`."""
    params = torch.stack([loc, log_scale], -1)  # (D, 2)
    return RowMaps(Affine(Exp()), params.expand(*like.shape, 2))
