"""Ours beside a dense pass of the same weights, and its gradient beside that of the parallel direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from inverse_grid import BINS, LAYERS, Cell
from inverse_timing import Clock, take_turns
from torch import Tensor

import counterflow as cf
from counterflow.bijections import Autoregressive
from counterflow.univariate import Affine, RationalQuadratic, Univariate

SGEMM = 2048  # side of the square product that stands for the machine's rate


def autoregressive_layers(features: int, hidden: int, univariate: Univariate, count: int = LAYERS) -> Any:
    """Layers alone, without the permutations of a model, at random weights."""
    torch.manual_seed(0)
    flow = cf.models.iaf(features, layers=count, hidden=(hidden, hidden), univariate=univariate, permutation=None)
    bijection = flow.bijection.eval()
    return list(bijection.parts) if count > 1 else [bijection]


class DenseConditioner:
    """The conditioner's parallel pass, its weights multiplied by their masks beforehand: addmm, relu in place.

    Args:
        layer: Its weights are used; ReLU, two hidden layers, no context.
    """

    def __init__(self, layer: Autoregressive) -> None:
        conditioner: Any = layer.conditioner
        linears = [conditioner.first, *conditioner.layers, conditioner.out]
        self.weights = [part.masked_weight.detach().clone() for part in linears]  # (out, in)
        self.biases = [part.bias.detach().clone() for part in linears]
        self.useful = 2 * sum(int(torch.count_nonzero(part.mask)) for part in linears)  # flop per row

    def __call__(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, P D), parameter by parameter."""
        h = x
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = torch.addmm(bias, h, weight.t()).relu_()
        return torch.addmm(self.biases[-1], h, self.weights[-1].t())


class DenseAffineLayer:
    """The parallel direction u = (x - mu) / sigma of a whole layer, written out for speed."""

    def __init__(self, layer: Autoregressive) -> None:
        self.conditioner = DenseConditioner(layer)
        self.bound = Affine().scale.bound  # type: ignore[attr-defined]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, a = self.conditioner(x).chunk(2, -1)
        log_slope = a / torch.rsub(a.abs(), -1, alpha=1 / self.bound)  # -a / (1 + |a| / bound)
        return (x - mu) * log_slope.exp(), log_slope.sum(-1)


def chained(steps: Sequence[Callable[[Tensor], tuple[Tensor, Tensor]]], x: Tensor) -> tuple[Tensor, Tensor]:
    """One layer after the other, log-dets added."""
    log_det = x.new_zeros(())
    for step in steps:
        x, step_log_det = step(x)
        log_det = log_det + step_log_det
    return x, log_det


@torch.no_grad()
def inverse(cell: Cell, clock: Clock, budget: float) -> dict[str, Any]:
    """Five inverses one after the other, five dense layers, and the machine's own product at the largest batch."""
    layers = _on(clock, autoregressive_layers(cell.features, cell.hidden, Affine().inverted))
    dense = [DenseAffineLayer(layer) for layer in layers]
    x = torch.randn(cell.batch, cell.features, device=clock.device)
    _check_same(layers, dense, x[:50])
    candidates: dict[str, Callable[[], Any]] = {
        "inverse": lambda: chained([layer.inverse for layer in layers], x),
        "dense": lambda: chained(dense, x),
        "parallel": lambda: chained([layer.forward for layer in layers], x),
    }
    result: dict[str, Any] = {}
    if cell.batch >= 10_000:
        a, b, c = (torch.randn(SGEMM, SGEMM, device=clock.device) for _ in range(3))
        candidates["sgemm"] = lambda: torch.mm(a, b, out=c)
    times = take_turns(candidates, clock, budget, least_rounds=2 if cell.batch >= 10_000 else 3)
    result |= {name: timed.as_dict() for name, timed in times.items()}
    result["ratio"] = times["inverse"].least / times["dense"].least
    result["parallel_ratio"] = times["parallel"].least / times["dense"].least
    useful = cell.batch * sum(layer.conditioner.useful for layer in dense)
    result["useful_gflops"] = useful / times["inverse"].least / 1e9
    if "sgemm" in times:
        result["sgemm_gflops"] = 2 * SGEMM**3 / times["sgemm"].least / 1e9
        result["of_sgemm"] = result["useful_gflops"] / result["sgemm_gflops"]
    return result


@torch.no_grad()
def spline(cell: Cell, clock: Clock, budget: float) -> dict[str, Any]:
    """Rational-quadratic layers: the whole inverse beside the dense pass of the conditioner alone."""
    count = LAYERS if cell.features <= 256 else 1
    layers = _on(clock, autoregressive_layers(cell.features, cell.hidden, RationalQuadratic(bins=BINS), count))
    conditioners = [DenseConditioner(layer) for layer in layers]
    x = torch.randn(cell.batch, cell.features, device=clock.device)
    candidates: dict[str, Callable[[], Any]] = {
        "inverse": lambda: chained([layer.inverse for layer in layers], x),
        "conditioner": lambda: [conditioner(x) for conditioner in conditioners],
        "parallel": lambda: chained([layer.forward for layer in layers], x),
    }
    times = take_turns(candidates, clock, budget, least_rounds=2)
    result: dict[str, Any] = {name: timed.as_dict() for name, timed in times.items()}
    result["layers"] = count
    result["ratio"] = times["inverse"].least / times["conditioner"].least
    return result


def gradient(cell: Cell, clock: Clock, budget: float) -> dict[str, Any]:
    """Forward and backward of a loss of value and log-det, by the inverse and by the parallel direction."""
    layers = _on(clock, autoregressive_layers(cell.features, cell.hidden, Affine().inverted))
    parameters = [p for layer in layers for p in layer.parameters()]
    x = torch.randn(cell.batch, cell.features, device=clock.device, requires_grad=True)
    w, v = torch.randn(cell.batch, cell.features, device=clock.device), torch.randn(cell.batch, device=clock.device)

    def both(steps: Sequence[Callable[[Tensor], tuple[Tensor, Tensor]]]) -> None:
        y, log_det = chained(steps, x)
        torch.autograd.grad((w * y).sum() + (v * log_det).sum(), [x, *parameters])

    candidates: dict[str, Callable[[], Any]] = {
        "inverse": lambda: both([layer.inverse for layer in layers]),
        "parallel": lambda: both([layer.forward for layer in layers]),
    }
    times = take_turns(candidates, clock, budget, least_rounds=2)
    result: dict[str, Any] = {name: timed.as_dict() for name, timed in times.items()}
    result["ratio"] = times["inverse"].least / times["parallel"].least
    return result


def _on(clock: Clock, layers: list[Autoregressive]) -> list[Autoregressive]:
    return [layer.to(clock.device) for layer in layers]


def _check_same(layers: list[Autoregressive], dense: list[DenseAffineLayer], x: Tensor) -> None:
    """The yardstick must be the same function, and the inverse its inverse, or the ratio means nothing."""
    y, log_det = chained([layer.forward for layer in layers], x)
    z, dense_log_det = chained(dense, x)
    back, _ = chained([layer.inverse for layer in reversed(layers)], y)
    torch.testing.assert_close(z, y, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dense_log_det, log_det, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(back, x, rtol=1e-3, atol=1e-3)
