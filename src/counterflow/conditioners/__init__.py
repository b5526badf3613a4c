"""Conditioners: networks whose row i reads only the coordinates before i, the dense one of couplings, contexts."""

from .causal_attention import CausalAttention
from .causal_conv import CausalConv
from .conditioner import Conditioner, RepeatedPass, Stepper
from .constant import Constant
from .context_units import ContextUnits
from .embedded_context import EmbeddedContext
from .masked_linear import MaskedLinear
from .masked_mlp import MaskedMLP
from .masked_network import Activated, Added, Dense, Gated, MaskedNetwork, Rescaled, Shifted
from .masks import random_degrees, random_order, sorted_degrees
from .network import MLP
from .programmed import Programmed, is_programmed
from .residual_mlp import ResidualMLP
from .side_by_side import SideBySide

__all__ = [
    "MLP",
    "CausalAttention",
    "CausalConv",
    "Constant",
    "ContextUnits",
    "EmbeddedContext",
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
    "ResidualMLP",
    "SideBySide",
    "Stepper",
    "is_programmed",
    "random_degrees",
    "random_order",
    "sorted_degrees",
]
