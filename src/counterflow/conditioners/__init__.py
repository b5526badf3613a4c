"""Conditioners: networks whose row i reads only the coordinates before i, and the dense network of couplings."""

from .conditioner import Conditioner, RepeatedPass, Stepper
from .masked_linear import MaskedLinear
from .masked_mlp import MaskedMLP
from .masks import random_degrees, random_order, sorted_degrees
from .network import MLP

__all__ = [
    "MLP",
    "Conditioner",
    "MaskedLinear",
    "MaskedMLP",
    "RepeatedPass",
    "Stepper",
    "random_degrees",
    "random_order",
    "sorted_degrees",
]
