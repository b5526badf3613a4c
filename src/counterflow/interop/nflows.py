"""Flows of nflows as flows of ours, `from_nflows`: the stack, its linear layers and its bases."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..bases import Base
from ..bijections import Bijection, Chain, Permutation
from ..densities import detached
from ..flow import Flow
from .diagonal import constant_affine, learnt_affine
from .libraries import library
from .lu import inverted, lu_linear
from .nflows_layers import autoregressive, context_affine, coupling, own_spline
from .normal_bases import normal_base
from .overridden import refuse_overridden
from .unsupported import Unsupported, named
from .verifying import ROWS, verified


def from_nflows(flow: nn.Module, *, context: Tensor | None = None) -> Flow:
    """A flow of nflows as a `Flow`: the same density and the same samples for the same noise, with the fast inverse.

    What is converted is the flow as it is in evaluation mode: dropout is off, batch normalisation uses its averages and
    becomes a map with constants of its own to train. The result shares nothing with the original and is in
    evaluation mode too. An embedding net is copied as it is and becomes the context encoder.

    Args:
        flow: A `nflows.flows.Flow` of masked autoregressive and coupling transforms, affine or rational-quadratic, of
            permutations, linear layers, normalisations and fixed affine transforms, and their inverses, over a normal
            base.
        context: Some contexts as the flow takes them, (N, ...), at which the conversion is checked; by default it is
            checked behind the embedding net, at standard normal numbers.

    Raises:
        ImportError: nflows is not installed.
        Unsupported: a part that has no equal here, named with its place.
        ValueError: contexts that do not fit the flow.

    Warns:
        UntestedVersion: another version of nflows than those tested.

    Error: rounding; the conversion compares log densities at random points before it returns.
    """
    library("nflows")
    from nflows.flows.base import Flow as Theirs

    if not isinstance(flow, Theirs):
        raise Unsupported("flow", f"expected a nflows.flows.Flow, got a {named(flow)}")
    looked_at = frozenset({"_scale_and_shift", "_transform_dim_multiplier"})
    refuse_overridden(flow, "nflows", allowed=looked_at, kept="_embedding_net")
    original: Any = detached(flow).eval()
    for part in original.modules():
        if hasattr(part, "using_cache"):
            part.using_cache = False
    with torch.random.fork_rng(devices=[]):  # starting weights are drawn, and then overwritten
        features = _features(original._distribution)
        parts = inverted(_parts(original._transform, "_transform", features))
        base, first = _base(original._distribution, "_distribution", _width(parts))
        parts = [*first, *parts] or [Permutation(range(base.features))]
        like = next((t for t in (*original.parameters(), *original.buffers()) if t.is_floating_point()), torch.empty(0))
        bare = Flow(base, Chain(parts) if len(parts) > 1 else parts[0]).to(like.device, _dtype(original)).eval()
        contexts = _contexts(bare, original._embedding_net, context)
    encoder, original._embedding_net = original._embedding_net, nn.Identity()

    # Copies in double precision, to tell a mistake from rounding.
    exact, doubled = (copy.deepcopy(one).to("cpu", torch.float64) for one in (original, bare))

    def theirs(x: Tensor, context: Tensor | None) -> Tensor:
        log_prob: Tensor = exact.log_prob(x, context=context)
        return log_prob

    given = None if contexts is None else contexts.to("cpu", torch.float64)
    verified(doubled, theirs, context=given, origin="flow", weights=_dtype(original))
    if not bare.context_features or isinstance(encoder, nn.Identity):
        return bare
    return Flow(bare.base, bare.bijection, context_encoder=copy.deepcopy(flow._embedding_net)).eval()


def _dtype(original: nn.Module) -> torch.dtype:
    """That of the weights: a base of nflows keeps a constant in float64 besides."""
    return next((p.dtype for p in original.parameters() if p.is_floating_point()), torch.get_default_dtype())


def _width(parts: list[Bijection]) -> int:
    return max((part.context_features for part in parts), default=0)


@torch.no_grad()
def _contexts(flow: Flow, encoder: nn.Module, given: Tensor | None) -> Tensor | None:
    """What the transforms see, (ROWS, M), when they are checked.

    Raises:
        ValueError: contexts that were given do not fit the flow.
    """
    if not flow.context_features:
        if given is not None:
            raise ValueError("this flow takes no context, got one to check the conversion at")
        return None
    like = next(flow.parameters())
    if given is None:
        generator = torch.Generator().manual_seed(1)
        drawn = torch.randn(ROWS, flow.context_features, generator=generator, dtype=like.dtype)
        return drawn.to(like.device)
    if not given.dim() or not len(given):
        raise ValueError(f"expected some contexts to check the conversion at, got shape {tuple(given.shape)}")
    encoded: Tensor = encoder(given.to(like))
    if encoded.shape[1:] not in ((flow.context_features,), (1,)):
        raise ValueError(
            f"expected contexts with {flow.context_features} features{_behind(encoder)}, got {tuple(encoded.shape[1:])}"
        )
    return encoded.expand(len(encoded), flow.context_features)[torch.arange(ROWS) % len(encoded)]


def _behind(encoder: nn.Module) -> str:
    return "" if isinstance(encoder, nn.Identity) else " behind the embedding net"


def _features(distribution: Any) -> int:
    shape = tuple(getattr(distribution, "_shape", ()))
    if len(shape) != 1:
        raise Unsupported("_distribution", f"a {named(distribution)} over events of shape {shape}, not over vectors")
    return int(shape[0])


def _parts(transform: Any, place: str, features: int) -> list[Bijection]:
    """The bijections x -> z that a transform applies, the first one first."""
    from nflows import transforms as t

    match transform:
        case t.CompositeTransform():
            inner = enumerate(transform._transforms)
            return [part for i, each in inner for part in _parts(each, f"{place}._transforms[{i}]", features)]
        case t.InverseTransform():
            return inverted(_parts(transform._transform, f"{place}._transform", features))
        case t.MaskedAffineAutoregressiveTransform() | t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform():
            return [autoregressive(transform, place)]
        case t.AffineCouplingTransform() | t.PiecewiseRationalQuadraticCouplingTransform():
            return coupling(transform, place)
        case t.PiecewiseRationalQuadraticCDF():
            return [own_spline(transform, place)]
        case t.Permutation() if transform._dim == 1:
            return [Permutation(transform._permutation.tolist())]
        case t.LULinear():
            lower, upper = transform._create_lower_upper()
            return [lu_linear(lower, upper, transform.bias)]
    return _elementwise(transform, place, features)


def _elementwise(transform: Any, place: str, features: int) -> list[Bijection]:
    from nflows import transforms as t
    from nflows.transforms.standard import PointwiseAffineTransform

    match transform:
        case t.BatchNorm():
            log_slope = transform.weight.log() - 0.5 * torch.log(transform.running_var + transform.eps)
            return [learnt_affine(transform.bias - log_slope.exp() * transform.running_mean, log_slope)]
        case t.ActNorm():
            return [learnt_affine(transform.shift, transform.log_scale)]
        case t.IdentityTransform():
            return []
        case PointwiseAffineTransform():
            return [constant_affine(transform._shift.expand(features), transform._scale.expand(features))]
    raise Unsupported(place, f"a {named(transform)} has no equal here")


def _base(distribution: Any, place: str, context_features: int) -> tuple[Base, list[Bijection]]:
    """The base, and what a context makes of its noise."""
    from nflows import distributions as d

    features = _features(distribution)
    zeros = torch.zeros(features)
    match distribution:
        case d.StandardNormal():
            return normal_base(zeros, zeros, trainable=False), []
        case d.DiagonalNormal():
            return normal_base(distribution.mean_[0], distribution.log_std_[0], trainable=True), []
        case d.ConditionalDiagonalNormal():
            encoder, where = distribution._context_encoder, f"{place}._context_encoder"
            return normal_base(zeros, zeros, trainable=False), [
                context_affine(encoder, where, features, context_features)
            ]
    raise Unsupported(place, f"a {named(distribution)} has no equal here")
