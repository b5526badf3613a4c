"""The door of the Triton kernel: from tensors on a CUDA device to one launch for all steps of a layer.

Triton comes with PyTorch for CUDA and is imported at the first use. With TRITON_INTERPRET=1 in the environment the same
kernel runs in Triton's interpreter on CPU tensors, for tests.
"""

import contextlib
import dataclasses
import functools
import importlib.util
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...conditioners.program import Gate, Keep, Layout, Linear, Program, Scale, Shift, Transposed
from ...univariate import Univariate
from ..mirror import Mirror, Rows
from . import codes
from .doors import Cotangents, Found, encode
from .gpu_tables import Blocks, Net, Places, Plan, Structure, constant_maps, structure_of

TILES = (16, 32, 64)  # samples of a tile
MANY_BUFFERS = 10  # of which a tile of 64 samples would not fit into registers
SOURCES = 32  # that a product takes at a time
LEAST_COLUMNS = 16  # of a factor of a product of tiles
FEW_WARPS, MANY_WARPS = 4, 8  # of a program; many where four would run out of registers
PROGRAMS_PER_PROCESSOR = 4  # at most: bounds the scratch memory
OLDEST_TRITON = (3, 5)  # earlier ones have no product of float64 tiles
DTYPES = (torch.float32, torch.float64)


@functools.cache
def available() -> bool:
    """Whether a Triton that can compile the kernel is installed; it comes with PyTorch for CUDA, from 2.9 on."""
    if importlib.util.find_spec("triton") is None:
        return False
    import triton

    return tuple(int(part) for part in triton.__version__.split(".")[:2]) >= OLDEST_TRITON


def run(
    program: Program, layout: Layout, univariate: Univariate, given: Tensor, context: Tensor | None, *, evaluate: bool
) -> Found:
    """Solve x = tau(u; params(u)) for u, or with `evaluate` compute tau(x; params(x)); and the log slope of that map.

    Args:
        program: A network that `knows`.
        layout: Its own.
        univariate: A map that `knows`.
        given: (N, D), float32 or float64, on a CUDA device.
        context: (N, M) or (1, M), or None.
        evaluate: The parallel direction.

    Raises:
        TypeError: a weight, or what the context adds, is not of the dtype of `given`.
        NotImplementedError: a network of a form that the kernel does not have; those of a `MaskedMLP` it has.

    Cost: the unmasked half of a dense pass, in D dependent steps of one launch. Scratch memory: at most four tiles of
    16 to 64 samples per multiprocessor, each with as many numbers per sample as the network has units.
    """
    structure, encoded = structure_of(program, layout, given.device), encode(univariate)
    assert encoded is not None
    found = Found(given.new_empty(given.shape), given.new_empty(len(given)))
    data = [_read(step, hole, context) for step, hole in zip(program.steps, _holes(program, layout), strict=True)]
    _launch(
        codes.EVALUATE if evaluate else codes.SOLVE,
        structure,
        structure.direct if evaluate else structure.recursion,
        data=data,
        given=given,
        found=found,
        linearised=None,
        maps=constant_maps(encoded),
        biases=[step.layer.bias if isinstance(step, Linear) else None for step in program.steps],
        num_params=program.num_params,
    )
    return found


def run_mirrored(mirrored: Mirror, rows: Rows, slopes: dict[int, Tensor], *, keep: bool) -> Cotangents:
    """Solve the triangular system of a gradient by the recursion of a mirrored program.

    Args:
        mirrored: Of a direct program.
        rows: float32 or float64, on a CUDA device.
        slopes: Of its activations and gates.
        keep: Whether the cotangents of its linear steps, for gradients of parameters, are wanted.

    Raises:
        TypeError, NotImplementedError: see `run`.
    """
    program, layout = mirrored
    if not keep:
        program = dataclasses.replace(program, steps=tuple(s for s in program.steps if not isinstance(s, Keep)))
    structure = structure_of(program, layout, rows.given.device, keep)
    v = rows.given.new_empty(rows.given.shape)
    kept = {s.step: v.new_empty(len(v), program.sizes[s.target]) for s in program.steps if isinstance(s, Keep)}
    data: list[_Read | None] = []
    for step, hole in zip(program.steps, _holes(program, layout), strict=True):
        if isinstance(step, Scale | Keep):
            data.append(_per_sample((slopes if isinstance(step, Scale) else kept)[step.step]))
        else:
            data.append(_read(step, hole, None))
    _launch(
        codes.SOLVE_LINEARISED,
        structure,
        structure.recursion,
        data=data,
        given=rows.given,
        found=Found(v, v),  # there is no log-det
        linearised=(
            rows.reciprocal.contiguous(),
            rows.slope.transpose(1, 2).contiguous(),
            rows.offset.transpose(1, 2).contiguous(),
        ),
        maps=(),
        biases=[None for _ in program.steps],
        num_params=1,
    )
    return Cotangents(v, kept)


class _Read(NamedTuple):
    """What a step reads or writes; whether it is the same for all samples."""

    data: Tensor
    shared: bool = False


def _holes(program: Program, layout: Layout) -> list[bool]:
    """For each step whether weights that must not count lie among those that a product reads."""
    holes = iter(layout.holes)
    return [isinstance(step, Linear | Transposed) and next(holes) for step in program.steps]


def _read(step: Any, hole: bool, context: Tensor | None) -> _Read | None:
    if isinstance(step, Linear | Transposed):
        return _Read((step.layer.masked_weight if hole else step.layer.weight).contiguous())
    return _per_sample(step.layer(context)) if isinstance(step, Shift | Gate) else None


def _per_sample(values: Tensor) -> _Read:
    """(N or 1, units)."""
    return _Read(values.contiguous(), len(values) == 1)


def _launch(
    mode: int,
    structure: Structure,
    blocks: Blocks,
    *,
    data: list[_Read | None],
    given: Tensor,
    found: Found,
    linearised: tuple[Tensor, Tensor, Tensor] | None,
    maps: tuple[tuple[int | float, ...], ...],
    biases: list[Tensor | None],
    num_params: int,
) -> None:
    """One launch over all tiles; `given` itself stands where there is nothing to hand over."""
    from .gpu_engine import solve  # imports Triton

    _check(given, [read.data for read in data if read is not None] + [bias for bias in biases if bias is not None])
    samples, features = given.shape
    if samples == 0:
        return
    inputs = linearised[1].shape[1] if linearised else 1
    tile, programs = tiling(samples, len(structure.read), _processors(given.device))
    net = Net(
        structure.members,
        structure.positions,
        structure.degree,
        structure.ends,
        structure.offsets,
        structure.order,
        structure.ends.shape[1],
        blocks.table,
        tuple(given if read is None else read.data for read in data),
        tuple(given if bias is None else bias for bias in biases),
    )
    shared = [read is not None and read.shared for read in data]
    plan = Plan(
        mode,
        tuple(record._replace(shared=one) for record, one in zip(structure.program, shared, strict=True)),
        maps,
        len(structure.read) - 1,
        structure.read,
        inputs,
        _columns(num_params),
        1 if inputs == 1 else _columns(inputs),
        tile,
        structure.units,
        SOURCES,
        blocks.narrow,
        blocks.wide,
    )
    places = Places(given.contiguous(), *found, *(linearised or (given, given, given)))
    rows = structure.rows + blocks.window
    scratch = given.new_empty(programs * rows * tile)
    with torch.cuda.device(given.device) if given.is_cuda else contextlib.nullcontext():
        solve[(programs,)](
            net,
            places,
            scratch,
            rows,
            samples,
            features,
            len(blocks.table),
            PLAN=plan,
            num_warps=warps(tile, len(structure.read)),
            enable_fp_fusion=True,  # a product and a sum may be one instruction
        )


def _check(given: Tensor, tensors: list[Tensor]) -> None:
    if given.dtype not in DTYPES:
        raise TypeError(f"the Triton kernel computes in float32 and float64, and x is {given.dtype}")
    for tensor in tensors:
        if tensor.dtype != given.dtype:
            raise TypeError(f"the conditioner computes in {tensor.dtype}, and x is {given.dtype}")


def tiling(samples: int, buffers: int, processors: int) -> tuple[int, int]:
    """Samples of a tile and programs to launch: the largest tile that still gives every multiprocessor two."""
    tiles = TILES[:-1] if buffers > MANY_BUFFERS else TILES
    tile = max((t for t in tiles if samples >= 2 * processors * t), default=tiles[0])
    return tile, min(-(-samples // tile), PROGRAMS_PER_PROCESSOR * processors)


def warps(tile: int, buffers: int) -> int:
    """Of a program with tiles of so many samples, which keeps one in registers for each buffer."""
    return FEW_WARPS if tile < TILES[-1] and buffers <= MANY_BUFFERS // 2 else MANY_WARPS


def _columns(count: int) -> int:
    return max(LEAST_COLUMNS, 1 << (count - 1).bit_length())


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 2
