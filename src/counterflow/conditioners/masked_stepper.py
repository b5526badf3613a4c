"""The stepper of a masked network: its recursion, one coordinate at a time."""

import math

from torch import Tensor

from ..shapes import Context, RowParams, Scalars, Shape
from .program import Gate, Layout, Program, Shift
from .recursion import Recursion


class MaskedStepper:
    """The stepper of a `MaskedMLP`. Cost: the unmasked half of one pass, in D dependent steps; see `Recursion`."""

    def __init__(self, program: Program, layout: Layout, batch_shape: Shape, context: Context | None) -> None:
        self._batch_shape, self._samples = (
            tuple(batch_shape),
            math.prod(batch_shape),
        )  # which may be symbols of a tracer
        added = {
            place: self._flat(step.layer(context))
            for place, step in enumerate(program.steps)
            if isinstance(step, (Shift, Gate))  # no Shift | Gate, which the compiler of torch 2.8 cannot trace
        }
        self._recursion = Recursion(program, layout, self._samples, added)

    def params(self) -> RowParams:
        """Parameters of the next row, (*B, P)."""
        row = self._recursion.row()
        return row.t().reshape(*self._batch_shape, len(row))

    def push(self, value: Scalars) -> None:
        """Record that row's coordinate and evaluate the units that now can be."""
        self._recursion.push(value.expand(self._batch_shape).reshape(1, self._samples))

    def _flat(self, added: Tensor) -> Tensor:
        """What the context adds to each unit, (N, units), or (1, units) if it is the same for all."""
        units = added.shape[-1]
        if math.prod(added.shape[:-1]) == 1:
            return added.reshape(1, units)
        return added.expand(*self._batch_shape, units).reshape(self._samples, units)
