"""Conditioners: networks whose row i reads only the coordinates before i, the dense one of couplings, contexts."""

from .causal_attention import CausalAttention
from .causal_conv import CausalConv
from .conditioner import Conditioner, RepeatedPass, Stepper
from .context_units import ContextUnits
from .masked_linear import MaskedLinear
from .masked_mlp import MaskedMLP
from .masks import random_degrees, random_order, sorted_degrees
from .network import MLP

__all__ = [
    "MLP",
    "CausalAttention",
    "CausalConv",
    "ContextUnits",
    "Conditioner",
    "MaskedLinear",
    "MaskedMLP",
    "RepeatedPass",
    "Stepper",
    "random_degrees",
    "random_order",
    "sorted_degrees",
]
