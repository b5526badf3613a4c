"""Masked layers for the tests of the staircase: every way in which rows and columns can lie, and the dense product."""

import torch
import torch.nn.functional as F
from torch import Tensor

from counterflow.conditioners import random_degrees, random_order
from counterflow.conditioners.masked_linear import MaskedLinear
from counterflow.conditioners.masks import input_degrees, sorted_degrees

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
EXACT = {"rtol": 0, "atol": 0}


def ascending(features: int, width: int, lowest: int = 1) -> Tensor:
    return torch.tensor(sorted_degrees(features, width, lowest))


def drawn(features: int, width: int) -> Tensor:
    return torch.tensor(random_degrees(features, width, 1, generator=torch.Generator().manual_seed(width)))


def rows_of(degrees: Tensor, num_params: int) -> Tensor:
    return (degrees - 1).repeat(num_params)


SHUFFLED = input_degrees(random_order(70, generator=torch.Generator().manual_seed(0)))
INPUTS = torch.arange(1, 71)
# Degrees of rows and columns.
LAYERS: dict[str, tuple[Tensor, Tensor]] = {
    "first": (ascending(70, 100), INPUTS),
    "hidden": (ascending(70, 96), ascending(70, 110)),
    "context": (ascending(70, 100, 0), ascending(70, 100, 0)),
    "long rows of parameters": (rows_of(torch.arange(1, 141), 2), ascending(140, 80)),
    "short rows of parameters": (rows_of(INPUTS, 5), ascending(70, 100)),
    "shuffled inputs": (ascending(70, 100), SHUFFLED),
    "shuffled rows": (rows_of(SHUFFLED, 2), ascending(70, 100)),
    "descending": (ascending(70, 100).flip(0), ascending(70, 90).flip(0)),
    "drawn": (drawn(70, 100), drawn(70, 120)),
    "nothing read": (torch.zeros(70, dtype=torch.long), torch.ones(1, dtype=torch.long)),
    "rows that read nothing": (torch.arange(100) // 2, torch.arange(20, 60)),
}


def made(name: str = "hidden") -> MaskedLinear:
    torch.manual_seed(1)
    found = MaskedLinear(*LAYERS[name]).double()
    assert found.stairs is not None
    return found


def dense(layer: MaskedLinear, x: Tensor, *, after_relu: bool = False) -> Tensor:
    return F.linear(torch.relu(x) if after_relu else x, layer.weight * layer.mask, layer.bias)


def rows(layer: MaskedLinear, *batch: int) -> Tensor:
    return torch.randn(*batch, layer.in_features, dtype=layer.weight.dtype)


def was_stepped(y: Tensor) -> bool:
    return "StaircaseLinear" in type(y.grad_fn).__name__
