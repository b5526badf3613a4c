"""The flows whose samplers the tests export: small, at parameters that are nothing special, and a trained student."""

import copy
import functools
from collections.abc import Callable

import torch

import counterflow as cf
from counterflow import bases, bijections, distillation, univariate
from counterflow.conditioners import ContextUnits
from counterflow.testing import perturb_

D, M = 3, 2
SIZES = {"layers": 2, "hidden": (8, 8)}
AS_MADE = "steep", "a student"  # the others are perturbed
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


def steep() -> cf.Flow:
    """Splines so steep in places that single precision keeps five digits there."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = cf.models.iaf(D, layers=3, hidden=(8, 8), univariate=SPLINE)
    generator = torch.Generator().manual_seed(2)
    for _ in range(4):
        perturb_(flow, generator)
    return flow


@functools.cache
def taught() -> cf.Flow:
    """A student of the recommended preset, as `counterflow distil` starts it: its splines are steep in places."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        teacher = cf.models.recommended(D)
        z = torch.randn(2000, D)
        bent = (z[:, :-1].square() + z[:, 1:]) / 1.5 - 0.5
        x = torch.cat([z[:, :1], bent], -1)
        cf.fit(teacher, x, validation=0.1, steps=100, batch_size=128, learning_rate=2e-3, progress=False)
        student = distillation.student_of(teacher, network=distillation.Masked((64, 64)))
        start = distillation.MatchedLayers(teacher.sample(4000), 128)
        distillation.distil(
            student, teacher, objective=start, steps=100, learning_rate=2e-3, held_out=256, progress=False
        )
    return student.eval()


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
    "steep": steep,
    "a student": lambda: copy.deepcopy(taught()),
}


def made(name: str) -> cf.Flow:
    flow = FLOWS[name]()
    if name not in AS_MADE:
        perturb_(flow, torch.Generator().manual_seed(1))
    return flow


def contexts(flow: cf.Flow, rows: int) -> tuple[torch.Tensor, ...]:
    """Inside the range of `conditional`; none for flows that take none."""
    if not flow.context_features:
        return ()
    generator = torch.Generator().manual_seed(rows)
    z = torch.randn(rows, M, generator=generator)
    return (z if flow.context_encoder is None else torch.tensor([100.0, 5.0]) + z,)
