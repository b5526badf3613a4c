"""The incremental inverse against what it promises: each unit once, and the answers of D parallel passes."""

import pytest
import torch
from torch import nn

import counterflow as cf
from counterflow import conditioners, univariate
from counterflow.conditioners import RepeatedPass


class Counting(nn.Module):
    """An activation that counts the units it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.units = 0

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        self.units += h.numel()
        return h.tanh()


@pytest.mark.parametrize("context_features", [0, 2])
def test_stepper_evaluates_every_unit_once(context_features: int) -> None:
    counting = Counting()
    net = cf.MaskedMLP(6, 2, (20, 30), context_features, activation=counting)
    counting.units = 0  # the constructor probes the activation
    context = torch.zeros(context_features) if context_features else None
    with torch.no_grad():
        stepper = net.stepper((), context)
        for _ in range(6):
            stepper.params()
            stepper.push(torch.tensor(0.3))
    assert counting.units == 20 + 30


def test_repeated_pass_evaluates_every_unit_d_times() -> None:
    counting = Counting()
    net = cf.MaskedMLP(6, 2, (20, 30), activation=counting)
    counting.units = 0  # the constructor probes the activation
    stepper = RepeatedPass(net, ())
    for _ in range(6):
        stepper.params()
        stepper.push(torch.tensor(0.3))
    assert counting.units == 6 * (20 + 30)


@pytest.mark.parametrize("residual", [False, True])
def test_inverse_agrees_with_d_parallel_passes(residual: bool) -> None:
    """Pass k fixes coordinate k of the order, whatever stands in the others."""
    torch.manual_seed(0)
    order = conditioners.random_order(7)
    net = cf.MaskedMLP(7, 2, (32, 32), 3, residual=residual, order=order).double()
    layer = cf.Autoregressive(net, univariate.Affine())
    x, context = torch.randn(4, 7).double(), torch.randn(4, 3).double()
    u = torch.zeros_like(x)
    for _ in range(7):
        u, log_slope = univariate.Affine().inverse(x, net(u, context))
    found, log_det = layer.inverse(x, context)
    assert torch.allclose(found, u, atol=1e-10)
    assert torch.allclose(log_det, log_slope.sum(-1), atol=1e-10)


def test_sorted_degrees_use_every_degree() -> None:
    for features in (2, 3, 5, 8):
        for lowest in (0, 1):
            degrees = conditioners.sorted_degrees(features, 16, lowest)
            assert set(degrees) == set(range(lowest, features))
            assert list(degrees) == sorted(degrees)


def test_stepper_refuses_active_dropout() -> None:
    net = cf.MaskedMLP(3, 2, (8,), dropout=0.5)
    with pytest.raises(RuntimeError, match="call eval"):
        net.stepper(())
    net.eval().stepper(())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"features": 0}, "features >= 1"),
        ({"hidden": ()}, "at least one hidden layer"),
        ({"hidden": (8, 9), "residual": True}, "equal hidden widths"),
        ({"order": (0, 0, 1)}, "order of the coordinates"),
        ({"degrees": ((1, 1),)}, "expected degrees"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cf.MaskedMLP(**{"features": 3, "num_params": 2, "hidden": (8, 8), **options})  # type: ignore[arg-type]
