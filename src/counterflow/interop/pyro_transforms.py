"""Pyro's transforms with a network or a spline as bijections of ours, from noise to data."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..bijections import Autoregressive, Bijection, Coupling
from ..conditioners import Constant
from ..univariate import Additive, Affine, ClippedExp, Composed, LinearRational, RationalQuadratic, ShiftedSigmoid
from .pyro_networks import autoregressive_network, dense_network
from .unsupported import Unsupported
from .weights import Rows, plain_rows, rows, spline_rows, write_parameter

Spline = RationalQuadratic | LinearRational

# What `_monotonic_rational_spline` of Pyro uses; the slope at the ends of the box is 1 - 1e-3, not 1.
MIN_BIN, MIN_SLOPE, EDGE_SLOPE, MIN_LAMBDA = 1e-3, 1e-3, 1 - 1e-3, 0.025
CLIPS = {"log_scale_min_clip": -5.0, "log_scale_max_clip": 3.0}


def affine_autoregressive(transform: Any, place: str) -> list[Bijection]:
    """exp(s) u + m, or in the stable form sigmoid(s + b) u + (1 - sigmoid(s + b)) m."""
    return _affine_autoregressive(transform.arn, f"{place}.arn", vars(transform), context=False)


def conditional_affine_autoregressive(transform: Any, place: str) -> list[Bijection]:
    """The same with a context."""
    return _affine_autoregressive(transform.nn, f"{place}.nn", transform.kwargs, context=True)


def _affine_autoregressive(arn: Any, place: str, options: dict[str, Any], *, context: bool) -> list[Bijection]:
    if getattr(arn, "param_dims", [1, 1]) != [1, 1]:
        raise Unsupported(place, f"a network with parameters {arn.param_dims} where a mean and a scale are expected")
    features = getattr(arn, "input_dim", 1)
    mean, scale = torch.arange(features), torch.arange(features) + features
    if options.get("stable", False):
        # sigma u + (1 - sigma) m = m + sigma (u - m): a shift by -m, and an affine map.
        sigmoid = ShiftedSigmoid(float(options.get("sigmoid_bias", 2.0)), 0.0)
        rows_of = rows([mean, mean, scale], [-1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
        stable = Composed((Additive(), Affine(sigmoid)))
        return [Autoregressive(autoregressive_network(arn, place, rows_of, context=context), stable)]
    conditioner = autoregressive_network(arn, place, plain_rows([mean, scale]), context=context)
    return [Autoregressive(conditioner, _clipped(options))]


def _clipped(options: dict[str, Any]) -> Affine:
    low, high = (float(options.get(name, default)) for name, default in CLIPS.items())
    return Affine(ClippedExp(low, high))


def spline_autoregressive(transform: Any, place: str) -> list[Bijection]:
    """A spline of each coordinate, by the coordinates before it."""
    spline = _spline(transform.spline.count_bins, transform.spline.bound, transform.spline.order)
    return _spline_autoregressive(transform.arn, f"{place}.arn", spline, context=False)


def conditional_spline_autoregressive(transform: Any, place: str) -> list[Bijection]:
    """The same with a context."""
    options = {"count_bins": 8, "bound": 3.0, "order": "linear", **transform.kwargs}
    spline = _spline(options["count_bins"], options["bound"], options["order"])
    return _spline_autoregressive(transform.nn, f"{place}.nn", spline, context=True)


def _spline_autoregressive(arn: Any, place: str, spline: Spline, *, context: bool) -> list[Bijection]:
    _check_params(arn, place, spline, getattr(arn, "param_dims", None), 1)
    features = getattr(arn, "input_dim", 1)
    rows_of = _rows([torch.arange(features) + p * features for p in range(spline.num_params)], spline)
    return [Autoregressive(autoregressive_network(arn, place, rows_of, context=context), spline)]


def affine_coupling(transform: Any, place: str) -> list[Bijection]:
    """The first coordinates as they are, the others exp(s) u + m."""
    return _affine_coupling(transform, place, {**vars(transform)}, context=False)


def conditional_affine_coupling(transform: Any, place: str) -> list[Bijection]:
    """The same with a context."""
    return _affine_coupling(transform, place, transform.kwargs, context=True)


def _affine_coupling(transform: Any, place: str, options: dict[str, Any], *, context: bool) -> list[Bijection]:
    if options.get("dim", -1) != -1:
        raise Unsupported(place, f"a coupling along axis {options['dim']}: only vectors are known here")
    net, where = transform.nn, f"{place}.nn"
    dims = getattr(net, "param_dims", [0, 0])
    if len(dims) != 2 or dims[0] != dims[1]:
        raise Unsupported(where, f"a network with parameters {dims} where a mean and a scale are expected")
    mean, scale = torch.arange(dims[0]), torch.arange(dims[0]) + dims[0]
    network = dense_network(net, where, plain_rows([mean, scale]), context=context)
    kept = (True,) * transform.split_dim + (False,) * dims[0]
    return [Coupling(kept, network, _clipped(options), network.context_features)]


def spline_coupling(transform: Any, place: str) -> list[Bijection]:
    """Splines of the last coordinates by the first ones, and of the first ones by nothing unless they stay."""
    upper, split = transform.upper_spline, transform.split_dim
    spline, count = _spline(upper.count_bins, upper.bound, upper.order), upper.input_dim
    where = f"{place}.upper_spline.nn"
    _check_params(upper.nn, where, spline, getattr(upper.nn, "param_dims", None), count)
    network = dense_network(upper.nn, where, _rows(_coordinate_major(spline, count), spline), context=False)
    kept = (True,) * split + (False,) * count
    parts: list[Bijection] = [Coupling(kept, network, spline)]
    if not transform.identity:
        lower = transform.lower_spline
        lower_spline, free = _free(lower)
        own = tuple(not k for k in kept)
        parts.append(Coupling(own, _constant(free, lower_spline), lower_spline))
    return parts


def elementwise_spline(transform: Any, place: str) -> list[Bijection]:
    """A spline of each coordinate."""
    spline, free = _free(transform)
    return [Coupling((False,) * transform.input_dim, _constant(free, spline), spline)]


def conditional_spline(transform: Any, place: str) -> list[Bijection]:
    """A spline of each coordinate, by the context alone."""
    spline, count = _spline(transform.count_bins, transform.bound, transform.order), transform.input_dim
    where = f"{place}.nn"
    _check_params(transform.nn, where, spline, getattr(transform.nn, "param_dims", None), count)
    network = dense_network(transform.nn, where, _rows(_coordinate_major(spline, count), spline), context=False)
    network.features, network.context_features = 0, network.features  # all that it reads is the context
    return [Coupling((False,) * count, network, spline, network.context_features)]


def _free(transform: Any) -> tuple[Spline, Tensor]:
    """The spline and its free parameters, (D, P)."""
    spline = _spline(transform.count_bins, transform.bound, transform.order)
    names = ["widths", "heights", "derivatives", "lambdas"][: 4 if transform.order == "linear" else 3]
    return spline, torch.cat([getattr(transform, f"unnormalized_{name}").detach() for name in names], -1)


def _constant(free: Tensor, spline: Spline) -> Constant:
    count, params = free.shape
    weight, offset = _rows([torch.arange(count) + p * count for p in range(params)], spline).translate(
        free.T.reshape(-1, 1), None
    )
    constant = Constant(free.numel()).to(free)
    write_parameter(constant.value, weight[:, 0] + offset)
    return constant


def _spline(bins: int, bound: float, order: str) -> Spline:
    if order == "linear":
        return LinearRational(bins, float(bound), MIN_BIN, MIN_SLOPE, MIN_LAMBDA, EDGE_SLOPE)
    return RationalQuadratic(bins, float(bound), MIN_BIN, MIN_SLOPE, EDGE_SLOPE)


def _dims(spline: Spline) -> list[int]:
    linear = [spline.bins] if isinstance(spline, LinearRational) else []
    return [spline.bins, spline.bins, spline.bins - 1, *linear]


def _coordinate_major(spline: Spline, count: int) -> list[Tensor]:
    """Widths of all coordinates, then heights and so on, each coordinate by coordinate: where each of ours lies."""
    blocks, start = [], 0
    for width in _dims(spline):
        blocks += [start + torch.arange(count) * width + p for p in range(width)]
        start += width * count
    return blocks


def _rows(blocks: list[Tensor], spline: Spline) -> Rows:
    return spline_rows(blocks, spline.bins, MIN_SLOPE, edge_slope=EDGE_SLOPE)


def _check_params(net: Any, place: str, spline: Spline, dims: list[int] | None, count: int) -> None:
    expected = [width * count for width in _dims(spline)]
    if dims is not None and list(dims) != expected:
        raise Unsupported(place, f"a network with parameters {list(dims)} where {expected} are those of the spline")


TRANSFORMS: dict[str, Callable[[Any, str], list[Bijection]]] = {
    "AffineAutoregressive": affine_autoregressive,
    "ConditionalAffineAutoregressive": conditional_affine_autoregressive,
    "SplineAutoregressive": spline_autoregressive,
    "ConditionalSplineAutoregressive": conditional_spline_autoregressive,
    "AffineCoupling": affine_coupling,
    "ConditionalAffineCoupling": conditional_affine_coupling,
    "SplineCoupling": spline_coupling,
    "Spline": elementwise_spline,
    "ConditionalSpline": conditional_spline,
}
