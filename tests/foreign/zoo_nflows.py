"""The flows of nflows whose conversions are tested and measured: every architecture, with a context and without."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from nflows import distributions as d
from nflows import transforms as t
from nflows.flows import Flow, MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.nn.nets import ResidualNet
from nflows.transforms.standard import PointwiseAffineTransform
from torch import Tensor, nn

import counterflow as cf
from counterflow.interop import from_nflows
from foreign.agreement import perturb_, points

D, H = 5, 16
MASK = torch.tensor([1, -1, 1, -1, 1])


def stack(*layers: Any, base: Any = None, embedding: Any = None) -> Any:
    return Flow(t.CompositeTransform(list(layers)), base or d.StandardNormal([D]), embedding)


def affine(c: int, **options: Any) -> Any:
    return t.MaskedAffineAutoregressiveTransform(D, H, context_features=c or None, **options)


def spline(c: int, **options: Any) -> Any:
    box: dict[str, Any] = {"num_bins": 5, "tails": "linear", "tail_bound": 3.0}
    return t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(D, H, context_features=c or None, **box, **options)


def net(c: int, **options: Any) -> Any:
    return lambda inputs, outputs: ResidualNet(inputs, outputs, H, context_features=c or None, **options)


def coupled(mask: Any, c: int, own: bool = False, **options: Any) -> Any:
    box: dict[str, Any] = {"num_bins": 5, "tails": "linear", "tail_bound": 3.0, "apply_unconditional_transform": own}
    return t.PiecewiseRationalQuadraticCouplingTransform(mask, net(c, **options), **box)


class SoftplusCoupling(t.AffineCouplingTransform):
    """The other scale of the comments in nflows."""

    def _scale_and_shift(self, transform_params: Any) -> Any:
        scale, shift = (
            transform_params[:, self.num_transform_features :],
            transform_params[:, : self.num_transform_features],
        )
        return F.softplus(scale) + 1e-3, shift


class ContextSplineMap(nn.Module):
    """What sbi has for a single parameter: a network of the context alone."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.hidden_features = H
        self.spline_predictor = nn.Sequential(nn.Linear(width, H), nn.ReLU(), nn.Linear(H, outputs))

    def forward(self, inputs: Any, context: Any) -> Any:
        return self.spline_predictor(context)


def standardised(*layers: Any) -> Any:
    return stack(PointwiseAffineTransform(torch.arange(D) / 3.0, 1 / (1 + torch.arange(D))), *layers)


FEEDFORWARD: dict[str, Any] = {"use_residual_blocks": False}
KINDS: dict[str, Callable[[int], Any]] = {
    "residual MADE": lambda c: stack(affine(c), t.RandomPermutation(D), affine(c, activation=torch.tanh)),
    "residual MADE, batch norm": lambda c: stack(affine(c, use_batch_norm=True), t.ReversePermutation(D)),
    "feedforward MADE": lambda c: stack(affine(c, activation=F.elu, **FEEDFORWARD), t.RandomPermutation(D)),
    "feedforward MADE, batch norm": lambda c: stack(affine(c, use_batch_norm=True, **FEEDFORWARD)),
    "random masks": lambda c: stack(*(affine(c, random_mask=True, **FEEDFORWARD) for _ in range(2))),
    "no blocks": lambda c: stack(affine(c, num_blocks=0), affine(c, num_blocks=0, **FEEDFORWARD)),
    "inverse": lambda c: stack(
        t.InverseTransform(t.CompositeTransform([affine(c, num_blocks=1), t.RandomPermutation(D)])), affine(c)
    ),
    "splines": lambda c: stack(spline(c), t.RandomPermutation(D), spline(c, use_batch_norm=True)),
    "feedforward splines": lambda c: stack(spline(c, **FEEDFORWARD)),
    "coupled splines": lambda c: stack(coupled(MASK, c), t.LULinear(D), coupled(-MASK, c, use_batch_norm=True)),
    "coupled splines, own ones": lambda c: stack(coupled(MASK, c, own=True)),
    "affine couplings": lambda c: stack(t.AffineCouplingTransform(MASK, net(c)), t.ActNorm(D), t.BatchNorm(D)),
    "softplus couplings": lambda c: stack(SoftplusCoupling(MASK, net(c, activation=F.silu))),
    "additive couplings": lambda c: stack(t.AdditiveCouplingTransform(MASK, net(c))),
    "standardised": lambda c: standardised(affine(c), t.IdentityTransform(), PointwiseAffineTransform(0.5, 2.0)),
    "own splines": lambda c: stack(
        t.PiecewiseRationalQuadraticCDF(D, tails="linear", tail_bound=2.0, num_bins=4), affine(c)
    ),
    "learnt base": lambda c: stack(affine(c), base=d.DiagonalNormal([D])),
}
CONDITIONAL: dict[str, Callable[[], Any]] = {
    "embedding net": lambda: stack(affine(2), embedding=nn.Sequential(nn.Linear(3, 2), nn.Tanh())),
    "conditional base": lambda: stack(affine(3), base=d.ConditionalDiagonalNormal([D], nn.Linear(3, 2 * D))),
    "conditional base, two layers": lambda: stack(
        t.RandomPermutation(D),
        base=d.ConditionalDiagonalNormal([D], nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2 * D))),
    ),
    "one coordinate": lambda: Flow(
        t.PiecewiseRationalQuadraticCouplingTransform(
            torch.tensor([1]), lambda i, o: ContextSplineMap(i, o, 3), num_bins=5, tails="linear", tail_bound=3.0
        ),
        d.StandardNormal([1]),
    ),
}
UNCONDITIONAL: dict[str, Callable[[], Any]] = {
    "MaskedAutoregressiveFlow": lambda: MaskedAutoregressiveFlow(
        D, H, 2, 1, batch_norm_within_layers=True, batch_norm_between_layers=True, use_random_permutations=True
    ),
    "SimpleRealNVP": lambda: SimpleRealNVP(D, H, 2, 1, batch_norm_within_layers=True, batch_norm_between_layers=True),
}
CASES = [
    *((kind, width) for kind in KINDS for width in (0, 3)),
    *((kind, 3) for kind in CONDITIONAL),
    *((kind, 0) for kind in UNCONDITIONAL),
]


def made(kind: str, width: int = 0, dtype: torch.dtype = torch.float64) -> Any:
    """One of `CASES`, as training might have left it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make = (CONDITIONAL | UNCONDITIONAL).get(kind)
        return perturb_(make() if make else KINDS[kind](width), 0.2).to(dtype).eval()


convert = from_nflows


def scored(theirs: Any, x: Tensor, c: Tensor | None) -> Tensor:
    """Its log density."""
    scores: Tensor = theirs.log_prob(x, c)
    return scores


def drawn(theirs: Any, ours: cf.Flow, c: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Samples of ours and of theirs, from equal noise."""
    noise, base = points(ours.features, dtype, spread=1.0), theirs._distribution
    u = noise
    if isinstance(base, d.ConditionalDiagonalNormal):  # which is a layer of ours
        loc, log_scale = base._compute_params(c)
        u = loc + log_scale.exp() * noise
    expected = theirs._transform.inverse(u, theirs._embedding_net(c))[0]
    return ours.bijection(noise, ours.encode(c))[0], expected
