"""Bijections: invertible, differentiable maps of vectors, each with its log-det."""

from .autoregressive import Autoregressive
from .bijection import Bijection, Chain, Inverse, RowMaps
from .coupling import Coupling
from .data_space import Elementwise, Standardise, bounded, logit, positive
from .linear import ActNorm, DiagonalAffine, LULinear, Permutation, Rescale
from .reflection import Reflection

__all__ = [
    "ActNorm",
    "Autoregressive",
    "Bijection",
    "Chain",
    "Coupling",
    "DiagonalAffine",
    "Elementwise",
    "Inverse",
    "LULinear",
    "Permutation",
    "Reflection",
    "Rescale",
    "RowMaps",
    "Standardise",
    "bounded",
    "logit",
    "positive",
]
