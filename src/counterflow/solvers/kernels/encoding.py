"""Univariate maps and activations as rows of numbers for the CPU kernels; None for those that no kernel knows."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from ...univariate import (
    Additive,
    Affine,
    BoundedExp,
    ClippedExp,
    Composed,
    Exp,
    Inverted,
    LinearRational,
    RationalQuadratic,
    Scale,
    ShiftedSigmoid,
    SoftclippedRationalQuadratic,
    Softplus,
    Univariate,
)
from ...univariate.splines.knots import slope_shift
from . import codes


class EncodedMaps(NamedTuple):
    """A composed map: one row per part, the first one first, and the numbers they refer to."""

    maps: np.ndarray
    numbers: np.ndarray


class _Part(NamedTuple):
    kind: int
    num_params: int
    bins: int = 0
    numbers: tuple[float, ...] = ()
    inverted: bool = False
    first: int = 0


def encode_maps(univariate: Univariate) -> EncodedMaps | None:
    """The tables `maps` and `numbers`, or None."""
    parts = _parts(univariate, 0)
    if parts is None:
        return None
    rows, numbers = [], [0.0]
    for part in parts:
        rows.append((part.kind, int(part.inverted), part.first, part.bins, len(numbers)))
        numbers.extend(part.numbers)
    numbers.extend((0.0, 0.0))  # kernels read two numbers of any affine map
    return EncodedMaps(np.array(rows, np.int64).reshape(-1, codes.MAP_FIELDS), np.array(numbers))


def _parts(univariate: Univariate, first: int) -> list[_Part] | None:
    """In the order in which forward applies them. Exact types only: a subclass may mean something else."""
    if type(univariate) is Inverted:
        inner = _parts(univariate.univariate, first)
        return None if inner is None else [part._replace(inverted=not part.inverted) for part in reversed(inner)]
    if type(univariate) is Composed:
        parts: list[_Part] = []
        for member in univariate.parts:
            own = _parts(member, first)
            if own is None:
                return None
            parts.extend(own)
            first += member.num_params
        return parts
    part = _part(univariate)
    return None if part is None else [part._replace(first=first)]


def _part(univariate: Univariate) -> _Part | None:
    if type(univariate) is Additive:
        return _Part(codes.ADDITIVE, 1)
    if type(univariate) is Affine:
        return _affine(univariate.scale)
    if type(univariate) is RationalQuadratic:
        return _Part(codes.QUADRATIC, univariate.num_params, univariate.bins, _spline_numbers(univariate, 0.0))
    if type(univariate) is SoftclippedRationalQuadratic:
        softclipped = (univariate.bound, 0.0, univariate.min_slope, -math.log(univariate.min_slope), 0.0)
        return _Part(codes.QUADRATIC, univariate.num_params, univariate.bins, softclipped)
    if type(univariate) is LinearRational:
        numbers = _spline_numbers(univariate, univariate.min_lambda)
        return _Part(codes.LINEAR_RATIONAL, univariate.num_params, univariate.bins, numbers)
    return None


def _affine(scale: Scale) -> _Part | None:
    if type(scale) is Exp:
        return _Part(codes.AFFINE_EXP, 2)
    if type(scale) is BoundedExp:
        return _Part(codes.AFFINE_BOUNDED, 2, numbers=(scale.bound,))
    if type(scale) is Softplus:
        return _Part(codes.AFFINE_SOFTPLUS, 2, numbers=(scale.minimum, scale.shift))
    if type(scale) is ShiftedSigmoid:
        return _Part(codes.AFFINE_SIGMOID, 2, numbers=(scale.minimum, scale.shift))
    if type(scale) is ClippedExp:
        return _Part(codes.AFFINE_CLIPPED, 2, numbers=(scale.low, scale.high))
    return None


def _spline_numbers(spline: RationalQuadratic | LinearRational, min_lambda: float) -> tuple[float, ...]:
    edge = slope_shift(spline.min_slope, spline.edge_slope)
    return spline.bound, spline.min_bin, spline.min_slope, min_lambda, edge


_PLAIN: dict[type, int] = {
    nn.Identity: codes.IDENTITY,
    nn.ReLU: codes.RELU,
    nn.Tanh: codes.TANH,
    nn.Sigmoid: codes.SIGMOID,
    nn.SiLU: codes.SILU,
}


def encode_activation(function: Callable[[Tensor], Tensor]) -> tuple[int, float] | None:
    """The code of an activation and its one number, or None."""
    if type(function) in _PLAIN:
        return _PLAIN[type(function)], 0.0
    if type(function) is nn.LeakyReLU:
        return codes.LEAKY_RELU, function.negative_slope
    if type(function) is nn.ELU:
        return codes.ELU, function.alpha
    if type(function) is nn.Softplus and function.beta == 1:
        return codes.SOFTPLUS, function.threshold
    return None
