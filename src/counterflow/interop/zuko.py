"""Flows of zuko as flows of ours."""

import copy
import functools
import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn

from ..bases import Base
from ..bijections import Autoregressive, Bijection, Chain, Coupling, LULinear, Permutation
from ..conditioners import Constant
from ..flow import Flow
from ..univariate import Additive, Affine, BoundedExp, SoftclippedRationalQuadratic, Univariate
from .diagonal import constant_affine, learnt_affine
from .libraries import library
from .lu import inverted, lu_linear
from .normal_bases import normal_base
from .overridden import refuse_overridden
from .unsupported import Unsupported, named
from .verifying import ROWS, verified
from .weights import Rows, coordinate_by_coordinate, plain_rows, write_parameter
from .zuko_networks import conditioner, dense_network


def from_zuko(flow: nn.Module) -> Flow:
    """A flow of zuko as a `Flow`: the same density and the same samples for the same noise, with the fast inverse.

    The result shares nothing with the original. It is in evaluation mode, in the precision and on the device of the
    original.

    Args:
        flow: A `zuko.flows.Flow` (MAF, NSF, NICE, or one put together by hand) of masked autoregressive, coupling and
            elementwise transforms with affine, additive or rational-quadratic univariate maps, permutations, LU and
            affine transforms, their inverses, and a diagonal normal base.

    Returns:
        The flow; called with a context where the original is.

    Raises:
        ImportError: zuko is not installed.
        Unsupported: a part that has no equal here, named with its place.

    Warns:
        UntestedVersion: another version of zuko than those tested.

    Error: rounding; the conversion compares log densities at random points before it returns.
    """
    zuko = library("zuko")
    if not isinstance(flow, zuko.flows.Flow):
        raise Unsupported("flow", f"expected a zuko.flows.Flow, before it is given a context, got a {named(flow)}")
    refuse_overridden(flow, "zuko")
    with torch.random.fork_rng(devices=[]):  # starting weights are drawn, and then overwritten
        base, parts = _base(flow.base)
        parts += inverted(_parts(flow.transform, "transform", base.features))
        parts = parts or [Permutation(range(base.features))]
        converted = Flow(base, Chain(parts) if len(parts) > 1 else parts[0])
    # Copies in double precision, to tell a mistake from rounding.
    original, doubled = (copy.deepcopy(one).eval().to("cpu", torch.float64) for one in (flow, converted))
    context = None
    if converted.context_features:
        generator = torch.Generator().manual_seed(1)
        context = torch.randn(ROWS, converted.context_features, generator=generator, dtype=torch.float64)

    def theirs(x: Tensor, context: Tensor | None) -> Tensor:
        log_prob: Tensor = original(context).log_prob(x)
        return log_prob

    weights = next((p.dtype for p in flow.parameters()), torch.float32)
    verified(doubled, theirs, context=context, origin="flow", weights=weights)
    return converted.eval()


def _parts(transform: Any, place: str, features: int) -> list[Bijection]:
    """The bijections x -> z that a lazy transform applies, the first one first."""
    import zuko

    match transform:
        case zuko.lazy.LazyComposedTransform():
            inner = enumerate(transform.transforms)
            return [part for i, each in inner for part in _parts(each, f"{place}.transforms[{i}]", features)]
        case zuko.lazy.LazyInverse():
            return inverted(_parts(transform.transform, f"{place}.transform", features))
        case zuko.flows.MaskedAutoregressiveTransform():
            return [_autoregressive(transform, place, features)]
        case zuko.flows.GeneralCouplingTransform():
            return [_coupling(transform, place)]
        case zuko.flows.ElementWiseTransform():
            return [_elementwise(transform, place, features)]
        case zuko.lazy.UnconditionalTransform():
            return _unconditional(transform, place, features)
    raise Unsupported(place, f"a {named(transform)} has no equal here")


def _autoregressive(transform: Any, place: str, features: int) -> Autoregressive:
    univariate = _univariate(transform, place)
    net = conditioner(transform.hyper, f"{place}.hyper", _rows(features, univariate), features)
    return Autoregressive(net, univariate)


def _coupling(transform: Any, place: str) -> Coupling:
    univariate = _univariate(transform, place)
    kept = tuple(bool(k) for k in transform.mask.tolist())
    context_features = transform.hyper.in_features - sum(kept)
    rows = _rows(len(kept) - sum(kept), univariate)
    return Coupling(
        kept, dense_network(transform.hyper, f"{place}.hyper", rows, context_features), univariate, context_features
    )


def _elementwise(transform: Any, place: str, features: int) -> Coupling:
    """Maps that read nothing but the context: a coupling that keeps no coordinate."""
    univariate = _univariate(transform, place)
    kept, hyper = (False,) * features, getattr(transform, "hyper", None)
    if hyper is not None:
        net = dense_network(hyper, f"{place}.hyper", _rows(features, univariate), hyper.in_features)
        return Coupling(kept, net, univariate, hyper.in_features)
    constant = Constant(features * univariate.num_params).to(transform.phi[0])
    rows = torch.cat([phi.detach().reshape(features, -1).T for phi in transform.phi])  # (P, D)
    write_parameter(constant.value, rows.reshape(-1))
    return Coupling(kept, constant, univariate)


def _univariate(transform: Any, place: str) -> Univariate:
    """The univariate map x -> z."""
    import zuko

    given = transform.univariate
    whole: Any = given if isinstance(given, functools.partial) else functools.partial(given)
    kind, options, positional = whole.func, dict(whole.keywords), bool(whole.args)
    shapes = [tuple(shape) for shape in transform.shapes]
    maps = zuko.transforms
    if kind in (maps.MonotonicAffineTransform, maps.MonotonicRQSTransform) and not positional:
        slope = options.pop("slope", None) or _default(kind, "slope")  # another one in each version
        if kind is maps.MonotonicAffineTransform and shapes == [(), ()] and not options:
            return Affine(BoundedExp(-math.log(slope)))
        bins = shapes[0][0] if shapes and shapes[0] else 0
        if shapes == [(bins,), (bins,), (bins - 1,)] and options.keys() <= {"bound"}:
            bound = float(options.get("bound") or _default(kind, "bound"))
            return SoftclippedRationalQuadratic(bins, bound, slope)
    if kind is getattr(maps, "AdditiveTransform", None) and shapes == [()] and not (options or positional):
        return Additive()
    name = named(kind) if isinstance(kind, nn.Module) else getattr(kind, "__qualname__", repr(kind))
    raise Unsupported(
        f"{place}.univariate", f"{name} with parameters of shapes {shapes} and options {options} has no equal here"
    )


def _default(kind: Any, name: str) -> float:
    return float(inspect.signature(kind).parameters[name].default)


def _rows(count: int, univariate: Univariate) -> Rows:
    """Theirs lie coordinate by coordinate, in our order of the parameters."""
    width = univariate.num_params
    return plain_rows(coordinate_by_coordinate(count, range(width), width))


def _unconditional(transform: Any, place: str, features: int) -> list[Bijection]:
    """The bijections x -> z of a transform without context, in the order in which they act."""
    import zuko

    made, learnt = transform(), bool(list(transform.parameters()))
    match made:
        case zuko.transforms.IdentityTransform():
            return []
        case zuko.transforms.PermutationTransform():
            return [Permutation(made.order.tolist())]
        case zuko.transforms.LULinearTransform() if made.L.dim() == 2:
            return [_lu(made.L.detach(), made.U.detach(), place)]
        case torch.distributions.AffineTransform():
            return [_affine(made.loc, made.scale, place, features, learnt=learnt)]
        case zuko.transforms.MonotonicAffineTransform():
            return [_affine(made.shift, made.scale, place, features, learnt=learnt)]
    raise Unsupported(place, f"a {named(made)} has no equal here")


def _lu(lower: Tensor, upper: Tensor, place: str) -> LULinear:
    """L U with the scales in L, as one with the scales in U."""
    diagonal = lower.diagonal()
    if not bool((diagonal > 0).all()):
        raise Unsupported(place, "an LU transform with a diagonal that is not positive")
    return lu_linear(lower / diagonal, diagonal[:, None] * upper)


def _affine(loc: Any, scale: Any, place: str, features: int, *, learnt: bool) -> Bijection:
    """z = loc + scale x, one of each per coordinate or the same for all."""
    like = next((v for v in (loc, scale) if isinstance(v, Tensor)), torch.zeros(()))
    loc, scale = (torch.as_tensor(v).detach().to(like).expand(features).clone() for v in (loc, scale))
    if not bool((scale > 0).all()):
        raise Unsupported(place, "an affine transform with a scale that is not positive")
    if not learnt:
        return constant_affine(loc, scale)
    return learnt_affine(loc, scale.log())


def _base(base: Any) -> tuple[Base, list[Bijection]]:
    """The base, and what maps its noise to that of zuko: constants stay constants, parameters stay parameters."""
    import zuko

    made = base() if isinstance(base, zuko.lazy.UnconditionalDistribution) else None
    if not isinstance(made, zuko.distributions.DiagNormal) or made.event_shape != made.base_dist.loc.shape:
        raise Unsupported(
            "base", f"expected a DiagNormal without context, got a {named(base if made is None else made)}"
        )
    loc, scale = made.base_dist.loc.detach(), made.base_dist.scale.detach()
    if not bool((scale > 0).all()):
        raise Unsupported("base", "a DiagNormal with a scale that is not positive")
    if list(base.parameters()):
        return normal_base(loc, scale.log(), trainable=True), []
    standard = bool((loc == 0).all() and (scale == 1).all())
    zeros = torch.zeros_like(loc)
    return normal_base(zeros, zeros, trainable=False), [] if standard else [constant_affine(loc, scale)]
