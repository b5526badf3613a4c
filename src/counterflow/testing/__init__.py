"""The laws, shipped for users: hold a univariate map, conditioner, bijection or density of your own to its contract."""

from .cases import Case, Law, LawBroken, Traits, perturb_
from .check import (
    KINDS,
    broken_laws,
    check_bijection,
    check_conditioner,
    check_density,
    check_univariate,
    enforce,
    laws,
)
from .quadrature import Atoms, Continuous, Support

__all__ = [
    "check_univariate",
    "check_conditioner",
    "check_bijection",
    "check_density",
    "LawBroken",
    "Traits",
    "Continuous",
    "Atoms",
    "Support",
    "laws",
    "enforce",
    "broken_laws",
    "perturb_",
    "KINDS",
    "Law",
    "Case",
]
