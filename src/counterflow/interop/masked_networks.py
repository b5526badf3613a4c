"""The masked networks of nflows, and of normflows that carries a copy of them, as masked networks of ours."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..conditioners import MaskedMLP, MaskedNetwork
from ..conditioners.masked_network import Activated, Added, Dense, Gated, Rescaled, Shifted, Wire
from .activations import activation
from .sorting import sorted_by_degree
from .unsupported import Unsupported, named
from .weights import Rows, normalisation, write, write_parameter

Blocks = list[Any]  # of their modules, read by attribute: they are alike in both libraries


def conditioner_of(
    made: Any,
    place: str,
    rows: Rows,
    *,
    context: bool,
    shifted_by: nn.Module | None = None,
    shifted_inside: bool = False,
    start_active: bool = False,
) -> MaskedMLP | MaskedNetwork:
    """A MADE of theirs as a conditioner of ours that gives the same parameters.

    Args:
        made: The network: `initial_layer`, `context_layer`, `blocks`, `final_layer`.
        place: Where it stands.
        rows: How its last layer becomes ours.
        context: Whether it is called with a context.
        shifted_by: What the context's first contribution passes through; None is the identity.
        shifted_inside: Whether the context is added inside residual blocks (nflows); else it gates what they add.
        start_active: Whether an activation follows the first layer of a network without residual blocks.

    Raises:
        Unsupported: a block or an activation that has no equal here.
    """
    if context and not hasattr(made, "context_layer"):
        raise Unsupported(place, f"a {named(made)} without a context, in a model that is given one")
    blocks: Blocks = list(made.blocks)
    residual = not blocks or hasattr(blocks[0], "linear_layers")
    functions = [activation(b.activation, f"{place}.blocks[{i}].activation") for i, b in enumerate(blocks)]
    _check_alike(blocks, functions, place)
    if residual and blocks and shifted_by is None and not blocks[0].use_batch_norm:
        return sorted_by_degree(_residual(made, rows, functions[0], context=context))
    normalised = not residual and any(block.batch_norm is not None for block in blocks)
    if start_active and not (context or normalised):
        function = functions[0] if functions else activation(made.activation, f"{place}.activation")
        return sorted_by_degree(_plain(made, rows, function))
    options = _Options(context, residual, shifted_by, shifted_inside, start_active)
    return sorted_by_degree(_wired(made, place, rows, functions, options))


class _Options(NamedTuple):
    """What the wiring of a network depends on besides its blocks."""

    context: bool
    residual: bool
    shifted_by: nn.Module | None
    shifted_inside: bool
    start_active: bool


def order_and_degrees(made: Any, num_params: int) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The order in which coordinates are generated, and the degrees of each hidden layer, first to last."""
    features = len(made.final_layer.degrees) // num_params
    inputs = made.final_layer.degrees.view(features, num_params)[:, 0]  # of coordinate i: its position, from 1
    order = tuple(inputs.argsort().tolist())
    hidden = [made.initial_layer.degrees, *(block.degrees for block in made.blocks)]
    return order, [tuple(own.clamp(max=max(features - 1, 0)).tolist()) for own in hidden]


def _plain(made: Any, rows: Rows, function: nn.Module) -> MaskedMLP:
    """Layers with an activation after each, without context, are a `MaskedMLP`."""
    num_params = _num_params(made, rows)
    order, degrees = order_and_degrees(made, num_params)
    widths = tuple(len(own) for own in degrees)
    net = MaskedMLP(len(order), num_params, widths, activation=function, order=order, degrees=tuple(degrees))
    net.to(made.initial_layer.weight)
    theirs = [made.initial_layer, *(block.linear for block in made.blocks)]
    for ours, layer in zip([net.first, *net.layers], theirs, strict=True):
        write(_linear(ours), _weight(layer), layer.bias)
    write(net.out, *rows.translate(_weight(made.final_layer), made.final_layer.bias))
    return net


def _residual(made: Any, rows: Rows, function: nn.Module, *, context: bool) -> MaskedMLP:
    """Residual blocks without batch normalisation are a `MaskedMLP`, unit by unit."""
    num_params = _num_params(made, rows)
    order, degrees = order_and_degrees(made, num_params)
    like = made.initial_layer.weight
    net = MaskedMLP(
        len(order),
        num_params,
        tuple(len(own) for own in degrees),
        made.context_layer.in_features if context else 0,
        residual=True,
        gated=context,
        activation=function,
        dropout=float(made.blocks[0].dropout.p),
        order=order,
        degrees=tuple(degrees),
    ).to(like)
    shift = made.context_layer if context else None
    write(net.first, _weight(made.initial_layer), _sum(made.initial_layer.bias, shift and shift.bias))
    if net.context is not None:
        write(net.context, made.context_layer.weight, None)
    for index, block in enumerate(made.blocks):
        write(_linear(net.layers[index]), _weight(block.linear_layers[0]), block.linear_layers[0].bias)
        write(_linear((net.outer or [])[index]), _weight(block.linear_layers[1]), block.linear_layers[1].bias)
        if net.gates is not None:
            gate: Any = net.gates[index]
            write(gate[0], block.context_layer.weight, block.context_layer.bias)
    write(net.out, *rows.translate(_weight(made.final_layer), made.final_layer.bias))
    return net


def _wired(made: Any, place: str, rows: Rows, functions: list[nn.Module], options: _Options) -> MaskedNetwork:
    """Everything else, step by step; `fill` writes the weights of the step of the same place."""
    num_params = _num_params(made, rows)
    order, hidden = order_and_degrees(made, num_params)
    fill: list[Callable[[Any], None] | None] = []
    wires: list[Wire] = []
    degrees: list[tuple[int, ...]] = []

    def step(wire: Wire, filling: Callable[[Any], None] | None = None) -> None:
        wires.append(wire)
        fill.append(filling)

    first = made.initial_layer
    step(Dense(1, 0), _filling(_weight(first), first.bias))
    degrees.append(hidden[0])
    if options.context:
        layer = made.context_layer
        step(Shifted(1, options.shifted_by), _filling(layer.weight, layer.bias))
    if options.start_active:
        step(Activated(1, 1, functions[0] if functions else activation(made.activation, f"{place}.activation")))
    top = 1
    for index, (block, function) in enumerate(zip(made.blocks, functions, strict=True)):
        add = _residual_block if options.residual else _plain_block
        where = f"{place}.blocks[{index}]"
        top = add(block, function, where, _Drawing(step, degrees, hidden[index + 1], top, options))
    step(Dense(top + 1, top), _filling(*rows.translate(_weight(made.final_layer), made.final_layer.bias)))
    width = made.context_layer.in_features if options.context else 0
    net = MaskedNetwork(len(order), num_params, tuple(degrees), tuple(wires), width, order=order).to(first.weight)
    for layer, filling in zip(net.layers, fill, strict=True):
        if filling is not None:
            filling(layer)
    return net


class _Drawing(NamedTuple):
    """Where a block is drawn: how to add a step, the degrees so far and those of the block, the buffer it reads."""

    step: Any
    degrees: list[tuple[int, ...]]
    own: tuple[int, ...]
    top: int
    options: _Options


def _residual_block(block: Any, function: nn.Module, place: str, at: _Drawing) -> int:
    """buffer[top + 3] = buffer[top] + gate (W' f(norm(W f(norm(buffer[top])) + shift))); gate, shift may be absent."""
    active, middle, after = at.top + 1, at.top + 2, at.top + 3
    at.degrees.extend([at.degrees[-1], at.own, at.own])
    inner, outer = block.linear_layers
    weight, bias, inside = _weight(inner), inner.bias, torch.ones_like(inner.bias)
    gated = at.options.context and not at.options.shifted_inside
    shifted = at.options.context and at.options.shifted_inside
    if block.use_batch_norm:
        factor, shift = _normalisation(block.batch_norm_layers[0], f"{place}.batch_norm_layers[0]")
        at.step(Added(active, at.top))
        at.step(Rescaled(active), _filling_constants(factor, shift))
        at.step(Activated(active, active, function))
        factor, shift = _normalisation(block.batch_norm_layers[1], f"{place}.batch_norm_layers[1]")
        # The second one folds into the layers before it.
        weight, bias, inside = factor[:, None] * weight, factor * (bias + shift), factor
    else:
        at.step(Activated(active, at.top, function))
    at.step(Dense(middle, active), _filling(weight, bias))
    if shifted:
        layer = block.context_layer
        at.step(Shifted(middle), _filling(inside[:, None] * layer.weight, inside * layer.bias))
    at.step(Activated(middle, middle, function))
    at.step(Dense(after, middle), _filling(_weight(outer), outer.bias))
    if gated:
        at.step(Gated(after, nn.Sigmoid()), _filling(block.context_layer.weight, block.context_layer.bias))
    at.step(Added(after, at.top))
    return after


def _plain_block(block: Any, function: nn.Module, place: str, at: _Drawing) -> int:
    """buffer[top + 1] = f(W norm(buffer[top]) + b): the normalisation folds into the layer after it."""
    at.degrees.append(at.own)
    weight, bias = _weight(block.linear), block.linear.bias
    if block.batch_norm is not None:
        factor, shift = _normalisation(block.batch_norm, f"{place}.batch_norm")
        weight, bias = weight * factor, bias + weight @ (factor * shift)
    at.step(Dense(at.top + 1, at.top), _filling(weight, bias))
    at.step(Activated(at.top + 1, at.top + 1, function))
    return at.top + 1


def _check_alike(blocks: Blocks, functions: list[nn.Module], place: str) -> None:
    for index, block in enumerate(blocks):
        if type(block).__name__ not in ("MaskedResidualBlock", "MaskedFeedforwardBlock"):
            raise Unsupported(f"{place}.blocks[{index}]", f"a {named(block)} is not a block that is known here")
        if type(block) is not type(blocks[0]) or repr(functions[index]) != repr(functions[0]):
            raise Unsupported(f"{place}.blocks[{index}]", "blocks of one network that differ in kind or activation")


def _normalisation(norm: Any, place: str) -> tuple[Tensor, Tensor]:
    try:
        return normalisation(norm)
    except ValueError as error:
        raise Unsupported(place, str(error)) from None


def _filling(weight: Tensor, bias: Tensor | None) -> Callable[[Any], None]:
    def fill(layer: Any) -> None:
        linear: Any = layer[0] if isinstance(layer, nn.Sequential) else layer
        write(linear, weight, bias)

    return fill


def _filling_constants(factor: Tensor, shift: Tensor) -> Callable[[Any], None]:
    def fill(layer: Any) -> None:
        write_parameter(layer[0].value, factor)
        write_parameter(layer[1].value, shift)

    return fill


def _weight(layer: Any) -> Tensor:
    """The weight in force, (out, in)."""
    weight: Tensor = (layer.weight * layer.mask).detach()
    return weight


def _sum(bias: Tensor, other: Tensor | None) -> Tensor:
    return bias if other is None else bias + other


def _num_params(made: Any, rows: Rows) -> int:
    return len(rows.index) // int(made.initial_layer.in_features)


def _linear(layer: Any) -> nn.Linear:
    assert isinstance(layer, nn.Linear)
    return layer
