"""Univariate maps: increasing bijections of the line, elementwise, with parameters from outside."""

from .affine import Additive, Affine
from .scales import BoundedExp, ClippedExp, Exp, Scale, ShiftedSigmoid, Softplus
from .splines import LinearRational, RationalQuadratic, SoftclippedRationalQuadratic
from .support import HalfLine, Interval, Line, OutsideSupport, support
from .univariate import Composed, Inverted, Univariate

__all__ = [
    "Additive",
    "Affine",
    "BoundedExp",
    "ClippedExp",
    "Composed",
    "Exp",
    "HalfLine",
    "Interval",
    "Inverted",
    "Line",
    "LinearRational",
    "RationalQuadratic",
    "Scale",
    "ShiftedSigmoid",
    "SoftclippedRationalQuadratic",
    "Softplus",
    "Univariate",
    "support",
    "OutsideSupport",
]
