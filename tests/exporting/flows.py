"""The flows whose samplers the tests export, small, at parameters that are nothing special."""

from collections.abc import Callable

import torch

import counterflow as cf
from counterflow import bases, bijections, univariate
from counterflow.conditioners import ContextUnits
from counterflow.testing import perturb_

D, M = 3, 2
SIZES = {"layers": 2, "hidden": (8, 8)}
SPLINE = univariate.RationalQuadratic(bins=4)


def linear() -> cf.Flow:
    """LU layers in both directions, and what else stands between layers."""
    lu, back = bijections.LULinear(D), cf.Inverse(bijections.LULinear(D))
    parts = [cf.models.iaf(D, **SIZES).bijection, lu, bijections.Permutation([2, 0, 1]), back, bijections.ActNorm(D)]
    return cf.Flow(bases.StandardNormal(D), cf.Chain(parts))


def bounded() -> cf.Flow:
    """Columns in units of their own: in [0, 1], above 10 in thousandths, of any number around -5000."""
    inf = float("inf")
    supports = bijections.bounded([0.0, 0.0, -inf], [1.0, inf, inf])
    units = bijections.Standardise([0.0, 10.0, -5000.0], [1.0, 1e-3, 20.0])
    return cf.Flow(bases.StandardNormal(D), cf.Chain([cf.models.iaf(D, **SIZES).bijection, supports, units]))


def gated() -> cf.Flow:
    network = cf.MaskedMLP(D, 2, (8, 8), M, residual=True, gated=True)
    return cf.Flow(bases.StandardNormal(D), cf.Autoregressive(network, univariate.Affine()))


def conditional() -> cf.Flow:
    """A context in units of its own, one column of which is taken by its logarithm."""
    return cf.models.iaf(D, M, **SIZES, context_encoder=ContextUnits([100.0, 2.0], [10.0, 0.5], [False, True]))


FLOWS: dict[str, Callable[[], cf.Flow]] = {
    "iaf": lambda: cf.models.iaf(D, **SIZES),
    "context": conditional,
    "splines": lambda: cf.models.iaf(D, layers=3, hidden=(8, 8), univariate=SPLINE),
    "linear-rational splines": lambda: cf.models.iaf(D, **SIZES, univariate=univariate.LinearRational(bins=3)),
    "realnvp": lambda: cf.models.realnvp(D, layers=4, hidden=(8, 8)),
    "nice": lambda: cf.models.nice(D, layers=4, hidden=(8, 8)),
    "gated": gated,
    "linear": linear,
    "bounded": bounded,
    "double": lambda: bounded().double(),
    "learnt normal": lambda: cf.models.iaf(D, **SIZES, base=bases.DiagonalNormal(D)),
    "logistic": lambda: cf.models.iaf(D, **SIZES, base=bases.StandardLogistic(D)),
    "uniform": lambda: cf.models.iaf(D, **SIZES, base=bases.Uniform(D, -1.0, 2.0)),
    "heavy tails": lambda: cf.models.iaf(D, **SIZES, base=bases.StudentT(D)),
    "a flow as base": lambda: cf.models.iaf(D, M, **SIZES, base=cf.models.iaf(D, M, **SIZES)),
}


def made(name: str) -> cf.Flow:
    flow = FLOWS[name]()
    perturb_(flow, torch.Generator().manual_seed(1))
    return flow


def contexts(flow: cf.Flow, rows: int) -> tuple[torch.Tensor, ...]:
    """Inside the range of `conditional`; none for flows that take none."""
    if not flow.context_features:
        return ()
    generator = torch.Generator().manual_seed(rows)
    z = torch.randn(rows, M, generator=generator)
    return (z if flow.context_encoder is None else torch.tensor([100.0, 5.0]) + z,)
