"""The layers of normflows that hold a network, as bijections of ours, from noise to data."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..bijections import Autoregressive, Bijection, Coupling, Inverse
from ..conditioners import Constant, SideBySide
from ..univariate import Additive, Affine, Composed, Exp, ShiftedSigmoid, Univariate
from .dense_networks import residual_mlp, sequential_mlp
from .masked_networks import conditioner_of
from .rational_splines import own_splines, spline_of
from .rational_splines import rows_of as spline_network_rows
from .unsupported import Unsupported, named
from .weights import coordinate_by_coordinate, plain_rows, rows, write_parameter


def _masked_affine(flow: Any, place: str, context: bool) -> list[Bijection]:
    """x = scale u + shift, both read from u: as it stands, this is the direction of an IAF."""
    made, where = flow.autoregressive_net, f"{place}.autoregressive_net"
    _check_preprocessing(made, where)
    rows_of = plain_rows(coordinate_by_coordinate(flow.features, (1, 0), 2))  # theirs are (scale, shift)
    conditioner = conditioner_of(made, where, rows_of, context=context)
    return [Autoregressive(conditioner, Affine(ShiftedSigmoid(2.0, 1e-3)))]


def _autoregressive_spline(flow: Any, place: str, context: bool) -> list[Bijection]:
    inner, place = flow.mprqat, f"{place}.mprqat"
    made, where = inner.autoregressive_net, f"{place}.autoregressive_net"
    _check_preprocessing(made, where)
    spline = spline_of(inner, place)
    rows_of = spline_network_rows(spline, made.initial_layer.in_features, made)
    return [Inverse(Autoregressive(conditioner_of(made, where, rows_of, context=context), spline))]


def _coupled_spline(flow: Any, place: str, context: bool) -> list[Bijection]:
    """Data to noise: the transformed coordinates by what the others are, then the others by maps of their own."""
    inner, place = flow.prqct, f"{place}.prqct"
    if not (len(inner.identity_features) and len(inner.transform_features)):
        raise Unsupported(place, "a coupling that keeps all of its coordinates, or none")
    spline = spline_of(inner, place)
    kept = torch.zeros(inner.features, dtype=torch.bool)
    kept[inner.identity_features.cpu()] = True
    rows_of = spline_network_rows(spline, len(inner.transform_features), inner.transform_net)
    network = residual_mlp(inner.transform_net, f"{place}.transform_net", rows_of, context=context)
    parts: list[Bijection] = [Inverse(Coupling(tuple(kept.tolist()), network, spline, network.context_features))]
    if inner.unconditional_transform is not None:
        own = own_splines(inner.unconditional_transform, f"{place}.unconditional_transform")
        parts.insert(0, Inverse(Coupling(tuple((~kept).tolist()), *own)))
    return parts


def _coupling_block(flow: Any, place: str, context: bool) -> list[Bijection]:
    """Half of the coordinates by what the other half is; shifts and scales of theirs alternate."""
    split, coupling = flow.flows[0], flow.flows[1]
    layers, where = _layers(coupling.param_map, f"{place}.flows[1].param_map")
    outputs = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
    inputs = [layer.in_features for layer in layers if isinstance(layer, nn.Linear)]
    params = 2 if coupling.scale else 1
    if not outputs or outputs[-1] % params:
        raise Unsupported(where, "a network whose outputs are not a shift and a scale of each coordinate")
    changed = outputs[-1] // params
    kept = _kept(split.mode, inputs[0] + changed, place)
    shift, *scale = coordinate_by_coordinate(changed, range(params), params)
    univariate: Univariate = Additive()
    rows_of = plain_rows([shift])
    if coupling.scale and coupling.scale_map == "sigmoid":  # u / scale + shift: a division by the scale, then a shift
        univariate = Composed((Affine(ShiftedSigmoid(2.0, 0.0)).inverted, Additive()))
        rows_of = rows([shift, scale[0], shift], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    elif coupling.scale:
        univariate = Affine(Exp() if coupling.scale_map == "exp" else ShiftedSigmoid(2.0, 0.0))
        rows_of = plain_rows([shift, scale[0]])
    return [Coupling(kept, sequential_mlp(layers, where, rows_of), univariate)]


def _kept(mode: str, features: int, place: str) -> tuple[bool, ...]:
    if "channel" in mode:
        first = (features + 1) // 2
        return tuple((i < first) != ("inv" in mode) for i in range(features))
    if "checkerboard" in mode:
        return tuple((i % 2 == 1) != ("inv" in mode) for i in range(features))
    raise Unsupported(f"{place}.flows[0]", f"a split of mode {mode!r}")


def _masked_coupling(flow: Any, place: str, context: bool) -> list[Bijection]:
    """RealNVP: networks for shift and scale that read all coordinates, those that change as zeros."""
    if flow.b.dim() != 2 or not bool(((flow.b == 0) | (flow.b == 1)).all()):
        raise Unsupported(f"{place}.b", "a mask that is not one 0 or 1 for each coordinate of a vector")
    kept = flow.b[0] > 0
    if bool(kept.all()):
        raise Unsupported(f"{place}.b", "a mask that changes nothing")
    networks: list[nn.Module] = []
    for name in ("t", "s"):
        if not isinstance(getattr(flow, name), nn.Module):  # none was given: zeros
            networks.append(Constant(int((~kept).sum())).to(flow.b).requires_grad_(False))
            continue
        layers, where = _layers(getattr(flow, name), f"{place}.{name}")
        rows_of = plain_rows([(~kept).nonzero()[:, 0].cpu()])
        networks.append(_on_kept(layers, where, rows_of, kept))
    return [Coupling(tuple(kept.tolist()), SideBySide(networks), Affine(Exp()))]


def _on_kept(layers: list[nn.Module], place: str, rows_of: Any, kept: torch.Tensor) -> nn.Module:
    """The network without the inputs that it reads as zeros."""
    whole = sequential_mlp(layers, place, rows_of)
    first: Any = whole.layers[0]
    if first.in_features != len(kept):
        raise Unsupported(place, f"a network that reads {first.in_features} of {len(kept)} coordinates")
    shorter = nn.Linear(int(kept.sum()), first.out_features).to(first.weight)
    write_parameter(shorter.weight.data, first.weight[:, kept])
    write_parameter(shorter.bias.data, first.bias)
    whole.layers[0], whole.features = shorter, shorter.in_features
    return whole


def _layers(network: Any, place: str) -> tuple[list[nn.Module], str]:
    """The layers of `normflows.nets.MLP`, or of a Sequential."""
    layers = getattr(network, "net", network)
    if not isinstance(layers, nn.Sequential):
        raise Unsupported(place, f"a {named(network)}: only linear layers with activations between them are known here")
    return list(layers), place if layers is network else f"{place}.net"


def _check_preprocessing(made: Any, place: str) -> None:
    if type(made.preprocessing) is not nn.Identity:
        raise Unsupported(f"{place}.preprocessing", f"a {named(made.preprocessing)} before the network")


LAYERS: dict[str, Callable[[Any, str, bool], list[Bijection]]] = {
    "MaskedAffineAutoregressive": _masked_affine,
    "AutoregressiveRationalQuadraticSpline": _autoregressive_spline,
    "CoupledRationalQuadraticSpline": _coupled_spline,
    "AffineCouplingBlock": _coupling_block,
    "MaskedAffineFlow": _masked_coupling,
}
