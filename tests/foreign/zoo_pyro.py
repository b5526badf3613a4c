"""The distributions of Pyro whose conversions are tested and measured: both directions, with a context or without."""

from collections.abc import Callable, Iterator
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import transforms as T
from pyro.nn import AutoRegressiveNN, ConditionalAutoRegressiveNN, DenseNN
from torch import Tensor, nn

import counterflow as cf
from counterflow.interop import from_pyro
from counterflow.interop.precision import by_default
from foreign.agreement import ROWS, perturb_

D, M, K = 5, 3, 4
SPLINE = [K, K, K - 1, K]


def arn(dims: Any = (1, 1), hidden: Any = (12, 14), **options: Any) -> Any:
    return AutoRegressiveNN(D, list(hidden), list(dims), **options)


def given_arn(dims: Any = (1, 1), hidden: Any = (12, 14), **options: Any) -> Any:
    return ConditionalAutoRegressiveNN(D, M, list(hidden), list(dims), **options)


def permute() -> Any:
    return T.Permute(torch.randperm(D))


def batch_norm() -> Any:
    layer = T.BatchNorm(D)
    layer.moving_mean.copy_(torch.linspace(-1, 1, D))
    layer.moving_variance.copy_(torch.linspace(0.5, 2, D))
    return layer.eval()


def quadratic_coupling() -> Any:
    net = DenseNN(2, [9, 9], [3 * K, 3 * K, 3 * (K - 1)])
    return T.SplineCoupling(D, 2, net, K, order="quadratic", identity=True)


PLAIN: dict[str, Callable[[], list[Any]]] = {
    "affine": lambda: [T.AffineAutoregressive(arn()), permute(), T.affine_autoregressive(D)],
    "affine, skips": lambda: [T.AffineAutoregressive(arn(skip_connections=True, nonlinearity=nn.Tanh()))],
    "affine, stable": lambda: [
        T.AffineAutoregressive(arn(), stable=True),
        T.AffineAutoregressive(arn(), stable=True, sigmoid_bias=1.0),
    ],
    "affine, clipped": lambda: [
        T.AffineAutoregressive(arn(), log_scale_min_clip=-0.1, log_scale_max_clip=0.1),
        T.AffineAutoregressive(arn(), log_scale_min_clip=-1.0),
    ],
    "affine, three layers": lambda: [T.AffineAutoregressive(arn(hidden=(6, 20, 7)))],
    "spline, linear": lambda: [
        T.spline_autoregressive(D, [12, 12]),
        permute(),
        T.SplineAutoregressive(D, arn(SPLINE), K),
    ],
    "spline, quadratic": lambda: [T.SplineAutoregressive(D, arn(SPLINE[:3]), K, 2.0, order="quadratic")],
    "spline, skips": lambda: [T.SplineAutoregressive(D, arn(SPLINE, skip_connections=True), K, 2.0)],
    "spline coupling": lambda: [T.spline_coupling(D), permute(), T.spline_coupling(D, 3, [9], 5, 2.0)],
    "spline coupling, quadratic": lambda: [quadratic_coupling(), permute(), quadratic_coupling()],
    "splines": lambda: [T.Spline(D, 4), permute(), T.Spline(D, 3, bound=2.0, order="quadratic")],
    "affine coupling": lambda: [T.affine_coupling(D), permute(), T.affine_coupling(D, [8, 8], 3)],
    "batch normalisation": lambda: [T.AffineAutoregressive(arn()), batch_norm(), T.AffineAutoregressive(arn())],
    "composed": lambda: [
        T.ComposeTransform([permute(), T.AffineAutoregressive(arn()).inv]).inv,
        dist.torch_transform.ComposeTransformModule([T.spline_coupling(D)]),
        torch.distributions.AffineTransform(torch.linspace(-1, 1, D), 0.5),
    ],
}
GIVEN: dict[str, Callable[[], list[Any]]] = {
    "affine": lambda: [
        T.ConditionalAffineAutoregressive(given_arn()),
        permute(),
        T.ConditionalAffineAutoregressive(given_arn(skip_connections=True), stable=True),
    ],
    "spline, linear": lambda: [
        T.ConditionalSplineAutoregressive(D, given_arn(SPLINE), count_bins=K, bound=2.0),
        T.conditional_spline_autoregressive(D, M, [12, 12]),
    ],
    "affine coupling": lambda: [T.conditional_affine_coupling(D, M), permute(), T.conditional_affine_coupling(D, M)],
    "splines": lambda: [T.conditional_spline(D, M, [9]), permute(), T.Spline(D)],
    "composed": lambda: [
        dist.conditional.ConditionalComposeTransformModule([T.conditional_affine_coupling(D, M), permute()])
    ],
}
INVERTED = ", inverted"
CASES = [
    (kind + direction, width)
    for kinds, width in ((PLAIN, 0), (GIVEN, M))
    for kind in kinds
    for direction in ("", INVERTED)
]


def modules(transforms: list[Any]) -> Iterator[nn.Module]:
    """Those inside inverses and compositions, too."""
    for transform in transforms:
        if isinstance(transform, nn.Module):
            yield transform
        elif isinstance(transform, T.ComposeTransform):
            yield from modules(transform.parts)
        elif isinstance(transform, torch.distributions.transforms._InverseTransform):
            yield from modules([transform._inv])


def distribution(transforms: list[Any], dtype: torch.dtype = torch.float32, *, width: int = 0) -> Any:
    base = dist.Normal(torch.zeros(D, dtype=dtype), torch.ones(D, dtype=dtype)).to_event(1)
    kinds = dist.ConditionalTransformedDistribution if width else dist.TransformedDistribution
    return kinds(base, transforms)


def made(kind: str, width: int = 0, dtype: torch.dtype = torch.float64) -> Any:
    """One of `CASES`, as training might have left it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transforms = (GIVEN if width else PLAIN)[kind.removesuffix(INVERTED)]()
        for module in modules(transforms):
            perturb_(module, 0.1).to(dtype)
    inverted = kind.endswith(INVERTED)
    return distribution([t.inv for t in transforms[::-1]] if inverted else transforms, dtype, width=width)


convert = from_pyro


def scored(theirs: Any, x: Tensor, c: Tensor | None) -> Tensor:
    """Its log density."""
    with by_default(x.dtype):  # Pyro inverts affine autoregressive transforms in no other precision
        scores: Tensor = _given(theirs, c).log_prob(x)
    return scores


def drawn(theirs: Any, ours: cf.Flow, c: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Samples of ours and of theirs, from equal noise."""
    torch.manual_seed(3)
    with by_default(dtype):
        expected = _given(theirs, c).sample((ROWS,))
    torch.manual_seed(3)
    return (ours.sample(ROWS) if c is None else ours.sample((), c)), expected


def _given(theirs: Any, c: Tensor | None) -> Any:
    return theirs if c is None else theirs.condition(c)
