"""Conditioners: networks whose row i reads only the coordinates before i, the dense one of couplings, contexts."""

from .causal_attention import CausalAttention
from .causal_conv import CausalConv
from .conditioner import Conditioner, RepeatedPass, Stepper
from .context_units import ContextUnits
from .masked_linear import MaskedLinear
from .masked_mlp import MaskedMLP
from .masked_network import Activated, Added, Dense, Gated, MaskedNetwork, Rescaled, Shifted
from .masks import random_degrees, random_order, sorted_degrees
from .network import MLP
from .programmed import Programmed, is_programmed

__all__ = [
    "MLP",
    "CausalAttention",
    "CausalConv",
    "ContextUnits",
    "Conditioner",
    "MaskedLinear",
    "MaskedMLP",
    "MaskedNetwork",
    "Dense",
    "Activated",
    "Added",
    "Shifted",
    "Gated",
    "Rescaled",
    "Programmed",
    "RepeatedPass",
    "Stepper",
    "is_programmed",
    "random_degrees",
    "random_order",
    "sorted_degrees",
]
