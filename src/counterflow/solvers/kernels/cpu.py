"""The door of the CPU kernels: from tensors to tables and addresses, tiles and threads."""

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...conditioners.program import Keep, Layout, Program
from ...univariate import Univariate
from ..mirror import Mirror, Rows
from . import codes
from .doors import Cotangents, Found, encode
from .encoding import EncodedMaps
from .engine import solve_tiles
from .engine_one import solve_samples
from .tables import Filled, Tables, tables_of
from .threads import in_threads

ONE: dict[torch.dtype, Any] = {torch.float32: np.float32(1), torch.float64: np.float64(1)}
FEW = 2  # up to so many samples go one by one
SCRATCH_LIMIT = 1536 * 1024  # bytes of a tile's scratch memory, about a core's own cache
COST_OF_TILE = {1: 1.0, 2: 1.85, 4: 3.35}  # relative time of tiles of 1, 2 and 4 vectors, measured
# A second thread is not woken for less than this, of samples times blocks or of samples times weights.
FEWEST_BLOCKS, FEWEST_PRODUCTS = 500, 10_000_000


def run(
    program: Program, layout: Layout, univariate: Univariate, given: Tensor, context: Tensor | None, *, evaluate: bool
) -> Found:
    """Solve x = tau(u; params(u)) for u, or with `evaluate` compute tau(x; params(x)); and the log slope of that.

    Args:
        program: A network that `knows`.
        layout: Its own.
        univariate: A map that `knows`.
        given: (N, D), float32 or float64, on the CPU.
        context: (N, M) or (1, M), or None.
        evaluate: The parallel direction.
    """
    tables, encoded = tables_of(program, layout), encode(univariate)
    assert encoded is not None
    samples, one = given.shape[0], ONE[given.dtype]
    values, log_det = given.new_empty(given.shape), given.new_empty(samples)
    filled = tables.fill(program, given, context)
    across, along = given.stride()
    order = tables.order if along == 1 else tables.order * along
    given_at = tables.order_at if along == 1 else order.ctypes.data
    places = np.array(
        [
            *(given.data_ptr(), across, given_at),
            *(values.data_ptr(), given.shape[1], tables.order_at),
            *(log_det.data_ptr(), 1, 0),
            *[0] * (3 * (codes.PLACES - codes.LOG_DET - 1)),
        ],
        np.int64,
    ).reshape(-1, 3)
    mode = codes.EVALUATE if evaluate else codes.SOLVE
    if 0 < samples <= FEW:
        scratch = np.empty((tables.flat_buffers[-1] + 16) * one.itemsize, np.uint8)
        arguments = (tables.ends, tables.flat_buffers, filled.numbers, *encoded, places, one, scratch, (0, samples))
        solve_samples(mode, program.num_params, filled.steps, *arguments)
    else:
        _over_tiles(mode, (1, program.features), tables, filled, encoded, places, one, samples)
    del filled, order  # until here the kernel had their addresses
    return Found(values, log_det)


def run_mirrored(mirrored: Mirror, rows: Rows, slopes: dict[int, Tensor], *, keep: bool) -> Cotangents:
    """Solve the triangular system of a gradient by the recursion of a mirrored program.

    Args:
        mirrored: Of a direct program.
        rows: float32 or float64, on the CPU.
        slopes: Of its activations and gates.
        keep: Whether the cotangents of its linear steps, for gradients of parameters, are wanted.
    """
    program, layout = mirrored
    if not keep:
        program = dataclasses.replace(program, steps=tuple(s for s in program.steps if not isinstance(s, Keep)))
    tables = tables_of(program, layout)
    samples, features = rows.given.shape
    one = ONE[rows.given.dtype]
    v = torch.empty_like(rows.given)
    keeps = [step for step in program.steps if isinstance(step, Keep)]
    kept = {step.step: v.new_empty(samples, program.sizes[step.target]) for step in keeps}
    filled = tables.fill(program, v, None, {i: s.contiguous() for i, s in slopes.items()}, kept)
    places, offsets = np.zeros((codes.PLACES, 3), np.int64), []
    params = np.arange(rows.slope.shape[-1])
    for place, data in (
        (codes.GIVEN, rows.given),
        (codes.FOUND, v),
        (codes.SLOPE, rows.reciprocal),
        (codes.PARAMS_SLOPE, rows.slope),
        (codes.PARAMS_OFFSET, rows.offset),
    ):
        at = tables.order * data.stride(1)
        if data.ndim == 3:
            at = (at[:, None] + params * data.stride(2)).ravel()
        offsets.append(at)
        places[place] = data.data_ptr(), data.stride(0), at.ctypes.data
    nothing = EncodedMaps(np.zeros((0, codes.MAP_FIELDS), np.int64), np.zeros(1))
    _over_tiles(codes.SOLVE_LINEARISED, (len(params), features), tables, filled, nothing, places, one, samples)
    del filled, offsets  # until here the kernel had their addresses
    return Cotangents(v, kept)


def _over_tiles(
    mode: int,
    per_step: tuple[int, int],
    tables: Tables,
    filled: Filled,
    encoded: EncodedMaps,
    places: np.ndarray,
    one: Any,
    samples: int,
) -> None:
    """The tile kernel over all samples, in as many threads as torch has."""
    if not samples:
        return
    vector = 64 // one.itemsize
    rows = int(tables.tile_buffers[-1])
    parts = max(samples * len(tables.blocks) // FEWEST_BLOCKS, samples * tables.weights // FEWEST_PRODUCTS)
    threads = min(torch.get_num_threads(), max(1, parts))
    width = _tile_width(samples, threads, vector, rows * one.itemsize)
    tiles = -(-samples // width)
    threads = min(threads, tiles)

    def part(thread: int) -> None:
        first, last = (width * (tiles * t // threads) for t in (thread, thread + 1))
        scratch = np.empty(rows * width * one.itemsize + 128, np.uint8)
        solve_tiles(
            mode,
            per_step,
            filled.steps,
            tables.ends,
            tables.tile_buffers,
            tables.blocks,
            filled.numbers,
            *encoded,
            places,
            one,
            scratch,
            width,
            (first, min(last, samples)),
        )

    in_threads(part, threads)


def _tile_width(samples: int, threads: int, vector: int, bytes_per_sample: int) -> int:
    """The width that takes the least time: of few large tiles or many small ones, over the threads."""
    widths = [
        count * vector for count in COST_OF_TILE if count == 1 or count * vector * bytes_per_sample <= SCRATCH_LIMIT
    ]

    def time(width: int) -> float:
        return math.ceil(math.ceil(samples / width) / threads) * COST_OF_TILE[width // vector]

    return min(reversed(widths), key=time)
