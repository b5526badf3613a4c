"""Families: conditional laws of one coordinate, whose parameters a conditioner supplies."""

from .bernoulli import Bernoulli
from .family import Family, Laws
from .normal import Normal, NormalMixture

__all__ = ["Bernoulli", "Family", "Laws", "Normal", "NormalMixture"]
