"""The tables that the CPU kernels interpret, made from a program and its layout.

    steps    one row per step of the program, codes.STEP_*: addresses of weights and of the offset tables
    ends     (buffers, D + 1): units of a buffer that have a degree below k
    buffers  where each buffer starts in the scratch memory, and after the last one the spare rows
    blocks   the steps at which blocks of the tile kernel begin, and D

What depends on the layout alone is made once per network; addresses of weights are written anew at every call.
"""

import weakref
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...conditioners.program import (
    Activate,
    Add,
    Gate,
    Keep,
    Layout,
    Linear,
    Program,
    Scale,
    Shift,
    Step,
    Transposed,
)
from . import codes
from .encoding import encode_activation

LARGEST_BLOCK = 16  # units of one buffer that a block may hold, and coordinates if their rows are more than
LARGEST_WINDOW = 256  # rows of the outputs
SPARE_ROWS = 4


_ORDINARY = (Tensor, torch.nn.Parameter)


class Filled(NamedTuple):
    """Of one call: the table `steps`, the number of each row's activation, and the tensors that are pointed to."""

    steps: np.ndarray
    numbers: np.ndarray
    read: list[Tensor]


class Tables:
    """The tables of one network for one use, without addresses.

    Attributes:
        steps, ends, blocks: See the module.
        tile_buffers: Offsets of buffers in rows, for the tile kernel.
        flat_buffers: Offsets in numbers, for the kernel of one sample, in float32 and float64 alike.
        members: For each row of `steps`, the step of the program that it belongs to.
        order, order_at: The coordinates in the order in which they are solved, and where that table lies.
        weights: How many there are, the masked ones included.
    """

    def __init__(self, program: Program, layout: Layout) -> None:
        self._layout: Layout | None = layout  # until all is made: tables outlive no layout
        self.ends = np.array(layout.ends, np.int64)
        self.blocks = _blocks(self.ends)
        self._kept: list[np.ndarray] = []
        rows: list[list[int]] = []
        self.members: list[int] = []
        begun: set[int] = set()
        for index, step in enumerate(program.steps):
            for row in self._rows(step, begun):
                rows.append(row)
                self.members.append(index)
        reads = self._reads(program, layout, rows)
        steps: list[Any] = list(program.steps)
        self._activations = [read for read in reads if read[2] == "activation"]
        self._per_sample = [read for read in reads if read[2] in ("values", "slope", "kept")]
        weights = [read for read in reads if read not in self._activations and read not in self._per_sample]
        self._weight_rows = np.array([row for row, _, _ in weights], np.int64)
        self._weights = [
            (member, what, steps[member].layer.weight.shape[: 1 if what == "bias" else 2])
            for _, member, what in weights
        ]
        self.steps = np.array(rows, np.int64)
        self.order = np.array(layout.order, np.int64)
        self.order_at = self._address(self.order)
        linear = [step for step in program.steps if isinstance(step, Linear | Transposed)]
        self.weights = sum(program.sizes[step.source] * program.sizes[step.target] for step in linear)
        outputs = len(program.sizes) - 1
        window = max(np.diff(self.ends[outputs][self.blocks]))
        heights = [*program.sizes[:outputs], int(window), SPARE_ROWS]
        self.tile_buffers = np.concatenate([[0], np.cumsum(heights)])
        vector = 16  # float32 lanes; twice what float64 needs
        padded = [(size + 2 * vector - 1) // vector * vector for size in [*program.sizes[:outputs], program.num_params]]
        spare = vector * (program.num_params + 1)
        self.flat_buffers = np.concatenate([[0], np.cumsum([*padded, spare])])
        self._layout = None

    def _rows(self, step: Step, begun: set[int]) -> list[list[int]]:
        """Rows of the table for a step: a target begins with its bias, or with zeros."""
        match step:
            case Linear(target, source, layer):
                bias = self._row(codes.BIAS if target not in begun else codes.SHIFT, target, self._index(target))
                begun.add(target)
                linear = self._row(
                    codes.LINEAR,
                    target,
                    self._index(target) * layer.in_features,
                    source=source,
                    columns=self._index(source),
                )
                return [bias, linear]
            case Shift(target):
                return [self._row(codes.SHIFT, target, self._index(target))]
            case Gate(target):
                return [self._row(codes.GATE, target, self._index(target))]
            case Transposed(target, source, layer):
                begin = [] if target in begun else [self._row(codes.BIAS, target, self._index(target))]
                begun.add(target)
                columns = self._index(source) * layer.in_features
                return [*begin, self._row(codes.LINEAR, target, self._index(target), source=source, columns=columns)]
            case Scale(target):
                return [self._row(codes.GATE, target, self._index(target))]
            case Keep(target):
                return [self._row(codes.KEEP, target, self._index(target))]
            case Add(target, source):
                begin = [] if target in begun else [self._row(codes.BIAS, target, self._index(target))]
                begun.add(target)
                return [*begin, self._row(codes.ADD, target, self._moved(target, source), source=source)]
            case Activate(target, source):
                begun.add(target)
                return [self._row(codes.ACTIVATE, target, self._moved(target, source), source=source)]
        raise TypeError(f"no kernel for a {type(step).__name__}")

    def _reads(self, program: Program, layout: Layout, rows: list[list[int]]) -> list[tuple[int, int, str]]:
        """Which rows of the table point to data: the row, its step of the program, and what it reads of its layer."""
        reads, holes = [], iter(layout.holes)
        for row, member in enumerate(self.members):
            step, kind = program.steps[member], rows[row][codes.STEP_KIND]
            if isinstance(step, Linear):
                what = "bias" if kind != codes.LINEAR else "masked weight" if next(holes) else "weight"
                reads.append((row, member, what))
            elif isinstance(step, Transposed) and kind == codes.LINEAR:
                reads.append((row, member, "masked weight" if next(holes) else "weight"))
            elif isinstance(step, Activate):
                reads.append((row, member, "activation"))
            elif isinstance(step, Shift | Gate):
                reads.append((row, member, "values"))
            elif isinstance(step, Scale | Keep):
                reads.append((row, member, "slope" if isinstance(step, Scale) else "kept"))
        return reads

    def _moved(self, target: int, source: int) -> np.ndarray | None:
        """Where the units of the target lie in the source, unless they lie alike."""
        mine, theirs = self._index(target), self._index(source)
        return None if np.array_equal(mine, theirs) else np.argsort(theirs)[mine]

    def _index(self, buffer: int) -> np.ndarray:
        return np.array(_present(self._layout).index[buffer], np.int64)

    def _row(
        self, kind: int, target: int, rows: np.ndarray | None, *, source: int = 0, columns: np.ndarray | None = None
    ) -> list[int]:
        row = [0] * codes.STEP_FIELDS
        row[codes.STEP_KIND], row[codes.STEP_TARGET], row[codes.STEP_SOURCE] = kind, target, source
        row[codes.STEP_ROWS] = 0 if rows is None else self._address(rows)
        row[codes.STEP_COLUMNS] = 0 if columns is None else self._address(columns)
        if columns is not None and bool((np.diff(columns) != 1).any()):
            row[codes.STEP_CODE] = codes.SCATTERED
        return row

    def fill(
        self,
        program: Program,
        like: Tensor,
        context: Tensor | None,
        slopes: dict[int, Tensor] | None = None,
        kept: dict[int, Tensor] | None = None,
    ) -> "Filled":
        """The table `steps` with the addresses of the weights as they are now.

        Weights are read where they lie. Only those of a layer with holes are copied, with its mask put on.

        Args:
            program: With the modules whose weights are to be read.
            like: (N, D), in the dtype of everything.
            context: (N, M) or (1, M), or None.
            slopes: For the `Scale` steps of a mirrored program, (N or 1, units) each.
            kept: Where its `Keep` steps write, (N, units) each, contiguous.

        Raises:
            TypeError: a weight, or what the context adds, is not of that dtype.
            ValueError: a weight, or what the context adds, has another shape than the network's, or is elsewhere.
        """
        dtype, samples = like.dtype, len(like)
        steps, numbers, read = self.steps.copy(), np.zeros(len(self.steps)), []
        addresses = []
        for row, member, _ in self._activations:
            encoded = encode_activation(program.steps[member].function)  # type: ignore[union-attr]
            assert encoded is not None  # the caller asked `knows` first
            steps[row, codes.STEP_CODE], numbers[row] = encoded
        for member, what, shape in self._weights:
            layer: Any = program.steps[member].layer  # type: ignore[union-attr]
            data = layer.masked_weight if what == "masked weight" else layer._parameters[what]
            if data is None:  # no bias
                addresses.append(0)
                continue
            if data.dtype != dtype:
                raise TypeError(f"the conditioner computes in {data.dtype}, and x is {dtype}")
            if data.shape != shape or not data.is_cpu or type(data) not in _ORDINARY or data.is_neg():
                raise ValueError(
                    f"the conditioner's {what} has shape {tuple(data.shape)} on {data.device}, "
                    f"its network reads a plain tensor of {tuple(shape)} on the CPU"
                )
            if not data.is_contiguous():
                data = data.contiguous()
            read.append(data)
            addresses.append(data.data_ptr())
        steps[self._weight_rows, codes.STEP_DATA] = addresses
        for row, member, what in self._per_sample:
            data = _per_sample(program.steps[member], what, context, slopes, kept)
            if data.dtype != dtype:
                raise TypeError(f"the conditioner computes in {data.dtype}, and x is {dtype}")
            units = program.sizes[program.steps[member].target]
            if not data.is_cpu or data.shape not in ((1, units), (samples, units)):
                raise ValueError(
                    f"what the context becomes has shape {tuple(data.shape)} on {data.device}, "
                    f"its network reads ({samples} or 1, {units}) on the CPU"
                )
            if not data.is_contiguous():
                data = data.contiguous()
            read.append(data)
            steps[row, codes.STEP_DATA] = data.data_ptr()
            steps[row, codes.STEP_STRIDE] = 0 if len(data) == 1 else data.shape[-1]
        return Filled(steps, numbers, read)

    def _address(self, offsets: np.ndarray) -> int:
        offsets = np.ascontiguousarray(offsets, np.int64)
        self._kept.append(offsets)
        return int(offsets.ctypes.data)


def _present(layout: Layout | None) -> Layout:
    assert layout is not None
    return layout


def _per_sample(
    step: Any, what: str, context: Tensor | None, slopes: dict[int, Tensor] | None, kept: dict[int, Tensor] | None
) -> Tensor:
    """What a step reads or writes for each sample, (N or 1, units)."""
    if what == "values":
        values: Tensor = step.layer(context)
        return values
    found = slopes if what == "slope" else kept
    assert found is not None
    return found[step.step]


def _blocks(ends: np.ndarray) -> np.ndarray:
    """Begin a block before a step that would make it too large; a degree too large by itself is a block of its own."""
    begins, last = [0], ends.shape[1] - 1
    for k in range(1, last):
        grown = ends[:, k + 1] - ends[:, begins[-1]]
        coordinates, units, rows = k + 1 - begins[-1], grown[1:-1].max(initial=0), max(grown[0], grown[-1])
        if units > LARGEST_BLOCK or (coordinates > LARGEST_BLOCK and rows > LARGEST_WINDOW):
            begins.append(k)
    return np.array([*begins, last], np.int64)


_TABLES: "weakref.WeakKeyDictionary[Layout, dict[tuple[Any, ...], Tables]]" = weakref.WeakKeyDictionary()


def tables_of(program: Program, layout: Layout) -> Tables:
    """The tables of a layout, made once: they hold structure only, which never changes.

    Args:
        program: Those with the same steps share tables, whatever their weights.
        layout: Its own.
    """
    made = _TABLES.setdefault(layout, {})
    if program.outline not in made:
        made[program.outline] = Tables(program, layout)
    return made[program.outline]
