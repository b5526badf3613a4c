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
        sample: Theirs, of (a number of rows, a context (M,) that is the same for all).
        from_noise: Theirs, of (standard normal noise, context).
    """

    ours: cf.Flow
    log_prob: Callable[[Tensor, Tensor | None], Tensor]
    sample: Callable[[int, Tensor | None], Tensor]
    from_noise: Callable[[Tensor, Tensor | None], Tensor]


def made(name: str, features: int, width: int, dtype: torch.dtype) -> Pair:
    """A pair with perturbed weights."""
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


def _zuko(make: Any) -> Callable[[int, int, torch.dtype], Pair]:
    def pair(features: int, width: int, dtype: torch.dtype) -> Pair:
        import zuko

        flow = getattr(zuko.flows, make)(features, width, transforms=LAYERS, hidden_features=(WIDTH, WIDTH))
        theirs = _perturbed(flow, dtype, features)
        return Pair(
            interop.from_zuko(theirs),
            lambda x, c: theirs(c).log_prob(x),
            lambda rows, c: theirs(c).sample((rows,)),
            lambda u, c: theirs(c).transform.inv(u),
        )

    return pair


def _nflows(kind: str) -> Callable[[int, int, torch.dtype], Pair]:
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
            lambda rows, c: theirs.sample(rows) if c is None else theirs.sample(rows, context=c[None])[0],
            lambda u, c: theirs._transform.inverse(u, c)[0],
        )

    return pair


def _normflows(kind: str) -> Callable[[int, int, torch.dtype], Pair]:
    def pair(features: int, width: int, dtype: torch.dtype) -> Pair:
        import normflows as nf

        layers: list[Any] = []
        for _ in range(LAYERS):
            if kind == "spline":
                layer = nf.flows.AutoregressiveRationalQuadraticSpline
                layers.append(layer(features, 2, WIDTH, num_context_channels=width or None))
            else:
                layers.append(nf.flows.Reverse(nf.flows.MaskedAffineAutoregressive(features, WIDTH)))
            layers.append(nf.flows.Permute(features, mode="swap"))
        base = nf.distributions.base.DiagGaussian(features, trainable=False)
        kinds = nf.ConditionalNormalizingFlow if width else nf.NormalizingFlow
        theirs = _perturbed(kinds(base, layers), dtype, features)
        return Pair(
            interop.from_normflows(theirs),
            lambda x, c: theirs.log_prob(x, *_given(c)),
            lambda rows, c: theirs.sample(rows, *_given(None if c is None else c.expand(rows, -1)))[0],
            lambda u, c: theirs.forward(u, *_given(c)),
        )

    return pair


def _pyro(kind: str) -> Callable[[int, int, torch.dtype], Pair]:
    def pair(features: int, width: int, dtype: torch.dtype) -> Pair:
        from pyro import distributions as dist

        hidden, name = [max(WIDTH, features)] * 2, f"{kind}_autoregressive"
        make = getattr(dist.transforms, f"conditional_{name}" if width else name)
        layers = [make(*((features, width) if width else (features,)), hidden_dims=hidden) for _ in range(LAYERS)]
        for layer in layers:
            _perturbed(layer, dtype, features)
        zero, one = torch.zeros(features, dtype=dtype), torch.ones(features, dtype=dtype)
        # `.inv`: trained on data, a MAF; it draws one coordinate after the other.
        kinds = dist.ConditionalTransformedDistribution if width else dist.TransformedDistribution
        theirs: Any = kinds(dist.Normal(zero, one).to_event(1), [layer.inv for layer in layers])

        def under(c: Tensor | None) -> Any:
            return theirs if c is None else theirs.condition(c)

        def from_noise(u: Tensor, c: Tensor | None) -> Tensor:
            with by_default(dtype):  # Pyro's inverse begins with zeros of the default precision
                for transform in under(c).transforms:
                    u = transform(u)
            return u

        def sample(rows: int, c: Tensor | None) -> Tensor:
            with by_default(dtype):
                drawn: Tensor = under(c).sample((rows,))
            return drawn

        return Pair(interop.from_pyro(theirs), lambda x, c: under(c).log_prob(x), sample, from_noise)

    return pair


def _given(c: Tensor | None) -> tuple[Tensor, ...]:
    return () if c is None else (c,)


MODELS: dict[str, Callable[[int, int, torch.dtype], Pair]] = {
    "zuko MAF": _zuko("MAF"),
    "zuko NSF": _zuko("NSF"),
    "nflows MAF": _nflows("MaskedAffineAutoregressiveTransform"),
    "nflows NSF": _nflows("MaskedPiecewiseRationalQuadraticAutoregressiveTransform"),
    "normflows MAF": _normflows("affine"),
    "normflows NSF": _normflows("spline"),
    "Pyro MAF": _pyro("affine"),
    "Pyro NSF": _pyro("spline"),
}
WITHOUT_CONTEXT = ("normflows MAF",)  # its flows from noise to data take contexts, their reversal does not
