"""What the laws of the kernels run over: networks, univariate maps and inputs; and the D-pass loop as the truth."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from counterflow import conditioners, univariate
from counterflow.conditioners import MaskedLinear, MaskedMLP, RepeatedPass
from counterflow.solvers import Blocked, Stepwise, evaluate

U = univariate


@dataclasses.dataclass(frozen=True)
class Net:
    """A kind of mask: a network for any number of parameters, with random weights that couple its units."""

    features: int
    hidden: tuple[int, ...]
    context_features: int = 0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    holes: bool = False  # whether a third of the weights that the degrees allow are masked too

    def make(self, num_params: int, dtype: torch.dtype = torch.float64, **options: Any) -> MaskedMLP:
        net = MaskedMLP(
            self.features,
            num_params,
            self.hidden,
            self.context_features,
            **({"activation": nn.Tanh()} | self.options | options),
        )
        if self.holes:
            generator = torch.Generator().manual_seed(1)
            for layer in net.modules():
                if isinstance(layer, MaskedLinear):
                    layer.mask.mul_(torch.rand(layer.mask.shape, generator=generator) < 2 / 3)
                    layer.stairs = None
            net.layout = net._as_program().layout()  # from the masks, as for a network that was trained elsewhere
            net._order = net.layout.order
        return coupled(net).to(dtype)

    def inputs(self, *batch: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """x, and a context for each sample if the network takes one."""
        x = 2 * normal(*batch, self.features, seed=seed)
        context = normal(*batch, self.context_features, seed=seed + 1) if self.context_features else None
        return x.to(dtype), None if context is None else context.to(dtype)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def coupled(net: MaskedMLP, seed: int = 0) -> MaskedMLP:
    """Weights of variance 1 / (sources that a unit reads): every layer passes on as much as it gets.

    Half of that in residual blocks, which add what they get: the inverses of steep maps would lose their digits.
    """
    generator = torch.Generator().manual_seed(seed)
    scale = 0.5 if net.residual else 1.0
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Linear):
                read = getattr(module, "mask", torch.ones_like(module.weight)).sum(1, keepdim=True).clamp_min(1)
                drawn = torch.randn(module.weight.shape, generator=generator, dtype=torch.float64)
                module.weight.copy_(scale * drawn / read.double().sqrt())
                if module.bias is not None:
                    module.bias.copy_(0.5 * torch.randn(module.bias.shape, generator=generator, dtype=torch.float64))
    return net


def drawn_degrees(features: int, hidden: tuple[int, ...], lowest: int = 1, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {"degrees": tuple(conditioners.random_degrees(features, w, lowest, generator=generator) for w in hidden)}


def drawn_order(features: int, seed: int = 0) -> dict[str, Any]:
    return {"order": conditioners.random_order(features, generator=torch.Generator().manual_seed(seed))}


def sparse_degrees(features: int, *layers: tuple[int, ...]) -> dict[str, Any]:
    return {"degrees": tuple(tuple(min(m, features - 1) for m in layer) for layer in layers)}


RESIDUAL = {"residual": True}
# Layers in which degrees are missing: units of degree 3 and 4 read the same sources.
MISSING = sparse_degrees(6, (1, 1, 2, 5, 5), (1, 2, 3, 4, 3, 5, 2), (2, 3, 3, 1, 4, 4, 5, 5, 3))
NETS: dict[str, Net] = {
    "sorted": Net(7, (19, 23)),
    "one layer": Net(6, (17,)),
    "four layers": Net(5, (9, 14, 8, 11)),
    "one coordinate": Net(1, (5, 6)),
    "one coordinate, context": Net(1, (5, 6), 2),
    "fewer units than coordinates": Net(9, (4, 3)),
    "one unit": Net(4, (1, 1)),
    "random degrees": Net(7, (19, 23), options=drawn_degrees(7, (19, 23))),
    "missing degrees": Net(6, (5, 7, 9), options=MISSING),
    "holes": Net(6, (15, 17), holes=True),
    "holes, order, context": Net(6, (15, 17), 2, drawn_order(6), holes=True),
    "holes, residual": Net(6, (15, 15), options=RESIDUAL, holes=True),
    "order": Net(7, (19, 23), options=drawn_order(7)),
    "order, random degrees, context": Net(8, (9, 12), 3, drawn_order(8) | drawn_degrees(8, (9, 12), 0)),
    "order that the masks leave open": Net(4, (6,), options={"order": (2, 0, 3, 1), "degrees": ((3,) * 6,)}),
    "residual": Net(6, (16, 16, 16), options=RESIDUAL),
    "residual, order, context": Net(6, (13, 13), 2, RESIDUAL | drawn_order(6)),
    "residual, random degrees": Net(
        6, (12, 12), options=RESIDUAL | {"degrees": (drawn_degrees(6, (12,))["degrees"] * 2)}
    ),
    "gated": Net(6, (14, 14, 14), 3, RESIDUAL | {"gated": True} | drawn_order(6)),
    "context": Net(5, (21, 18), 3),
    # Each degree has 3 units, so blocks of 16 units hold 5 steps.
    "several blocks": Net(20, (60, 60)),
    # Fewer units than coordinates, so that the window of the outputs ends a block.
    "wide windows": Net(40, (10,)),
    # Blocks of one step: a degree alone has more than 16 units.
    "crowded degrees": Net(4, (70, 100)),
}
MAPS: dict[str, U.Univariate] = {
    "additive": U.Additive(),
    "bounded": U.Affine(),
    "bounded by 1": U.Affine(U.BoundedExp(1.0)),
    "exp": U.Affine(U.Exp()),
    "softplus": U.Affine(U.Softplus()),
    "softplus, shifted": U.Affine(U.Softplus(minimum=0.1, shift=0.7)),
    "sigmoid": U.Affine(U.ShiftedSigmoid()),
    "clipped": U.Affine(U.ClippedExp(-0.5, 0.3)),
    "quadratic": U.RationalQuadratic(),
    "quadratic, small box": U.RationalQuadratic(bins=3, bound=1.5, min_bin=0.05, min_slope=0.1),
    "quadratic, kinks": U.RationalQuadratic(bins=3, bound=1.5, edge_slope=0.9),
    "quadratic, one bin": U.RationalQuadratic(bins=1),
    "softclipped": U.SoftclippedRationalQuadratic(),
    "softclipped, small box": U.SoftclippedRationalQuadratic(bins=3, bound=1.5, min_slope=0.1),
    "inverted softclipped": U.SoftclippedRationalQuadratic(bins=4).inverted,
    "linear": U.LinearRational(),
    "linear, small box": U.LinearRational(bins=3, bound=1.5, min_lambda=0.2),
    "linear, kinks": U.LinearRational(bins=3, bound=1.5, edge_slope=0.9),
    "linear, one bin": U.LinearRational(bins=1),
    "inverted affine": U.Affine().inverted,
    "inverted sigmoid": U.Affine(U.ShiftedSigmoid()).inverted,
    "inverted quadratic": U.RationalQuadratic(bins=4).inverted,
    "inverted linear": U.LinearRational(bins=4).inverted,
    "composed": U.Composed((U.Affine(), U.RationalQuadratic(bins=3), U.Additive())),
    "composed of compositions": U.Composed(
        (U.Composed((U.Additive(), U.Affine(U.Softplus()))).inverted, U.LinearRational(bins=2).inverted, U.Affine())
    ),
    "inverted composition": U.Composed((U.Affine(), U.RationalQuadratic(bins=3), U.Additive().inverted)).inverted,
}
# Those that kernels know, and two that they do not.
ACTIVATIONS: dict[str, nn.Module] = {
    "Identity": nn.Identity(),
    "ReLU": nn.ReLU(),
    "LeakyReLU": nn.LeakyReLU(0.2),
    "LeakyReLU, negative": nn.LeakyReLU(-0.5),
    "ELU": nn.ELU(),
    "ELU, alpha": nn.ELU(0.3),
    "Tanh": nn.Tanh(),
    "Sigmoid": nn.Sigmoid(),
    "SiLU": nn.SiLU(),
    "Softplus": nn.Softplus(),
    "Softplus, threshold": nn.Softplus(threshold=1.0),
    "Softplus, beta": nn.Softplus(beta=2.0),
    "GELU": nn.GELU(),
    "Hardtanh": nn.Hardtanh(),
}

Direction = Callable[[MaskedMLP, U.Univariate, Tensor, Tensor | None], tuple[Tensor, Tensor]]


def blocked(net: MaskedMLP, t: U.Univariate, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return Blocked().solve(net, t, x, context)[:2]


def stepwise(net: MaskedMLP, t: U.Univariate, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return Stepwise().solve(net, t, x, context)[:2]


def evaluated(net: MaskedMLP, t: U.Univariate, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return evaluate(net, t, u, context)


def d_passes(net: MaskedMLP, t: U.Univariate, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The inverse as other libraries do it: the whole network again for every coordinate. Differentiable."""
    batch = x.shape[:-1] if context is None else torch.broadcast_shapes(x.shape[:-1], context.shape[:-1])
    columns = list(x.expand(*batch, net.features).unbind(-1))
    log_det = x.new_zeros(batch)
    stepper = RepeatedPass(net, batch, context)
    for i in net.order:
        columns[i], log_slope = t.inverse(columns[i], stepper.params())
        stepper.push(columns[i])
        log_det = log_det + log_slope
    return torch.stack(columns, -1), log_det


def solved(net: MaskedMLP, t: U.Univariate, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The truth of the inverse."""
    with torch.no_grad():
        return d_passes(net, t, x, context)


def one_pass(net: MaskedMLP, t: U.Univariate, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The truth of the parallel direction: dense masked weights in PyTorch."""
    with torch.no_grad():
        x, log_slope = t.forward(u, net(u, context))
    return x, log_slope.sum(-1)


# Each way to run a network, and its truth.
DIRECTIONS: dict[str, tuple[Direction, Direction]] = {"solve": (blocked, solved), "evaluate": (evaluated, one_pass)}


def errors(found: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor]) -> Tensor:
    """For each sample the largest error of value and log-det, relative where the truth is above 1; NaN is infinite."""
    assert [one.shape for one in found] == [one.shape for one in truth]
    value, log_det = (
        ((one.double() - other).abs() / other.abs().clamp_min(1)).nan_to_num(math.inf)
        for one, other in zip(found, truth, strict=True)
    )
    return torch.maximum(value.amax(-1), log_det)


def close(found: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], tolerance: float = 1e-12) -> bool:
    """9 samples of 10 within the tolerance; the others, at which the inverse is steep, within a hundred times that."""
    found_errors = errors(found, truth)
    if not found_errors.numel():
        return True
    return bool(found_errors.quantile(0.9) <= tolerance) and bool(found_errors.max() <= 100 * tolerance)


def double(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.double()
