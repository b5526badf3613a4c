"""Hidden units of a converted network in the order of their degrees, the order in which solvers read them."""

import torch
from torch import Tensor

from ..conditioners import MaskedMLP, MaskedNetwork
from ..conditioners.program import Gate, Linear, Shift
from .weights import write_parameter


def sorted_by_degree(net: MaskedMLP | MaskedNetwork) -> MaskedMLP | MaskedNetwork:
    """The same function of x and context, its hidden units renumbered.

    Other libraries deal out degrees in turn or at random. Sorted, the weights that a unit reads are neighbours in
    memory: a pass can skip the masked half of a layer, and the inverse of one sample reads whole rows.
    """
    if all(list(own) == sorted(own) for own in net.degrees):
        return net
    made, program = _with_sorted_units(net), net.program()
    # The sort is stable: units of two buffers that are added, one by one, still correspond.
    places = [torch.tensor(units) for units in net.layout.index]
    for outer in (0, -1):  # inputs and outputs are not renumbered
        places[outer] = torch.arange(len(places[outer]))
    for ours, theirs in zip(made.program().steps, program.steps, strict=True):
        if isinstance(ours, Linear | Shift | Gate):
            columns = places[ours.source] if isinstance(ours, Linear) else None
            old = theirs.layer.named_parameters()  # type: ignore[union-attr]
            for (_, parameter), (_, value) in zip(ours.layer.named_parameters(), old, strict=True):
                write_parameter(parameter, _moved(value, places[ours.target], columns))
    return made


def _moved(value: Tensor, rows: Tensor, columns: Tensor | None) -> Tensor:
    """A parameter with a row for each unit, and if it is a weight with a column for each source."""
    value = value.detach()[rows.to(value.device)]
    return value if columns is None or value.dim() == 1 else value[:, columns.to(value.device)]


def _with_sorted_units(net: MaskedMLP | MaskedNetwork) -> MaskedMLP | MaskedNetwork:
    degrees = tuple(tuple(sorted(own)) for own in net.degrees)
    sizes, like = (net.features, net.num_params), next(net.parameters())
    if isinstance(net, MaskedNetwork):
        return MaskedNetwork(*sizes, degrees, net.wires, net.context_features, order=net.order).to(like)
    return MaskedMLP(
        *sizes,
        net.hidden,
        net.context_features,
        residual=net.residual,
        gated=net.gated,
        activation=net.activation,
        dropout=net.dropout,
        order=net.order,
        degrees=degrees,
    ).to(like)
