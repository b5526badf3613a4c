"""The networks of Pyro's transforms as networks of ours."""

from typing import Any

import torch
from torch import Tensor, nn

from ..conditioners import MLP, MaskedMLP, MaskedNetwork
from ..conditioners.masked_network import Activated, Dense, Shifted, Wire
from .activations import activation
from .dense_networks import linears_of, mlp
from .libraries import library
from .sorting import sorted_by_degree
from .unsupported import Unsupported, named
from .weights import Rows, write


def autoregressive_network(arn: Any, place: str, rows: Rows, *, context: bool) -> MaskedMLP | MaskedNetwork:
    """An `AutoRegressiveNN`, or the conditional one, with or without its connections past the hidden layers.

    Raises:
        Unsupported: another class, or an activation that has no equal here.
    """
    nets = library("pyro-ppl").nn
    expected = nets.ConditionalAutoRegressiveNN if context else nets.AutoRegressiveNN
    if type(arn) is not expected:
        hint = ": convert the conditional distribution, before condition(...)" if hasattr(arn, "func") else ""
        raise Unsupported(place, f"a {named(arn)} where Pyro's {expected.__name__} is expected{hint}")
    order, degrees = tuple(arn.permutation.tolist()), _degrees(arn)
    num_params, function = len(rows.index) // arn.input_dim, activation(arn.f, f"{place}.f")
    first = arn.layers[0]
    if arn.skip_layer is None:
        sizes = (arn.input_dim, num_params, tuple(len(own) for own in degrees), arn.context_dim)
        net = MaskedMLP(*sizes, activation=function, order=order, degrees=degrees).to(first.weight)
        weight, seen = _split(first, arn.context_dim)
        write(net.first, weight, first.bias)
        if net.context is not None:
            write(net.context, seen, None)
        for ours, theirs in zip(net.layers, arn.layers[1:-1], strict=True):
            target: Any = ours
            write(target, *_in_force(theirs))
        write(net.out, *rows.translate(*_in_force(arn.layers[-1])))
        return sorted_by_degree(net)
    return sorted_by_degree(_with_skips(arn, rows, function, order, degrees))


def _with_skips(
    arn: Any, rows: Rows, function: nn.Module, order: tuple[int, ...], degrees: tuple[tuple[int, ...], ...]
) -> MaskedNetwork:
    """The rows are the sum of what the last hidden layer and the inputs say."""
    last, wires, fill = len(degrees) + 1, list[Wire](), list[tuple[Tensor, Tensor | None] | None]()
    for target, theirs in enumerate(arn.layers[:-1], 1):
        weight, seen = _split(theirs, arn.context_dim if target == 1 else 0)
        wires.append(Dense(target, target - 1))
        fill.append((weight, theirs.bias))
        if target == 1 and arn.context_dim:
            wires.append(Shifted(1))
            fill.append((seen, None))
        wires.append(Activated(target, target, function))
        fill.append(None)
    weight, seen = _split(arn.skip_layer, arn.context_dim)
    wires.append(Dense(last, 0))
    fill.append(rows.translate(weight, None))
    if arn.context_dim:
        wires.append(Shifted(last))
        fill.append((rows.translate(seen, None)[0], None))
    wires.append(Dense(last, last - 1))
    fill.append(_without_offset(rows).translate(*_in_force(arn.layers[-1])))
    num_params = len(rows.index) // arn.input_dim
    net = MaskedNetwork(arn.input_dim, num_params, degrees, tuple(wires), arn.context_dim, order=order)
    net = net.to(arn.layers[0].weight)
    for ours, values in zip(net.layers, fill, strict=True):
        layer: Any = ours
        if values is not None:
            write(layer, *values)
    return net


def dense_network(net: Any, place: str, rows: Rows, *, context: bool) -> MLP:
    """A `DenseNN`, or the conditional one.

    Raises:
        Unsupported: another class, or an activation that has no equal here.
    """
    nets = library("pyro-ppl").nn
    expected = nets.ConditionalDenseNN if context else nets.DenseNN
    if type(net) is not expected:
        hint = ": convert the conditional distribution, before condition(...)" if hasattr(net, "func") else ""
        raise Unsupported(place, f"a {named(net)} where Pyro's {expected.__name__} is expected{hint}")
    function = activation(net.f, f"{place}.f")
    linears = linears_of(list(net.layers), f"{place}.layers")
    return mlp(linears, function, rows, context_features=net.context_dim, context_first=True)


def _degrees(arn: Any) -> tuple[tuple[int, ...], ...]:
    """Of each hidden layer: a unit's degree is the largest position, from 1, among the inputs that it reads."""
    position = torch.empty(arn.input_dim, dtype=torch.long)
    position[arn.permutation.cpu()] = torch.arange(1, arn.input_dim + 1)
    source, degrees = position, list[tuple[int, ...]]()
    for index, layer in enumerate(arn.layers[:-1]):
        mask = layer.mask.cpu()[:, arn.context_dim if index == 0 else 0 :] > 0
        own = torch.where(mask, source, torch.zeros_like(source)).amax(1)
        source = own
        degrees.append(tuple(own.clamp(max=max(arn.input_dim - 1, 0)).tolist()))
    return tuple(degrees)


def _in_force(layer: Any) -> tuple[Tensor, Tensor]:
    return (layer.weight * layer.mask).detach(), layer.bias.detach()


def _split(layer: Any, context_features: int) -> tuple[Tensor, Tensor]:
    """The weights in force on the coordinates, and on the context, which Pyro puts before them."""
    weight = (layer.weight * layer.mask).detach()
    return weight[:, context_features:], weight[:, :context_features]


def _without_offset(rows: Rows) -> Rows:
    return Rows(rows.index, rows.factor, torch.zeros_like(rows.offset))
