"""The flows of zuko whose conversions are tested and measured: every architecture, with a context and without."""

import functools
from collections.abc import Callable
from typing import Any

import torch
import zuko
from torch import Tensor, nn

import counterflow as cf
from counterflow.interop import from_zuko
from foreign.agreement import perturb_, points

D, H = 5, (24, 24)
GRAPH = torch.tensor(
    [[1, 0, 0, 0, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1]], dtype=torch.bool
)
MASKED, COUPLED = zuko.flows.MaskedAutoregressiveTransform, zuko.flows.GeneralCouplingTransform
LINEAR = zuko.lazy.UnconditionalTransform


def normal(loc: float = 0.0, scale: float = 1.0, *, buffer: bool = True) -> Any:
    loc_, scale_ = torch.full((D,), loc), torch.full((D,), scale)
    return zuko.lazy.UnconditionalDistribution(zuko.distributions.DiagNormal, loc_, scale_, buffer=buffer)


def stack(*transforms: Any, base: Any = None) -> Any:
    return zuko.flows.Flow(transforms, base or normal())


def graph(context: int) -> Tensor:
    """Some coordinates see some of the context."""
    seen = torch.arange(D)[:, None] % 2 == torch.arange(context) % 2
    return torch.cat([GRAPH, seen], 1)


def linear_layers(c: int) -> Any:
    matrix = 2 * torch.eye(D) + torch.arange(float(D * D)).view(D, D) / 25
    return stack(
        LINEAR(torch.distributions.AffineTransform, torch.arange(float(D)), 1 + torch.arange(D) / 3, buffer=True),
        LINEAR(zuko.transforms.LULinearTransform, matrix),
        LINEAR(zuko.transforms.PermutationTransform, torch.tensor([3, 1, 4, 0, 2]), buffer=True),
        MASKED(D, c, hidden_features=H).inv,
        LINEAR(zuko.transforms.MonotonicAffineTransform, torch.ones(D), torch.ones(D) / 2),
        LINEAR(zuko.transforms.IdentityTransform),
    )


@torch.no_grad()
def tamed(flow: Any) -> Any:
    """With smaller weights: maps whose steepness would carry the rounding of either library further."""
    for parameter in flow.parameters():
        parameter.mul_(0.3)
    return flow


KINDS: dict[str, Callable[[int], Any]] = {
    "MAF": lambda c: zuko.flows.MAF(D, c, hidden_features=H),
    "MAF, random orders": lambda c: zuko.flows.MAF(D, c, randperm=True, hidden_features=(24, 16), activation=nn.ELU),
    "MAF, residual": lambda c: zuko.flows.MAF(D, c, residual=True, hidden_features=(24, 24, 16, 16)),
    "MAF, one layer": lambda c: tamed(zuko.flows.MAF(D, c, hidden_features=())),
    "MAF, graph": lambda c: zuko.flows.MAF(D, c, adjacency=GRAPH, hidden_features=H),
    "MAF, graph of the context": lambda c: zuko.flows.MAF(D, c, adjacency=graph(c), residual=True, hidden_features=H),
    "MAF, two passes": lambda c: zuko.flows.MAF(D, c, passes=2, hidden_features=H),
    "MAF, steeper": lambda c: zuko.flows.MAF(
        D, c, hidden_features=H, univariate=functools.partial(zuko.transforms.MonotonicAffineTransform, slope=1e-2)
    ),
    "additive": lambda c: zuko.flows.MAF(
        D, c, hidden_features=H, univariate=zuko.transforms.AdditiveTransform, shapes=[()]
    ),
    "NSF": lambda c: zuko.flows.NSF(D, c, hidden_features=H),
    "NSF, few bins, three passes": lambda c: zuko.flows.NSF(D, c, bins=3, passes=3, hidden_features=H),
    "NSF, small box": lambda c: stack(
        MASKED(
            D,
            c,
            hidden_features=H,
            univariate=functools.partial(zuko.transforms.MonotonicRQSTransform, bound=2.0, slope=1e-2),
            shapes=[(4,), (4,), (3,)],
        )
    ),
    "NICE": lambda c: zuko.flows.NICE(D, c, randmask=True, hidden_features=H),
    "NICE, one layer": lambda c: tamed(zuko.flows.NICE(D, c, hidden_features=())),
    "coupled splines": lambda c: stack(
        COUPLED(
            D,
            c,
            hidden_features=H,
            activation=nn.SiLU,
            univariate=zuko.transforms.MonotonicRQSTransform,
            shapes=[(6,), (6,), (5,)],
        )
    ),
    "elementwise": lambda c: stack(zuko.flows.ElementWiseTransform(D, c, hidden_features=H), base=normal(1.0, 2.0)),
    "one coordinate": lambda c: tamed(zuko.flows.NSF(1, c, hidden_features=H)),
    "linear layers": linear_layers,
    "learnt base": lambda c: stack(MASKED(D, c, hidden_features=H), base=normal(0.5, 1.5, buffer=False)),
}
CASES = [(kind, width) for kind in KINDS for width in (0, 3)]


def made(kind: str, width: int = 0, dtype: torch.dtype = torch.float64) -> Any:
    """One of `CASES`, as training might have left it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return perturb_(KINDS[kind](width)).to(dtype)


convert = from_zuko


def scored(theirs: Any, x: Tensor, c: Tensor | None) -> Tensor:
    """Its log density."""
    scores: Tensor = theirs(c).log_prob(x)
    return scores


def drawn(theirs: Any, ours: cf.Flow, c: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Samples of ours and of theirs, from equal noise."""
    noise, base = points(ours.features, dtype, spread=1.0), theirs.base().base_dist
    own = ours.base
    u = own.loc + own.log_scale.exp() * noise if isinstance(own, cf.bases.DiagonalNormal) else noise
    return ours.bijection(u, c)[0], theirs(c).transform.inv(base.loc + base.scale * noise)
