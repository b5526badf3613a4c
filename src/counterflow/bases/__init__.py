"""Bases: where the noise of a flow comes from."""

from .base import Base, FactorisedBase
from .fixed import StandardLogistic, StandardNormal, Uniform
from .learnable import DiagonalNormal, NormalMixtureBase, StudentT

__all__ = [
    "Base",
    "DiagonalNormal",
    "FactorisedBase",
    "NormalMixtureBase",
    "StandardLogistic",
    "StandardNormal",
    "StudentT",
    "Uniform",
]
