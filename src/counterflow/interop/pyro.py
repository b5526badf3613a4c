"""Distributions of Pyro as flows of ours, `from_pyro`: the stack, its layers without a network, its base."""

import itertools
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from ..bases import Base
from ..bijections import Bijection, Chain, DiagonalAffine, Inverse, Permutation, Standardise
from ..flow import Flow
from .libraries import library
from .normal_bases import normal_base
from .precision import by_default
from .pyro_transforms import TRANSFORMS
from .unsupported import Unsupported, named
from .verifying import ROWS, verified


def from_pyro(distribution: Any) -> Flow:
    """A flow with the density of a `TransformedDistribution` of Pyro, or of a `ConditionalTransformedDistribution`.

    Affine and spline autoregressive transforms (Pyro's linear-rational splines included), affine and spline couplings,
    elementwise splines, all of these with a context where Pyro has one, permutations, batch normalisation in evaluation
    mode, affine transforms of torch; each also as its `.inv` and in a composition; over a normal base.

    Args:
        distribution: With one event axis, without batch axes; a conditional one before `condition(...)`.

    Raises:
        ImportError: Pyro is not installed.
        Unsupported: a part that has no equal here, with its place; or one whose density differs.

    Error: rounding; the conversion scores random points with both and refuses where they differ. Within 1e-6 right of a
        knot Pyro evaluates the spline's formula of the bin at the left, ours that of the bin which holds the point.
    """
    pyro = library("pyro-ppl")
    conditional = type(distribution) is pyro.distributions.conditional.ConditionalTransformedDistribution
    if not conditional and not isinstance(distribution, td.TransformedDistribution):
        raise Unsupported("distribution", f"a {named(distribution)} is not a TransformedDistribution")
    base_dist = distribution.base_dist
    if conditional:
        if not hasattr(base_dist, "base_dist"):
            raise Unsupported("distribution.base_dist", f"a {named(base_dist)}, conditional itself")
        base_dist = base_dist.base_dist
    loc, scale = _normal(base_dist)
    with torch.random.fork_rng(devices=[]):  # starting weights are drawn, and replaced
        parts = [_parts(t, f"distribution.transforms[{i}]", len(loc)) for i, t in enumerate(distribution.transforms)]
        chained = list(itertools.chain.from_iterable(parts))
        like = _like(chained, loc)
        base = _base(loc, scale)
        flow = Flow(base, chained[0] if len(chained) == 1 else Chain(chained or [Permutation(range(len(loc)))])).to(
            like
        )

    contexts = _contexts(flow, like) if conditional else None
    _check_event(distribution.condition(contexts) if conditional else distribution)
    normals = td.Independent(td.Normal(loc, scale, validate_args=False), 1, validate_args=False)

    def log_prob(x: Tensor, context: Tensor | None) -> Tensor:
        transforms = distribution.condition(context).transforms if conditional else distribution.transforms
        theirs = td.TransformedDistribution(normals, transforms, validate_args=False)  # its draws may be infinite
        with by_default(x.dtype):  # Pyro inverts affine autoregressive transforms in no other
            scores: Tensor = theirs.log_prob(x)
        for transform in transforms:
            getattr(transform, "clear_cache", list)()
        return scores

    return verified(flow, log_prob, context=contexts, origin="distribution")


def _check_event(distribution: td.TransformedDistribution) -> None:
    batch, event = tuple(distribution.base_dist.batch_shape), tuple(distribution.event_shape)
    if batch or len(event) != 1:
        shapes = f"batch shape {batch} and event shape {event}"
        raise Unsupported("distribution", f"{shapes}: only one vector is known here; to_event(1) on the base makes one")


def _contexts(flow: Flow, like: Tensor) -> Tensor:
    if not flow.context_features:
        raise Unsupported("distribution", "a ConditionalTransformedDistribution none of whose parts reads a context")
    generator = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, flow.context_features, generator=generator, dtype=like.dtype).to(like.device)


def _like(parts: list[Bijection], loc: Tensor) -> Tensor:
    parameters = itertools.chain.from_iterable(part.parameters() for part in parts)
    return next((p for p in parameters if p.is_floating_point()), loc)


def _parts(transform: Any, place: str, features: int) -> list[Bijection]:
    """The parts of a transform, from noise to data."""
    pyro = library("pyro-ppl").distributions
    kind = type(transform)
    if kind is pyro.conditional.ConstantConditionalTransform:
        return _parts(transform.transform, place, features)
    if kind is td.transforms._InverseTransform:
        return _inverted(transform._inv, place, features)
    if kind.__name__ == "_ConditionalInverseTransformModule":
        return _inverted(transform._transform, place, features)
    if kind in (td.ComposeTransform, pyro.torch_transform.ComposeTransformModule):
        members = [_parts(part, f"{place}.parts[{i}]", features) for i, part in enumerate(transform.parts)]
        return list(itertools.chain.from_iterable(members))
    if kind is pyro.conditional.ConditionalComposeTransformModule:
        members = [_parts(part, f"{place}.transforms[{i}]", features) for i, part in enumerate(transform.transforms)]
        return list(itertools.chain.from_iterable(members))
    if kind is td.IndependentTransform:
        return _parts(transform.base_transform, f"{place}.base_transform", features)
    if kind is pyro.transforms.Permute:
        if transform.dim != -1:
            raise Unsupported(place, f"a permutation along axis {transform.dim}: only vectors are known here")
        return [Permutation(transform.permutation.tolist())]
    if kind is pyro.transforms.BatchNorm:
        return [_batch_norm(transform, place)]
    if kind is td.AffineTransform:
        return [_affine(transform, place, features)]
    if kind.__name__ in TRANSFORMS and getattr(pyro.transforms, kind.__name__, None) is kind:
        return TRANSFORMS[kind.__name__](transform, place)
    raise Unsupported(place, f"a {named(transform)} has no equal here")


def _inverted(transform: Any, place: str, features: int) -> list[Bijection]:
    parts = _parts(transform, f"{place}.inv", features)
    return [part.bijection if isinstance(part, Inverse) else Inverse(part) for part in reversed(parts)]


@torch.no_grad()
def _batch_norm(transform: Any, place: str) -> Bijection:
    """(u - beta) / gamma sqrt(var + eps) + mean, with the averages that training has left behind."""
    if transform.training:
        raise Unsupported(place, "batch normalisation in training mode depends on the batch: call eval() on it first")
    scale = torch.sqrt(transform.moving_variance + transform.epsilon) / transform.constrained_gamma
    ours = DiagonalAffine(transform.input_dim).to(scale)
    ours.loc.copy_(transform.moving_mean - transform.beta * scale)
    ours.log_scale.copy_(scale.log())
    return ours


def _affine(transform: td.AffineTransform, place: str, features: int) -> Bijection:
    loc, scale = torch.as_tensor(transform.loc), torch.as_tensor(transform.scale)
    if not bool((scale > 0).all()) or max(loc.dim(), scale.dim()) > 1:
        raise Unsupported(place, "an affine transform without one positive scale for each coordinate of a vector")
    return Standardise(*(values.expand(features).tolist() for values in (loc, scale)))


def _normal(base: Any) -> tuple[Tensor, Tensor]:
    """Location and scale of independent normals, (D,)."""
    while isinstance(base, td.Independent):
        base = base.base_dist
    if not isinstance(base, td.Normal) or len(base.batch_shape) != 1:
        shape = "" if not isinstance(base, td.Normal) else f" of batch shape {tuple(base.batch_shape)}"
        raise Unsupported("distribution.base_dist", f"a {named(base)}{shape}: only normals of a vector are known here")
    return base.loc, base.scale


def _base(loc: Tensor, scale: Tensor) -> Base:
    trainable = loc.requires_grad or scale.requires_grad
    return normal_base(loc.detach(), scale.detach().log(), trainable=trainable)
