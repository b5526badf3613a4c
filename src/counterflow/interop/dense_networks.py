"""The dense networks of coupling layers of other libraries as networks of ours."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..conditioners import MLP, ResidualMLP
from .activations import activation
from .unsupported import Unsupported, named
from .weights import Rows, normalisation, write, write_parameter


def residual_mlp(net: Any, place: str, rows: Rows, *, context: bool) -> ResidualMLP:
    """A `ResidualNet` of nflows or normflows: what it reads first is (x, context), which is how ours reads them.

    Raises:
        Unsupported: preprocessing, blocks that differ, or an activation that has no equal here.
    """
    if getattr(net, "preprocessing", None) is not None:
        raise Unsupported(f"{place}.preprocessing", f"a {named(net.preprocessing)} before the network")
    blocks: list[Any] = list(net.blocks)
    functions = [activation(b.activation, f"{place}.blocks[{i}].activation") for i, b in enumerate(blocks)]
    if len({repr(function) for function in functions}) > 1:
        raise Unsupported(f"{place}.blocks", "blocks of one network with different activations")
    width = (net.context_features or 0) if context else 0
    hidden, rescaled = net.initial_layer.out_features, bool(blocks) and blocks[0].use_batch_norm
    ours = ResidualMLP(
        net.initial_layer.in_features - width,
        len(rows.index),
        hidden,
        len(blocks),
        width,
        activation=functions[0] if functions else None,
        dropout=float(blocks[0].dropout.p) if blocks else 0.0,
        rescaled=rescaled,
    ).to(net.initial_layer.weight)
    write(ours.first, net.initial_layer.weight, net.initial_layer.bias)
    for index, block in enumerate(blocks):
        _write_block(ours, index, block, f"{place}.blocks[{index}]")
    write(ours.out, *rows.translate(net.final_layer.weight, net.final_layer.bias))
    return ours


def _write_block(ours: ResidualMLP, index: int, block: Any, place: str) -> None:
    inner, outer = block.linear_layers
    weight, bias = inner.weight, inner.bias
    if ours.rescaled:
        try:
            factor, shift = normalisation(block.batch_norm_layers[0])
            write_parameter(ours.factors[index], factor)
            write_parameter(ours.shifts[index], shift)
            factor, shift = normalisation(block.batch_norm_layers[1])
        except ValueError as error:
            raise Unsupported(f"{place}.batch_norm_layers", str(error)) from None
        weight, bias = factor[:, None] * weight, factor * (bias + shift)  # folded into the layer before it
    layers: Any = (ours.inner[index], ours.outer[index])
    write(layers[0], weight, bias)
    write(layers[1], outer.weight, outer.bias)
    if ours.context_features:
        gate: Any = ours.gates[index]
        write(gate, block.context_layer.weight, block.context_layer.bias)


def sequential_mlp(layers: Sequence[Any], place: str, rows: Rows | None, *, context_features: int = 0) -> MLP:
    """Linear layers with one and the same activation between them.

    Args:
        layers: Linear layers, activations and dropout, in turn.
        place: Where they stand.
        rows: How the last layer becomes ours; None leaves it as it is.
        context_features: How many of the inputs are the context; they come last.

    Raises:
        Unsupported: anything else; fewer than two linear layers.
    """
    linears: list[nn.Linear] = []
    functions: list[nn.Module] = []
    dropout = 0.0
    for index, layer in enumerate(layers):
        if type(layer) is nn.Linear:
            linears.append(layer)
        elif type(layer) is nn.Dropout and index < len(layers) - 1:
            dropout = float(layer.p)
        else:
            functions.append(activation(layer, f"{place}[{index}]"))
    alternate = [type(layer) is nn.Linear for layer in layers if type(layer) is not nn.Dropout]
    if alternate and not alternate[-1]:
        raise Unsupported(f"{place}[{len(layers) - 1}]", f"a {named(layers[-1])} after the last linear layer")
    if alternate != [i % 2 == 0 for i in range(2 * len(linears) - 1)] or len(linears) < 2:
        raise Unsupported(place, "only linear layers with an activation between each two are known here, two or more")
    if len({repr(function) for function in functions}) > 1:
        raise Unsupported(place, "a network with different activations")
    return mlp(linears, functions[0], rows, context_features=context_features, dropout=dropout)


def mlp(
    linears: Sequence[nn.Linear],
    function: nn.Module,
    rows: Rows | None,
    *,
    context_features: int = 0,
    dropout: float = 0.0,
    context_first: bool = False,
) -> MLP:
    """Linear layers with an activation between each two.

    Args:
        linears: At least two.
        function: The activation.
        rows: How the last layer becomes ours; None leaves it as it is.
        context_features: How many of the inputs are the context.
        dropout: Probability; it may differ in place from that of the original, which matters in training alone.
        context_first: Whether the context comes before the other inputs; in ours it comes after them.
    """
    first, last = linears[0], linears[-1]
    features = first.in_features - context_features
    hidden = tuple(layer.out_features for layer in linears[:-1])
    outputs = last.out_features if rows is None else len(rows.index)
    ours = MLP(features, outputs, hidden, context_features, activation=function, dropout=dropout).to(first.weight)
    weights: list[tuple[Tensor, Tensor | None]] = [(layer.weight, layer.bias) for layer in linears]
    if context_first:
        turned = torch.arange(first.in_features).roll(-context_features)
        weights[0] = (first.weight[:, turned], first.bias)
    if rows is not None:
        weights[-1] = rows.translate(last.weight, last.bias)
    for layer, (weight, bias) in zip(ours.layers, weights, strict=True):
        target: Any = layer
        write(target, weight, bias)
    return ours


def linears_of(modules: Sequence[nn.Module], place: str) -> list[nn.Linear]:
    """The modules, if each is a linear layer of torch.

    Raises:
        Unsupported: one is not.
    """
    for index, module in enumerate(modules):
        if type(module) is not nn.Linear:
            raise Unsupported(f"{place}[{index}]", f"a {named(module)} where a linear layer is expected")
    return list(modules)  # type: ignore[arg-type]
