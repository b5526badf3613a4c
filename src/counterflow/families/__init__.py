"""Families: conditional laws of one coordinate, whose parameters a conditioner supplies."""

from .bernoulli import Bernoulli
from .categorical import Categorical
from .family import Family, Laws
from .logistic import DiscretisedLogisticMixture, InterpolatedLogisticMixture, Logistic, LogisticMixture
from .normal import Normal, NormalMixture

__all__ = [
    "Family",
    "Laws",
    "Normal",
    "NormalMixture",
    "Logistic",
    "LogisticMixture",
    "InterpolatedLogisticMixture",
    "DiscretisedLogisticMixture",
    "Categorical",
    "Bernoulli",
]
