"""What the Triton kernel is told of a network: its steps as constants, its units and blocks as tables on the device.

All of it is structure, derived from a layout that never changes and made once for each. Weights are handed over at
each call.
"""

import weakref
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...conditioners.program import Activate, Add, Gate, Keep, Layout, Linear, Program, Scale, Shift, Transposed
from . import codes
from .encoding import EncodedMaps, encode_activation

FEW_UNITS, MANY_UNITS = 16, 32  # units of a buffer that a narrow block may hold
ALIGNED = 16  # numbers
LARGEST_WINDOW = 2048  # rows of the outputs that a block may hold, unless a single step has more


class Record(NamedTuple):
    """One step of a program, as constants.

    Attributes:
        kind, target, source: As in `codes`.
        begins: Whether it is the first to write its target.
        code, number: Of an activation.
        biased: Whether a linear step has a bias.
        transposed: Whether it reads its weights the other way.
        plain: Whether its sorted sources stand in that order in their layer.
        matched: Whether an elementwise step has the units of target and source in the same order.
        aligned: Whether its rows of weights begin at multiples of 64 bytes.
        shared: Whether what a step adds or multiplies by is the same for all samples; set at each call.
    """

    kind: int
    target: int
    source: int
    begins: bool
    code: int
    number: float
    biased: bool
    transposed: bool
    plain: bool
    matched: bool
    aligned: bool
    shared: bool = False


class Plan(NamedTuple):
    """What is known when the kernel is compiled.

    Attributes:
        mode: One of `codes`.
        program, maps: What it computes; see `constant_maps`.
        outputs: The last buffer.
        read: For each buffer whether a product reads it.
        inputs: Inputs that a step makes; 1, or of the mirrored recursion P.
        params, input_columns: Columns of the tables of parameters, and of inputs, of a step.
        samples: Of a tile.
        units: That a narrow block may hold, of each buffer.
        sources: That a product takes at a time.
        narrow, wide: Whether there are such blocks.
    """

    mode: int
    program: tuple[Record, ...]
    maps: tuple[tuple[int | float, ...], ...]
    outputs: int
    read: tuple[bool, ...]
    inputs: int
    params: int
    input_columns: int
    samples: int
    units: int
    sources: int
    narrow: bool
    wide: bool


class Net(NamedTuple):
    """What the kernel reads of a network.

    Attributes:
        members, positions, degree, ends, offsets, order: See `Structure`.
        ends_stride: Length of a row of `ends`, at least 2.
        blocks: Rows of (first step, last, whether narrow).
        data: What each step reads, contiguous: weights as their layer has them, or units of each sample.
        biases: Of linear steps.
    """

    members: Tensor
    positions: Tensor
    degree: Tensor
    ends: Tensor
    offsets: Tensor
    order: Tensor
    ends_stride: int
    blocks: Tensor
    data: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]


class Places(NamedTuple):
    """Where the samples are, all contiguous.

    Attributes:
        given, found: (N, D).
        log_det: (N,).
        reciprocal, slope, offset: Of `Rows`, for the mirrored recursion; slope and offset are (N, P, D) here.
    """

    given: Tensor
    found: Tensor
    log_det: Tensor
    reciprocal: Tensor
    slope: Tensor
    offset: Tensor


class Blocks(NamedTuple):
    """Blocks of steps: rows of (first, last, whether narrow), and the most rows of outputs of one."""

    table: Tensor
    window: int
    narrow: bool
    wide: bool


class Structure(NamedTuple):
    """Tables of one layout on one device, and constants.

    Attributes:
        members, degree: Of all buffers' sorted units, one buffer after the other: where each stands in its layer, and
            its degree.
        positions: Of all buffers' units as their layers number them: where each stands among the sorted ones.
        ends: (buffers, steps + 1), see `Layout`.
        offsets: First row of each buffer in the scratch memory.
        order: The coordinates in the order in which they are solved.
        recursion: The blocks of the recursion; `direct`: those of the parallel direction.
        program: A record for each step.
        read: For each buffer whether a product reads it.
        units: That a narrow block may hold.
        rows: Of the scratch memory, without the outputs.
    """

    members: Tensor
    positions: Tensor
    degree: Tensor
    ends: Tensor
    offsets: Tensor
    order: Tensor
    recursion: Blocks
    direct: Blocks
    program: tuple[Record, ...]
    read: tuple[bool, ...]
    units: int
    rows: int


_MADE: "weakref.WeakKeyDictionary[Layout, dict[tuple[object, ...], Structure]]" = weakref.WeakKeyDictionary()


def structure_of(program: Program, layout: Layout, device: torch.device, keeps: bool = False) -> Structure:
    """The tables of a layout on a device, made once.

    Args:
        program: Any of those that share the layout: the same steps, with any weights.
        layout: Its own.
        device: Where the kernel runs.
        keeps: Whether the program has its `Keep` steps; a layout has one program with and one without.
    """
    made = _MADE.setdefault(layout, {})
    if (device, program.outline) not in made:
        made[device, program.outline] = _structure(program, layout, device)
    return made[device, program.outline]


def _structure(program: Program, layout: Layout, device: torch.device) -> Structure:
    records = _records(program, layout)
    ends = np.stack(layout.ends)
    offsets = np.concatenate([[0], np.cumsum(program.sizes)])
    degree = [
        np.searchsorted(own[1:], np.arange(len(index)), "right") for own, index in zip(ends, layout.index, strict=True)
    ]
    units = FEW_UNITS if np.diff(ends[1:-1]).mean(-1).max(initial=0) <= 2 else MANY_UNITS
    matched = all(record.matched for record in records)

    def on_device(table: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(table, np.int32)).to(device)

    def blocks(most_units: int, narrow_too: bool) -> Blocks:
        table = _blocks(ends, most_units, narrow_too)
        window = max(int(ends[-1, last] - ends[-1, first]) for first, last, _ in table)
        narrow = [bool(row[2]) for row in table]
        return Blocks(on_device(table), window, any(narrow), not all(narrow))

    return Structure(
        on_device(np.concatenate(layout.index)),
        on_device(np.concatenate([np.argsort(own) for own in layout.index])),
        on_device(np.concatenate(degree)),
        on_device(ends),
        on_device(offsets),
        on_device(layout.order),
        blocks(units, True) if matched else blocks(0, False),  # steps alone, unless they have no units
        blocks(int(offsets[-1]), False),
        records,
        tuple(
            any(record.kind == codes.LINEAR and record.source == b for record in records)
            for b in range(len(program.sizes))
        ),
        units,
        int(offsets[-2]),
    )


def _blocks(ends: np.ndarray, units: int, narrow: bool) -> list[tuple[int, int, bool]]:
    """Begin a block before a step that would make it too large; a step that is so by itself is a wide block."""
    begins, last = [0], ends.shape[1] - 1
    for k in range(1, last):
        grown = ends[:, k + 1] - ends[:, begins[-1]]
        if grown[1:-1].max(initial=0) > units or grown[-1] > LARGEST_WINDOW:
            begins.append(k)
    stops = [*begins[1:], last]
    most = [int((ends[1:-1, b] - ends[1:-1, a]).max(initial=0)) for a, b in zip(begins, stops, strict=True)]
    return [(a, b, narrow and m <= units) for a, b, m in zip(begins, stops, most, strict=True)]


def _records(program: Program, layout: Layout) -> tuple[Record, ...]:
    """One for each step of the program.

    Raises:
        NotImplementedError: a network of a form that the kernel does not have.
    """
    outputs = len(program.sizes) - 1
    begun: set[int] = set()
    closed: set[int] = set()
    records = []
    for step in program.steps:
        kind, source, code, number = _STEPS[type(step)], 0, 0, 0.0
        if isinstance(step, Linear | Transposed | Activate | Add):
            source = step.source
        if isinstance(step, Activate):
            encoded = encode_activation(step.function)
            assert encoded is not None  # the caller asked `knows` first
            code, number = encoded
        if kind in (codes.LINEAR, codes.SHIFT) and step.target in closed:
            raise NotImplementedError("the Triton kernel adds to a buffer before it is activated or gated only")
        if isinstance(step, Gate | Scale | Activate):
            closed.add(step.target)
        begins = step.target not in begun and kind != codes.KEEP
        begun.add(step.target)
        reads = kind in (codes.LINEAR, codes.ACTIVATE, codes.ADD)
        if step.target == outputs and (kind not in (codes.LINEAR, codes.SHIFT) or (reads and source == 0)):
            raise NotImplementedError("the Triton kernel computes outputs in linear steps, from hidden units only")
        if (reads and (source == outputs or (source == 0 and kind != codes.LINEAR))) or step.target == 0:
            raise NotImplementedError("the Triton kernel reads inputs in linear steps only, and outputs in none")
        records.append(
            Record(
                kind,
                step.target,
                source,
                begins,
                code,
                number,
                biased=isinstance(step, Linear) and step.layer.bias is not None,
                transposed=isinstance(step, Transposed),
                plain=bool((np.diff(layout.index[source]) == 1).all()),
                matched=kind not in (codes.ADD, codes.ACTIVATE) or _same(layout, step.target, source),
                aligned=program.sizes[source] % ALIGNED == 0,
            )
        )
    return tuple(records)


_STEPS: dict[type, int] = {
    Linear: codes.LINEAR,
    Transposed: codes.LINEAR,
    Shift: codes.SHIFT,
    Activate: codes.ACTIVATE,
    Add: codes.ADD,
    Gate: codes.GATE,
    Scale: codes.GATE,
    Keep: codes.KEEP,
}


def _same(layout: Layout, one: int, two: int) -> bool:
    return np.array_equal(layout.index[one], layout.index[two]) and np.array_equal(layout.ends[one], layout.ends[two])


def constant_maps(encoded: EncodedMaps) -> tuple[tuple[int | float, ...], ...]:
    """Kind, inverted, first parameter, bins and five numbers of each part."""
    numbers = np.concatenate([encoded.numbers, np.zeros(5)])
    rows = []
    for kind, inverted, first, bins, number in encoded.maps.tolist():
        rows.append((kind, inverted, first, bins, *numbers[number : number + 5].tolist()))
    return tuple(rows)
