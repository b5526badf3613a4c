"""The flows that benchmarks/interop.py converts, each with its library's own ways to score and to draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import interop
from counterflow.interop.precision import by_default

LAYERS, WIDTH = 5, 512
SIZES = (
    f"{LAYERS} layers of masked networks, two hidden layers of {WIDTH} units (nflows, normflows: two residual blocks)."
)


class Pair(NamedTuple):
    """A foreign flow and ours.

    Attributes:
        ours: What it became.
        log_prob: Theirs, of (x, context).
        sample: Theirs, of a number of rows.
        from_noise: Theirs, of (standard normal noise, context).
    """

    ours: cf.Flow
    log_prob: Callable[[Tensor, Tensor | None], Tensor]
    sample: Callable[[int], Tensor]
    from_noise: Callable[[Tensor, Tensor | None], Tensor]


def made(name: str, features: int, width: int, dtype: torch.dtype) -> Pair | None:
    """A pair with perturbed weights; None where the library has no such flow with a context."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MODELS[name](features, width, dtype)


@torch.no_grad()
def _perturbed(model: nn.Module, dtype: torch.dtype, features: int) -> Any:
    """Not as libraries begin, some near the identity; of many dimensions by less, or rounding alone would decide."""
    size = 0.2 if features <= 8 else 0.02 if features <= 64 else 0.002
    for parameter in model.parameters():
        parameter.add_(size * torch.randn_like(parameter) / (parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 2))
    return model.to(dtype).eval()


def _zuko(make: Any) -> Callable[[int, int, torch.dtype], Pair | None]:
    def pair(features: int, width: int, dtype: torch.dtype) -> Pair:
        import zuko

        flow = getattr(zuko.flows, make)(features, width, transforms=LAYERS, hidden_features=(WIDTH, WIDTH))
        theirs = _perturbed(flow, dtype, features)
        return Pair(
            interop.from_zuko(theirs),
            lambda x, c: theirs(c).log_prob(x),
            lambda rows: theirs().sample((rows,)),
            lambda u, c: theirs(c).transform.inv(u),
        )

    return pair


def _nflows(kind: str) -> Callable[[int, int, torch.dtype], Pair | None]:
    def pair(features: int, width: int, dtype: torch.dtype) -> Pair:
        from nflows import flows, transforms
        from nflows.distributions import StandardNormal

        made_of: list[Any] = []
        for _ in range(LAYERS):
            layer = getattr(transforms, kind)
            options = {"tails": "linear", "tail_bound": 3.0, "num_bins": 8} if "Quadratic" in kind else {}
            made_of.append(
                layer(features, hidden_features=WIDTH, context_features=width or None, num_blocks=2, **options)
            )
            made_of.append(transforms.ReversePermutation(features))
        theirs = _perturbed(
            flows.Flow(transforms.CompositeTransform(made_of), StandardNormal([features])), dtype, features
        )
        return Pair(
            interop.from_nflows(theirs),
            lambda x, c: theirs.log_prob(x, c),
            lambda rows: theirs.sample(rows),
            lambda u, c: theirs._transform.inverse(u, c)[0],
        )

    return pair


def _normflows(kind: str) -> Callable[[int, int, torch.dtype], Pair | None]:
    def pair(features: int, width: int, dtype: torch.dtype) -> Pair | None:
        import normflows as nf

        if width:
            return None
        layers: list[Any] = []
        for _ in range(LAYERS):
            if kind == "spline":
                layers.append(nf.flows.AutoregressiveRationalQuadraticSpline(features, 2, WIDTH))
            else:
                layers.append(nf.flows.Reverse(nf.flows.MaskedAffineAutoregressive(features, WIDTH)))
            layers.append(nf.flows.Permute(features, mode="swap"))
        base = nf.distributions.base.DiagGaussian(features, trainable=False)
        theirs = _perturbed(nf.NormalizingFlow(base, layers), dtype, features)
        return Pair(
            interop.from_normflows(theirs),
            lambda x, _: theirs.log_prob(x),
            lambda rows: theirs.sample(rows)[0],
            lambda u, _: theirs.forward(u),
        )

    return pair


def _pyro(kind: str) -> Callable[[int, int, torch.dtype], Pair | None]:
    def pair(features: int, width: int, dtype: torch.dtype) -> Pair | None:
        from pyro import distributions as dist

        if width:
            return None
        hidden = [max(WIDTH, features)] * 2
        make = dist.transforms.affine_autoregressive if kind == "affine" else dist.transforms.spline_autoregressive
        layers = [make(features, hidden_dims=hidden) for _ in range(LAYERS)]
        for layer in layers:
            _perturbed(layer, dtype, features)
        zero, one = torch.zeros(features, dtype=dtype), torch.ones(features, dtype=dtype)
        # `.inv`: trained on data, a MAF; it draws one coordinate after the other.
        theirs = dist.TransformedDistribution(dist.Normal(zero, one).to_event(1), [layer.inv for layer in layers])

        def from_noise(u: Tensor, _: Tensor | None) -> Tensor:
            with by_default(dtype):  # Pyro's inverse begins with zeros of the default precision
                for layer in layers:
                    u = layer.inv(u)
            return u

        return Pair(
            interop.from_pyro(theirs),
            lambda x, _: theirs.log_prob(x),
            lambda rows: theirs.sample((rows,)),
            from_noise,
        )

    return pair


MODELS: dict[str, Callable[[int, int, torch.dtype], Pair | None]] = {
    "zuko MAF": _zuko("MAF"),
    "zuko NSF": _zuko("NSF"),
    "nflows MAF": _nflows("MaskedAffineAutoregressiveTransform"),
    "nflows NSF": _nflows("MaskedPiecewiseRationalQuadraticAutoregressiveTransform"),
    "normflows MAF": _normflows("affine"),
    "normflows NSF": _normflows("spline"),
    "Pyro MAF": _pyro("affine"),
    "Pyro NSF": _pyro("spline"),
}
