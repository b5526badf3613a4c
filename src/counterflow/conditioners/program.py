"""A masked network as data: a list of steps over buffers, and the order in which its units can be computed.

Whoever runs a network its own way (a stepper, a solver, a kernel) reads this instead of the network's `forward`.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .masked_linear import MaskedLinear


class Linear(NamedTuple):
    """buffer[target] += W buffer[source] + b, with W masked."""

    target: int
    source: int
    layer: MaskedLinear


class Shift(NamedTuple):
    """buffer[target] += layer(context)."""

    target: int
    layer: nn.Module


class Activate(NamedTuple):
    """buffer[target] = function(buffer[source]), elementwise; target and source may be the same."""

    target: int
    source: int
    function: Callable[[Tensor], Tensor]


class Add(NamedTuple):
    """buffer[target] += buffer[source], unit by unit."""

    target: int
    source: int


class Gate(NamedTuple):
    """buffer[target] *= layer(context)."""

    target: int
    layer: nn.Module


class Transposed(NamedTuple):
    """buffer[target] += W^T buffer[source], with W masked."""

    target: int
    source: int
    layer: MaskedLinear


class Scale(NamedTuple):
    """buffer[target] *= slopes[step], given for each sample: the derivative of that step of another program."""

    target: int
    step: int


class Keep(NamedTuple):
    """kept[step] = buffer[target], for whoever runs the program."""

    target: int
    step: int


Step = Linear | Shift | Activate | Add | Gate | Transposed | Scale | Keep


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """When each unit of a program can be computed: derived from its masks once, and good for any weights.

    A unit has degree k if it reads coordinates at positions before k of the order only, and the one at k - 1 if k > 0.

    Attributes:
        order: The coordinates in an order in which each is read by later ones only.
        index: For each buffer the units sorted by degree; inputs in the order, outputs row by row in the order.
        ends: For each buffer, ends[k] units have a degree below k; degree k is index[ends[k]:ends[k + 1]], k < D.
        holes: For each `Linear` among the steps, whether some unit does not read all units of lower or equal degree.
    """

    order: tuple[int, ...]
    index: tuple[tuple[int, ...], ...]
    ends: tuple[tuple[int, ...], ...]
    holes: tuple[bool, ...]

    def __deepcopy__(self, memo: object) -> "Layout":
        """Itself: it never changes, and says nothing about weights."""
        return self


@dataclasses.dataclass(frozen=True)
class Program:
    """The steps that compute the parameters of all rows from the coordinates.

    Buffer 0 holds the D inputs, the last one the outputs, (P, D) flattened. Made per call from the network's modules,
    so never stale.

    Attributes:
        features: D.
        num_params: P.
        sizes: Units of each buffer.
        steps: In the order in which a pass runs them; a unit is complete when its buffer is first read.
    """

    features: int
    num_params: int
    sizes: tuple[int, ...]
    steps: tuple[Step, ...]

    @functools.cached_property
    def outline(self) -> tuple[tuple[object, ...], ...]:
        """The steps without their modules: programs with the same outline and layout differ in weights alone."""
        return tuple((type(step), *(part for part in step if isinstance(part, int))) for step in self.steps)

    def layout(self) -> Layout:
        """Order and degrees, from the masks alone.

        Order: a topological order of the Boolean product of the masks. Degrees: the largest position read, plus one.

        Raises:
            ValueError: the masks are not those of an autoregressive network: some rows read each other.
        """
        reads = self._reads()
        order = _topological(reads[-1].view(self.num_params, self.features, -1).any(0).numpy())
        position = np.empty(self.features, np.int64)
        position[order] = np.arange(self.features)
        degrees = [np.where(read.numpy(), position + 1, 0).max(1).tolist() for read in reads[1:-1]]
        return self.layout_by_degrees(order.tolist(), degrees)

    def layout_by_degrees(self, order: Sequence[int], degrees: Sequence[Sequence[int]]) -> Layout:
        """The layout where they are known: the order, and the degrees of the units of each buffer but the outer two."""
        features = self.features
        outputs = [row + features * p for row in order for p in range(self.num_params)]
        index = [tuple(order), *(tuple(np.argsort(own, kind="stable").tolist()) for own in degrees), tuple(outputs)]
        steps = np.arange(features + 1)
        between = [tuple(np.searchsorted(np.sort(own), steps).tolist()) for own in degrees]
        ends = [tuple(range(features + 1)), *between, tuple((steps * self.num_params).tolist())]
        holes = tuple(_has_holes(step, ends) for step in self.steps if isinstance(step, Linear))
        return Layout(tuple(order), tuple(index), tuple(ends), holes)

    def check(self, layout: Layout) -> None:
        """Refuse a layout of other masks.

        Raises:
            ValueError: a unit reads another that the layout computes later, or not all that it says.
        """
        linear = -1
        for place, step in enumerate(self.steps):
            linear += isinstance(step, Linear)
            layer: object = step.layer if isinstance(step, Linear) else None
            if isinstance(step, Linear) and isinstance(layer, MaskedLinear) and not layer.mask.is_meta:
                mask = (
                    step.layer.mask.cpu().float().numpy()[np.ix_(layout.index[step.target], layout.index[step.source])]
                )
                ends = layout.ends[step.source]
                available = ends[:-1] if step.source == 0 else ends[1:]
                reach = np.repeat(available, np.diff(layout.ends[step.target]))  # of each row
                unforeseen = _has_holes(step, layout.ends) and not layout.holes[linear]
                if unforeseen or np.any((mask != 0) & (np.arange(mask.shape[1]) >= reach[:, None])):
                    raise ValueError(f"the masked layer at step {place} has other degrees than those of its network")

    def _reads(self) -> list[Tensor]:
        """For each buffer which inputs each unit reads, (units, D)."""
        reads = [torch.zeros(size, self.features, dtype=torch.bool) for size in self.sizes]
        reads[0].fill_diagonal_(True)
        for step in self.steps:
            match step:
                case Linear(target, source, layer) if target == len(self.sizes) - 1:
                    # What matters of the outputs is which inputs a coordinate's rows read together.
                    mask = layer.mask.cpu().float().view(self.num_params, self.features, -1).amax(0)
                    reads[target] |= (mask @ reads[source].float()).gt(0).repeat(self.num_params, 1)
                case Linear(target, source, layer):
                    reads[target] |= (layer.mask.cpu().float() @ reads[source].float()) > 0
                case Activate(target, source):
                    reads[target] = reads[source].clone()
                case Add(target, source):
                    reads[target] |= reads[source]
        return reads


def _topological(reads: np.ndarray) -> np.ndarray:
    """An order of rows in which each reads earlier ones only; of several that could come next, the first."""
    readers = np.ascontiguousarray(reads.T)
    missing = reads.sum(1)
    order = np.empty(len(reads), np.int64)
    for k in range(len(reads)):
        row = int(np.argmin(missing))
        if missing[row] > 0:
            raise ValueError("the masks are not autoregressive: some rows read each other")
        order[k] = row
        missing -= readers[row]
        missing[row] = len(reads) + 1  # done: later subtractions leave it positive
    return order


def _has_holes(step: Linear, ends: Sequence[tuple[int, ...]]) -> bool:
    """Whether fewer weights are in force than a staircase of the degrees has room for."""
    available = ends[step.source][:-1] if step.source == 0 else ends[step.source][1:]
    if step.layer.mask.is_meta:  # sizes without values
        return False
    return int(step.layer.mask.count_nonzero()) != int((np.diff(ends[step.target]) * np.array(available)).sum())
