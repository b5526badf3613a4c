"""The flows on which torch's transforms are tried, small: a stepped direction unrolls its D steps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import bases, bijections, models, univariate
from counterflow.testing import perturb_

D, M, H = 3, 2, (6, 6)
SIZES = {"layers": 2, "hidden": H}


def gated() -> cf.Bijection:
    return cf.Autoregressive(cf.MaskedMLP(D, 2, H, M, residual=True, gated=True), univariate.Affine())


FLOWS: dict[str, Callable[[], cf.Flow]] = {
    "maf": lambda: models.maf(D, **SIZES),
    "iaf": lambda: models.iaf(D, **SIZES),
    "nsf": lambda: models.nsf(D, **SIZES, univariate=univariate.RationalQuadratic(bins=4)),
    "realnvp": lambda: models.realnvp(D, **SIZES),
    "nice": lambda: models.nice(D, **SIZES),
}
MORE_FLOWS: dict[str, Callable[[], cf.Flow]] = {
    "maf of a context": lambda: models.maf(D, M, **SIZES),
    "residual iaf of a context": lambda: models.iaf(D, M, **SIZES, residual=True),
    "a gated network": lambda: cf.Flow(bases.StandardNormal(D), gated()),
    "linear-rational splines": lambda: models.maf(D, **SIZES, univariate=univariate.LinearRational(bins=3)),
    "linear layers": lambda: models.maf(D, **SIZES, permutation=bijections.LULinear),
    "heavy tails": lambda: models.iaf(D, **SIZES, base=bases.StudentT(D)),
    "bounded": lambda: cf.Flow(
        bases.StandardNormal(D), cf.Chain([models.iaf(D, layers=1, hidden=H).bijection, bijections.logit(D, 0.0)])
    ),
    "stepwise by request": lambda: models.maf(D, **SIZES, solver=cf.solvers.Stepwise()),
}
ALL_FLOWS = FLOWS | MORE_FLOWS

DIRECTIONS = ("forward", "inverse")


class Direction(nn.Module):
    """One direction of a flow as a module with a `forward`, which is what exporters and `functional_call` take."""

    def __init__(self, flow: cf.Flow, name: str) -> None:
        super().__init__()
        self.flow, self.name = flow, name

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        return getattr(self.flow.bijection, self.name)(x, context)


def prepared(name: str, direction: str, seed: int = 0) -> Direction:
    """In evaluation mode, float64, at parameters that are nothing special."""
    torch.manual_seed(0)
    flow = ALL_FLOWS[name]().double().eval()
    perturb_(flow, torch.Generator().manual_seed(seed))
    return Direction(flow, direction)


def points(flow: cf.Flow, count: int) -> tuple[Tensor, ...]:
    """Points at which every direction of every flow above is defined, and contexts for those that take one."""
    generator = torch.Generator().manual_seed(7)
    x = 0.1 + 0.8 * torch.rand(count, D, generator=generator).double()
    if not flow.context_features:
        return (x,)
    return x, torch.randn(count, M, generator=generator).double()
