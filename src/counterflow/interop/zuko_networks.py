"""The networks of zuko as networks of ours: conditioners of any masks, and the dense ones of couplings."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..conditioners import MLP, MaskedLinear, MaskedMLP, MaskedNetwork
from ..conditioners import program as steps_of
from ..conditioners.masked_network import Activated, Added, Dense, Shifted, Wire
from .activations import activation
from .dense_networks import mlp
from .sorting import sorted_by_degree
from .unsupported import Unsupported, named
from .weights import Rows, write

# An activation that does nothing, and that checkpoints and kernels know.
_NOTHING = nn.LeakyReLU(1.0)


class _Layer(NamedTuple):
    """A linear layer as it acts: (W * mask) x + b."""

    weight: Tensor
    bias: Tensor
    mask: Tensor

    @property
    def masked(self) -> MaskedLinear:
        """One of ours with the foreign mask: what `Program` reads who reads whom from."""
        units, sources = self.mask.shape
        layer = MaskedLinear(torch.zeros(units, dtype=torch.long), torch.zeros(sources, dtype=torch.long))
        layer.mask = self.mask.detach().cpu()
        return layer


class _Drawing:
    """A network being written down: wires over buffers, and the layer that goes with each of them."""

    def __init__(self, features: int) -> None:
        self.features = features
        self.wires: list[Wire] = []
        self.layers: list[_Layer | None] = []
        self.sizes = [features]

    def dense(self, layer: _Layer) -> int:
        """A new buffer, computed from the last one of those before."""
        source = len(self.sizes) - 1
        self.sizes.append(len(layer.weight))
        self.step(Dense(source + 1, source), layer)
        return source + 1

    def step(self, wire: Wire, layer: _Layer | None = None) -> None:
        self.wires.append(wire)
        self.layers.append(layer)

    def layout(self, num_params: int) -> steps_of.Layout:
        """Order and degrees, from the masks."""
        steps: list[steps_of.Step] = []
        for wire, layer in zip(self.wires, self.layers, strict=True):
            match wire:
                case Dense(target, source):
                    assert layer is not None
                    steps.append(steps_of.Linear(target, source, layer.masked))
                case Added(target, source):
                    steps.append(steps_of.Add(target, source))
        return steps_of.Program(self.features, num_params, tuple(self.sizes), tuple(steps)).layout()


def conditioner(net: Any, place: str, rows: Rows, features: int) -> MaskedMLP | MaskedNetwork:
    """A `zuko.nn.MaskedMLP` that reads (x, context), as the conditioner with the same parameters.

    Order and degrees are derived from its masks. Where it reads less than they allow, weights are written as 0.

    Raises:
        Unsupported: a layer or an activation that has no equal here.
    """
    num_params = len(rows.index) // features
    layers = list(net)
    if len(layers) == 1:  # one linear layer: its rows are the units of a hidden layer that does nothing
        whole = _layer(layers[0], f"{place}[0]")
        last = _Layer(
            torch.eye(len(whole.weight)).to(whole.weight), torch.zeros_like(whole.bias), torch.eye(len(whole.bias))
        )
        parts: list[Any] = [whole, _NOTHING, last]
    else:
        parts = [_part(layer, f"{place}[{index}]") for index, layer in enumerate(layers)]
    parts[-1] = _translated(parts[-1], rows, place)
    first, context = _split(parts[0], features)
    functions = parts[1:-1:2]
    plain = [isinstance(part, _Layer) for part in parts] == [index % 2 == 0 for index in range(len(parts))]
    if plain and len({repr(function) for function in functions}) == 1:
        return sorted_by_degree(_plain([first, *parts[2::2]], context, functions[0], num_params))
    return sorted_by_degree(_wired([first, *parts[1:]], context, place, num_params))


def _plain(layers: list[_Layer], context: Tensor | None, function: nn.Module, num_params: int) -> MaskedMLP:
    features = layers[0].weight.shape[1]
    drawing = _Drawing(features)
    for layer in layers:
        drawing.dense(layer)
    layout = drawing.layout(num_params)
    net = MaskedMLP(
        features,
        num_params,
        tuple(drawing.sizes[1:-1]),
        0 if context is None else context.shape[1],
        activation=function,
        order=layout.order,
        degrees=_degrees(layout),
    ).to(layers[0].weight)
    ours: list[Any] = [net.first, *net.layers, net.out]
    for target, layer in zip(ours, layers, strict=True):
        write(target, layer.weight * layer.mask, layer.bias)
    if net.context is not None and context is not None:
        write(net.context, context, None)
    return net


def _wired(parts: Sequence[Any], context: Tensor | None, place: str, num_params: int) -> MaskedNetwork:
    first: _Layer = parts[0]
    features = first.weight.shape[1]
    drawing = _Drawing(features)
    for part in parts:
        before = len(drawing.sizes) - 1
        if isinstance(part, _Layer):
            drawing.dense(part)
            if before == 0 and context is not None:
                drawing.step(Shifted(1), _Layer(context, torch.zeros(len(context)), torch.ones(())))
        elif isinstance(part, _Block):
            drawing.dense(part.inner)
            drawing.step(Activated(before + 1, before + 1, part.function))
            drawing.dense(part.outer)
            drawing.step(Added(before + 2, before))
        else:
            drawing.step(Activated(before, before, part))
    layout = drawing.layout(num_params)
    width = 0 if context is None else context.shape[1]
    try:
        net = MaskedNetwork(features, num_params, _degrees(layout), tuple(drawing.wires), width, order=layout.order).to(
            first.weight
        )
    except ValueError as error:
        raise Unsupported(place, str(error)) from None
    for target, layer in zip(net.layers, drawing.layers, strict=True):
        if layer is not None:
            assert isinstance(target, nn.Linear)
            write(target, layer.weight * layer.mask.to(layer.weight), layer.bias.to(layer.weight))
    return net


def dense_network(net: Any, place: str, rows: Rows, context_features: int) -> MLP:
    """A `zuko.nn.MLP` that reads (x, context), which is how ours reads them.

    Raises:
        Unsupported: normalised layers, or an activation that has no equal here.
    """
    parts: list[Any] = [_part(layer, f"{place}[{index}]") for index, layer in enumerate(net)]
    if len(parts) == 1:
        outputs = len(parts[0].weight)
        eye = torch.eye(outputs).to(parts[0].weight)
        parts += [_NOTHING, _Layer(eye, eye.new_zeros(outputs), torch.ones(()))]
    functions = parts[1::2]
    if [isinstance(part, _Layer) for part in parts] != [index % 2 == 0 for index in range(len(parts))]:
        raise Unsupported(place, "only linear layers with an activation between each two are known here")
    if len({repr(function) for function in functions}) > 1:
        raise Unsupported(place, "a network with different activations")
    return mlp([_linear(layer) for layer in parts[::2]], functions[0], rows, context_features=context_features)


class _Block(NamedTuple):
    """x + outer(function(inner(x)))."""

    inner: _Layer
    function: nn.Module
    outer: _Layer


def _part(layer: Any, place: str) -> "_Layer | _Block | nn.Module":
    import zuko

    if isinstance(layer, zuko.nn.Residual):
        inner, function, outer = layer
        return _Block(_layer(inner, f"{place}[0]"), activation(function, f"{place}[1]"), _layer(outer, f"{place}[2]"))
    linear = isinstance(layer, nn.Linear | zuko.nn.MaskedLinear | zuko.nn.Linear)
    return _layer(layer, place) if linear else activation(layer, place)


def _layer(layer: Any, place: str) -> _Layer:
    import zuko

    known = isinstance(layer, nn.Linear | zuko.nn.MaskedLinear | zuko.nn.Linear)
    if not known or isinstance(layer, zuko.nn.MonotonicLinear) or layer.weight.dim() != 2:
        raise Unsupported(place, f"a {named(layer)} where a linear layer is expected")
    weight: Tensor = layer.weight.detach()
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return _Layer(weight, bias, getattr(layer, "mask", torch.ones_like(weight)))


def _translated(layer: Any, rows: Rows, place: str) -> _Layer:
    if not isinstance(layer, _Layer):
        raise Unsupported(place, f"a {named(layer)} where the last linear layer is expected")
    weight, bias = rows.translate(layer.weight, layer.bias)
    return _Layer(weight, bias, layer.mask[rows.index])


def _split(layer: Any, features: int) -> tuple[_Layer, Tensor | None]:
    """The columns of the coordinates, and those of the context with their mask multiplied in."""
    assert isinstance(layer, _Layer)
    own = _Layer(layer.weight[:, :features], layer.bias, layer.mask[:, :features])
    rest = (layer.weight * layer.mask)[:, features:]
    return own, rest if rest.shape[1] else None


def _degrees(layout: steps_of.Layout) -> tuple[tuple[int, ...], ...]:
    """The degree of each unit of the buffers between the outer two."""
    found = []
    for index, ends in list(zip(layout.index, layout.ends, strict=True))[1:-1]:
        degrees = [0] * len(index)
        for degree, (start, end) in enumerate(itertools.pairwise(ends)):
            for unit in index[start:end]:
                degrees[unit] = degree
        found.append(tuple(degrees))
    return tuple(found)


def _linear(layer: _Layer) -> nn.Linear:
    linear = nn.Linear(layer.weight.shape[1], len(layer.weight)).to(layer.weight)
    write(linear, layer.weight, layer.bias)
    return linear
