"""A masked network of any wiring, written down as steps over buffers: for networks that were designed elsewhere."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from ..shapes import Context, Params, Vector, broadcast_batch, check_context, check_vector
from ..spec import register
from . import program as steps_of
from .conditioner import check_sizes
from .masked_linear import MaskedLinear
from .masks import Degrees, check_order, input_degrees
from .network import elementwise
from .program import Program
from .programmed import Programmed


@register
@dataclasses.dataclass(frozen=True)
class Dense:
    """buffer[target] += W buffer[source] + b, masked by the degrees of the two."""

    target: int
    source: int


@register
@dataclasses.dataclass(frozen=True, eq=False)
class Activated:
    """buffer[target] = function(buffer[source]), elementwise; the two may be the same."""

    target: int
    source: int
    function: nn.Module


@register
@dataclasses.dataclass(frozen=True)
class Added:
    """buffer[target] += buffer[source], unit by unit: the two have the same degrees."""

    target: int
    source: int


@register
@dataclasses.dataclass(frozen=True, eq=False)
class Shifted:
    """buffer[target] += function(V c + b), of the context; function None is the identity."""

    target: int
    function: nn.Module | None = None


@register
@dataclasses.dataclass(frozen=True, eq=False)
class Gated:
    """buffer[target] *= function(V c + b), of the context."""

    target: int
    function: nn.Module


@register
@dataclasses.dataclass(frozen=True)
class Rescaled:
    """buffer[target] = a (buffer[target] + b), unit by unit: batch normalisation that has stopped learning."""

    target: int


Wire = Dense | Activated | Added | Shifted | Gated | Rescaled


@register
class MaskedNetwork(Programmed):
    r"""Row i reads only coordinates before i, whatever lies between: buffers of units with degrees, steps over them.

    A unit of degree m reads units and inputs of degree at most m; input k of the order (from 0) has degree k + 1, and
    its row reads degrees up to k. Buffer 0 holds the D inputs, the last one the rows, parameter by parameter (P, D).

    Args:
        features: D.
        num_params: P.
        degrees: Of the units of each buffer between the two, one tuple each.
        wires: The steps of a pass; a buffer is complete when it is first read. `Dense`, `Shifted` and `Rescaled` add
            to a buffer, so they come before what is not a sum: `Activated`, `Gated`, or the factor of `Rescaled`.
        context_features: M.
        order: The coordinates in the order in which they are generated; by default 0, 1, ...

    Raises:
        ValueError: sizes, orders, degrees or steps that do not fit each other.

    Cost: a dense pass of all its layers; the exact inverse the unmasked half of one, in the kernels of a `MaskedMLP`.
    """

    program_is_forward = True

    def __init__(
        self,
        features: int,
        num_params: int,
        degrees: tuple[Degrees, ...],
        wires: tuple[Wire, ...],
        context_features: int = 0,
        *,
        order: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        check_sizes(features, num_params, context_features)
        self.features, self.num_params, self.context_features = features, num_params, context_features
        self.degrees, self.wires = tuple(tuple(own) for own in degrees), tuple(wires)
        self._order = tuple(range(features)) if order is None else tuple(order)
        check_order(self._order, features)
        inputs = input_degrees(self._order)
        self._of = [inputs, *(torch.tensor(own) for own in self.degrees), (inputs - 1).repeat(num_params)]
        _check_wires(self.wires, self._of, features, context_features)
        self.layers = nn.ModuleList(self._module(wire) for wire in self.wires)
        program = self._as_program()
        self._settle(program.layout_by_degrees(self._order, self.degrees))

    @property
    def order(self) -> tuple[int, ...]:
        """The coordinates in the order in which they are generated."""
        return self._order

    def forward(self, x: Vector, context: Context | None = None) -> Params:
        """(*B, D) -> (*B, D, P) in one pass."""
        check_vector(x, self.features, "x")
        check_context(context, self.context_features)
        batch = broadcast_batch(x, context)
        buffers: dict[int, Tensor] = {0: x}
        layers: list[Any] = list(self.layers)
        for wire, layer in zip(self.wires, layers, strict=True):
            old = buffers.get(wire.target)
            match wire:
                case Dense(target, source):
                    new = layer(buffers[source])
                    buffers[target] = new if old is None else old + new
                case Activated(target, source):
                    buffers[target] = layer(buffers[source])
                case Added(target, source):
                    buffers[target] = buffers[source] if old is None else old + buffers[source]
                case Shifted(target):
                    buffers[target] = _present(old) + layer(context)
                case Gated(target):
                    buffers[target] = _present(old) * layer(context)
                case Rescaled(target):
                    buffers[target] = (_present(old) + layer[1].value) * layer[0].value
        rows = buffers[len(self._of) - 1].expand(*batch, self.num_params * self.features)
        return rows.reshape(*batch, self.num_params, self.features).transpose(-1, -2)

    def _module(self, wire: Wire) -> nn.Module:
        units = len(self._of[wire.target])
        match wire:
            case Dense(target, source):
                return MaskedLinear(self._of[target], self._of[source])
            case Activated(_, _, function):
                return elementwise(function)
            case Shifted(_, function) | Gated(_, function):
                linear = nn.Linear(self.context_features, units)
                return linear if function is None else nn.Sequential(linear, function)
            case Rescaled():
                return nn.ModuleList([_Constant(units, 1.0), _Constant(units, 0.0)])
        return nn.Identity()

    def _parts(self) -> tuple[nn.Module | None, ...]:
        inner = [part for layer in self.layers if isinstance(layer, nn.ModuleList) for part in layer]
        return (*self.layers, *inner)

    def _linears(self) -> list[nn.Module]:
        return [layer for wire, layer in zip(self.wires, self.layers, strict=True) if isinstance(wire, Dense)]

    def _as_program(self) -> Program:
        found: list[steps_of.Step] = []
        layers: list[Any] = list(self.layers)
        for wire, layer in zip(self.wires, layers, strict=True):
            match wire:
                case Dense(target, source):
                    found.append(steps_of.Linear(target, source, layer))
                case Activated(target, source):
                    found.append(steps_of.Activate(target, source, layer))
                case Added(target, source):
                    found.append(steps_of.Add(target, source))
                case Shifted(target):
                    found.append(steps_of.Shift(target, layer))
                case Gated(target):
                    found.append(steps_of.Gate(target, layer))
                case Rescaled(target):
                    found += [steps_of.Shift(target, layer[1]), steps_of.Gate(target, layer[0])]
        return Program(self.features, self.num_params, tuple(map(len, self._of)), tuple(found))


class _Constant(nn.Module):
    """The same numbers for every sample, whatever the context, (1, units): what a solver asks of a step."""

    def __init__(self, units: int, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((units,), value))

    def forward(self, context: Tensor | None) -> Tensor:
        return self.value[None]


def _present(buffer: Tensor | None) -> Tensor:
    assert buffer is not None  # checked when the network was made
    return buffer


def _check_wires(wires: tuple[Wire, ...], of: list[Tensor], features: int, context_features: int) -> None:
    """Refuse steps over buffers that are not there, not yet there, already read, or of other degrees."""
    last, begun, read, closed = len(of) - 1, {0}, set[int](), set[int]()
    if any(not 0 <= m < max(features, 1) for own in of[1:-1] for m in own.tolist()):
        raise ValueError(f"expected degrees of hidden units in 0..{features - 1}")
    for place, wire in enumerate(wires):
        source: int | None = getattr(wire, "source", None)
        where = f"step {place}, {type(wire).__name__}"
        if not 1 <= wire.target <= last or not (source is None or 0 <= source < last):
            raise ValueError(
                f"{where}: there are {last + 1} buffers, of which the first is read only, the last written"
            )
        if (source is not None and source not in begun) or (source is None and wire.target not in begun):
            raise ValueError(f"{where}: buffer {wire.target if source is None else source} has nothing in it yet")
        if wire.target in read and wire.target != source:
            raise ValueError(f"{where}: buffer {wire.target} has been read already")
        unit_by_unit = isinstance(wire, Added | Activated) and source is not None and source != wire.target
        if unit_by_unit and not torch.equal(of[wire.target], of[source or 0]):
            raise ValueError(
                f"{where}: buffers {wire.target} and {source} have other degrees, so units do not correspond"
            )
        if isinstance(wire, Shifted | Gated) and not context_features:
            raise ValueError(f"{where}: the network has no context")
        if isinstance(wire, Dense | Shifted | Rescaled) and wire.target in closed:
            # Solvers add up a whole block of units first, and do everything else degree by degree.
            raise ValueError(f"{where}: buffer {wire.target} is no longer a sum")
        if not isinstance(wire, Dense | Shifted | Added):
            closed.add(wire.target)
        begun.add(wire.target)
        if source is not None and source != wire.target:
            read.add(source)
    if not wires or not isinstance(wires[-1], Dense) or wires[-1].target != last:
        raise ValueError("the last step must be a Dense one into the last buffer")
