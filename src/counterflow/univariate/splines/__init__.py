"""Monotone rational splines on a box, with the identity as tails."""

from .linear_rational import LinearRational
from .rational_quadratic import RationalQuadratic, SoftclippedRationalQuadratic

__all__ = ["LinearRational", "RationalQuadratic", "SoftclippedRationalQuadratic"]
