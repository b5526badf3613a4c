"""The layers of nflows that have a network, as bijections of ours; as there, from data to noise."""

from typing import Any

import torch
from torch import Tensor, nn

from ..bijections import Autoregressive, Bijection, Coupling
from ..conditioners import MLP, ResidualMLP
from ..univariate import Additive, Affine, Exp, Scale, Softplus, Univariate
from .activations import activation
from .dense_networks import mlp, residual_mlp, sequential_mlp
from .masked_networks import conditioner_of
from .rational_splines import own_splines, rows_of, spline_of
from .scales import KNOWN, recognised
from .unsupported import Unsupported, named
from .weights import Rows, coordinate_by_coordinate, plain_rows, write


def autoregressive(transform: Any, place: str) -> Autoregressive:
    """Affine or rational-quadratic maps by a MADE."""
    from nflows.transforms import MaskedAffineAutoregressiveTransform

    made, where = transform.autoregressive_net, f"{place}.autoregressive_net"
    features = made.initial_layer.in_features
    if isinstance(transform, MaskedAffineAutoregressiveTransform):
        rows = plain_rows(coordinate_by_coordinate(features, (1, 0), 2))  # theirs are (scale, shift)
        return Autoregressive(_conditioner(made, where, rows), Affine(Softplus(transform._epsilon)))
    spline = spline_of(transform, place)
    return Autoregressive(_conditioner(made, where, rows_of(spline, features, made)), spline)


def _conditioner(made: Any, place: str, rows: Rows) -> Any:
    context = hasattr(made, "context_layer")
    return conditioner_of(
        made,
        place,
        rows,
        context=context,
        shifted_by=activation(made.activation, f"{place}.activation") if context else None,
        shifted_inside=True,
        start_active=not made.use_residual_blocks,
    )


def coupling(transform: Any, place: str) -> list[Bijection]:
    """Maps of the transformed coordinates by what the others are; then maps of the others that read nothing."""
    from nflows.transforms import AffineCouplingTransform

    kept = torch.zeros(transform.features, dtype=torch.bool)
    kept[transform.identity_features.cpu()] = True
    changed = len(transform.transform_features)
    univariate: Univariate
    if isinstance(transform, AffineCouplingTransform):
        univariate, rows = _affine(transform, place, changed)
    else:
        univariate = spline = spline_of(transform, place)
        rows = rows_of(spline, changed, transform.transform_net)
    network = _network(transform.transform_net, f"{place}.transform_net", rows)
    parts: list[Bijection] = [Coupling(tuple(kept.tolist()), network, univariate, network.context_features)]
    if transform.unconditional_transform is not None:
        own = _own_splines(transform.unconditional_transform, f"{place}.unconditional_transform")
        parts.append(Coupling(tuple((~kept).tolist()), *own))
    return parts


def own_spline(transform: Any, place: str) -> Coupling:
    """Splines by parameters of their own."""
    network, spline = _own_splines(transform, place)
    return Coupling((False,) * (network.outputs // spline.num_params), network, spline)


def _own_splines(transform: Any, place: str) -> Any:
    from nflows.transforms import PiecewiseRationalQuadraticCDF

    if not isinstance(transform, PiecewiseRationalQuadraticCDF):
        raise Unsupported(place, f"a {named(transform)} has no equal here")
    return own_splines(transform, place)


def _network(net: Any, place: str, rows: Rows) -> MLP | ResidualMLP:
    from nflows.nn.nets import ResidualNet

    if isinstance(net, ResidualNet):
        if not net.initial_layer.in_features - (net.context_features or 0):
            raise Unsupported(place, "a residual network that reads no coordinate")
        return residual_mlp(net, place, rows, context=net.context_features is not None)
    predictor = getattr(net, "spline_predictor", None)  # of sbi, for a single parameter: it reads the context alone
    if isinstance(predictor, nn.Sequential):
        layers: list[Any] = list(predictor)
        width = layers[0].in_features
        return sequential_mlp(layers, f"{place}.spline_predictor", rows, context_features=width)
    raise Unsupported(place, f"a {named(net)} where a ResidualNet is expected")


def _affine(transform: Any, place: str, count: int) -> tuple[Additive | Affine, Rows]:
    """Theirs lie parameter by parameter, (shift, scale)."""
    blocks = list(torch.arange(transform._transform_dim_multiplier() * count).split(count))
    if len(blocks) == 1:
        return Additive(), plain_rows(blocks)
    return Affine(_scale(transform, place)), plain_rows(blocks)


def _scale(transform: Any, place: str) -> Scale:
    """The form of its scale, by its values."""
    count = len(transform.transform_features)

    def values(a: Tensor) -> Tensor:
        params = torch.cat([a.new_zeros(len(a), count), a[:, None].expand(-1, count)], 1)
        scales: Tensor = transform._scale_and_shift(params)[0]
        return scales[:, 0]

    scale = recognised(values)
    if scale is None:
        raise Unsupported(place, f"a {named(transform)} whose scale is none of {KNOWN}")
    return scale


def context_affine(encoder: Any, place: str, features: int, context_features: int) -> Coupling:
    """loc(c) + exp(log_scale(c)) u, from one network of the context."""
    layers = list(encoder) if isinstance(encoder, nn.Sequential) else [encoder]
    linears = [layer for layer in layers if type(layer) is nn.Linear]
    width = linears[0].in_features if linears else context_features or 2 * features
    probe = torch.zeros(1)
    if isinstance(encoder, nn.Identity) or (not isinstance(encoder, nn.Module) and encoder(probe) is probe):
        layers = [_identity(2 * features)]
    if len(layers) == 1 and type(layers[0]) is nn.Linear:  # an MLP has two layers or more
        first = layers[0]
        last = _identity(first.out_features).to(first.weight)
        network = mlp([first, last], nn.LeakyReLU(1.0), None, context_features=width)
    else:
        network = sequential_mlp(layers, place, None, context_features=width)
    return Coupling((False,) * features, network, Affine(Exp()), width)


def _identity(size: int) -> nn.Linear:
    linear = nn.Linear(size, size)
    write(linear, torch.eye(size), None)
    return linear
