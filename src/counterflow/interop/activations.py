"""Activations of foreign networks: functions and modules of torch, as modules of torch that a checkpoint can name."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..conditioners.network import elementwise
from .unsupported import Unsupported, named

# Functions are compared by identity; torch has several of the same name.
_MODULES: tuple[tuple[Any, type[nn.Module]], ...] = (
    (F.relu, nn.ReLU),
    (torch.relu, nn.ReLU),
    (torch.tanh, nn.Tanh),
    (F.tanh, nn.Tanh),
    (torch.sigmoid, nn.Sigmoid),
    (F.sigmoid, nn.Sigmoid),
    (F.elu, nn.ELU),
    (F.selu, nn.SELU),
    (F.celu, nn.CELU),
    (F.leaky_relu, nn.LeakyReLU),
    (F.silu, nn.SiLU),
    (F.gelu, nn.GELU),
    (F.softplus, nn.Softplus),
    (F.mish, nn.Mish),
    (F.hardtanh, nn.Hardtanh),
    (F.relu6, nn.ReLU6),
    (F.softsign, nn.Softsign),
    (F.logsigmoid, nn.LogSigmoid),
)


def activation(function: Any, place: str) -> nn.Module:
    """The activation as a module of ours to keep.

    Raises:
        Unsupported: not one of torch's, or one with parameters of its own.
    """
    for known, module in _MODULES:
        if function is known:
            return module()
    if isinstance(function, nn.Module):
        own = type(function).__module__ == nn.modules.activation.__name__
        if not own or list(function.parameters()):
            raise Unsupported(place, f"the activation {named(function)} is not one of torch without weights")
        kept: Any = copy.deepcopy(function)
        if hasattr(kept, "inplace"):
            kept.inplace = False
        try:
            return elementwise(kept)
        except ValueError as error:
            raise Unsupported(place, str(error)) from None
    name = getattr(function, "__qualname__", None) or repr(function)
    raise Unsupported(place, f"the activation {name} is not one of torch: its module, for example torch.nn.Tanh(), is")
