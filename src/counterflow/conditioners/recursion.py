"""A program run one step at a time in PyTorch, every unit evaluated once: the readable form of every kernel.

Units are sorted by degree. Once the inputs of the first k steps are known, exactly the units of degree k become
computable, in every buffer, from a prefix of the buffer below: over all steps each unmasked weight is used once.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..tracing import transforming
from .program import Activate, Add, Gate, Keep, Layout, Linear, Program, Scale, Shift, Step, Transposed


class Recursion:
    """All rows of the outputs of a program, one step after the other.

    Under no_grad it writes into buffers. With gradients it keeps the pieces and joins them at every step, which costs
    memory for D partial copies of each layer.

    Args:
        program: Direct or mirrored.
        layout: Its own.
        samples: N.
        per_sample: For each `Shift`, `Gate` and `Scale` step, by its place among the steps, (N or 1, units).
    """

    def __init__(self, program: Program, layout: Layout, samples: int, per_sample: Mapping[int, Tensor]) -> None:
        like = next(step.layer.weight for step in program.steps if isinstance(step, (Linear, Transposed)))
        self._steps, self._outputs = program.steps, len(program.sizes) - 1
        self._index = [torch.tensor(index, device=like.device) for index in layout.index]
        self._ends = layout.ends
        self._buffers = [_Rows(size, like, samples) for size in program.sizes]
        self._sorted = [self._in_order(place, step, per_sample) for place, step in enumerate(program.steps)]
        self._kept: dict[int, list[Tensor]] = {step.step: [] for step in program.steps if isinstance(step, Keep)}
        self._known = 0
        self._evaluate()

    def row(self) -> Tensor:
        """The outputs of the next step, (outputs, N)."""
        return self._row

    def push(self, values: Tensor) -> None:
        """The inputs that the step makes known, (inputs, N); evaluates the units that now can be."""
        self._buffers[0].append(values)
        self._known += 1
        if self._known + 1 < len(self._ends[0]):
            self._evaluate()

    def kept(self) -> dict[int, Tensor]:
        """What the `Keep` steps kept, in the natural order of the units, (N, units)."""
        places = {step.step: self._index[step.target].argsort() for step in self._steps if isinstance(step, Keep)}
        return {step: torch.cat(pieces)[places[step]].t() for step, pieces in self._kept.items()}

    def _in_order(self, place: int, step: Step, per_sample: Mapping[int, Tensor]) -> tuple[Tensor, Tensor | None]:
        """What a step reads beside buffers, its units sorted: weight and bias, or (units, N or 1)."""
        rows = self._index[step.target]
        if isinstance(step, Linear):
            bias: Tensor | None = step.layer.bias
            weight = step.layer.masked_weight[rows][:, self._index[step.source]]
            return weight, None if bias is None else bias[rows, None]
        if isinstance(step, Transposed):
            return step.layer.masked_weight.t()[rows][:, self._index[step.source]], None
        if isinstance(step, (Shift, Gate, Scale)):
            return per_sample[place][:, rows].t(), None
        if isinstance(step, (Activate, Add)):
            return self._index[step.source].argsort()[rows], None  # where the same units lie in the source
        return rows, None

    def _evaluate(self) -> None:
        """All units of degree `known`, step by step, and the outputs of the next row."""
        fresh: dict[int, Tensor] = {}

        def read(buffer: int) -> Tensor:
            """Every unit of a buffer so far; whoever is read is complete."""
            if buffer in fresh:
                self._buffers[buffer].append(fresh.pop(buffer))
            return self._buffers[buffer].all()

        for step, (data, bias) in zip(self._steps, self._sorted, strict=True):
            target = step.target
            start, stop = self._ends[target][self._known], self._ends[target][self._known + 1]
            # No match statement, which the compiler of torch 2.8 cannot trace.
            if isinstance(step, (Linear, Transposed)):
                product = _product(data[start:stop], read(step.source), None if bias is None else bias[start:stop])
                fresh[target] = fresh[target] + product if target in fresh else product
            elif isinstance(step, Shift):
                fresh[target] = fresh[target] + data[start:stop]
            elif isinstance(step, (Gate, Scale)):
                fresh[target] = fresh[target] * data[start:stop]
            elif isinstance(step, Activate):
                own = step.source == target
                fresh[target] = step.function(fresh[target] if own else read(step.source)[data[start:stop]])
            elif isinstance(step, Add):
                added = read(step.source)[data[start:stop]]
                fresh[target] = fresh[target] + added if target in fresh else added
            else:
                self._kept[step.step].append(fresh[target] if target in fresh else read(target)[start:stop])
        if self._outputs in fresh:
            self._row = fresh.pop(self._outputs)
        for buffer, rows in fresh.items():
            self._buffers[buffer].append(rows)


class _Rows:
    """Rows that arrive in order, (units, N): a preallocated buffer, or a list of pieces where torch has to follow."""

    def __init__(self, size: int, like: Tensor, count: int) -> None:
        join = torch.is_grad_enabled() or transforming()  # neither can follow what is written into a buffer
        self._buffer = None if join else like.new_empty(size, count)
        self._pieces: list[Tensor] = []
        self._filled = 0
        self._empty = like.new_empty(0, count)

    def append(self, rows: Tensor) -> None:
        if not len(rows):
            return
        if self._buffer is None:
            self._pieces.append(rows)
        else:
            self._buffer[self._filled : self._filled + len(rows)] = rows
        self._filled += len(rows)

    def all(self) -> Tensor:
        """Every row so far."""
        if self._buffer is not None:
            return self._buffer[: self._filled]
        if len(self._pieces) > 1:
            self._pieces = [torch.cat(self._pieces)]
        return self._pieces[0] if self._pieces else self._empty


def _product(weight: Tensor, sources: Tensor, bias: Tensor | None) -> Tensor:
    """Some units from the prefix of the sources that has arrived."""
    known = weight[:, : len(sources)]
    return known @ sources if bias is None else torch.addmm(bias, known, sources)
