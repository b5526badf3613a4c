"""Renumbering hidden units leaves a network's function as it is."""

import pytest
import torch
from torch import nn

from counterflow.conditioners import MaskedMLP, MaskedNetwork
from counterflow.conditioners.masked_network import Activated, Added, Dense, Gated, Rescaled, Shifted
from counterflow.interop.sorting import sorted_by_degree

D, M = 4, 3
ORDER = (2, 0, 3, 1)
FIRST, SECOND = (2, 0, 3, 1, 1, 2, 0), (3, 1, 0, 2, 3)


def mlp(**options: object) -> MaskedMLP:
    return MaskedMLP(D, 2, (7, 5), M, order=ORDER, degrees=(FIRST, SECOND), activation=nn.Tanh(), **options)  # type: ignore[arg-type]


def residual(**options: object) -> MaskedMLP:
    return MaskedMLP(D, 2, (7, 7, 7), M, residual=True, degrees=(FIRST,) * 3, **options)  # type: ignore[arg-type]


def wired() -> MaskedNetwork:
    wires = (
        *(Dense(1, 0), Shifted(1, nn.Tanh()), Activated(2, 1, nn.ELU()), Dense(3, 2), Rescaled(3)),
        *(Gated(3, nn.Sigmoid()), Added(3, 1), Activated(4, 3, nn.Tanh()), Dense(5, 4), Dense(6, 5), Dense(6, 0)),
    )
    return MaskedNetwork(D, 2, (FIRST, FIRST, FIRST, FIRST, SECOND), wires, M, order=ORDER)


NETS = {"plain": mlp, "residual": residual, "gated": lambda: residual(gated=True), "wired": wired}


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_a_sorted_network_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    net = NETS[name]().double()  # type: ignore[operator]
    for parameter in net.parameters():
        parameter.copy_(torch.randn_like(parameter))
    found = sorted_by_degree(net)
    assert type(found) is type(net)
    assert found.degrees == tuple(tuple(sorted(own)) for own in net.degrees)
    assert found.order == net.order
    assert next(found.parameters()).dtype == torch.float64
    x, c = torch.randn(50, D).double(), torch.randn(50, M).double()
    assert torch.allclose(found(x, c), net(x, c), rtol=1e-12, atol=1e-12)


def test_a_network_that_is_sorted_is_left_alone() -> None:
    net = MaskedMLP(D, 2, (7, 5))
    assert sorted_by_degree(net) is net
