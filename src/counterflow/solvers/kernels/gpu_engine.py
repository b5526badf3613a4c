"""The Triton kernel: the recursion over coordinates for tiles of samples, all steps of a layer in one launch.

Step k computes the units of degree k, then row k. Narrow blocks of steps are those of `gpu_block`. A block of one step
with too many units for that, and every block of the parallel direction, goes layer by layer through memory.
"""

# Triton infers types. `net` is a Net, `places` Places and PLAN a Plan, see `gpu_tables`.
# mypy: disable-error-code="no-untyped-def,untyped-decorator,assignment"
# ruff: noqa: SIM102  (the language has no keyword-only arguments, and no `and` of a constant and a number)

import triton.language as tl

from . import codes
from .gpu_block import ahead, between, from_before, outputs, put_back, units
from .gpu_elementary import door, kernel
from .gpu_layers import end_of, layers, row_of
from .gpu_maps import apply_maps, column

SOLVE = tl.constexpr(codes.SOLVE)
EVALUATE = tl.constexpr(codes.EVALUATE)
SOLVE_LINEARISED = tl.constexpr(codes.SOLVE_LINEARISED)


@door("scratch_rows", "samples", "features", "block_count")
def solve(net, places, scratch, scratch_rows, samples, features, block_count, PLAN: tl.constexpr):
    """All rows of all samples; each program takes every so many-th tile.

    Args:
        net: What to compute.
        places: Where the samples are.
        scratch: (programs, scratch_rows, samples of a tile).
        scratch_rows: Units of the network, and outputs of the largest block.
        samples: N.
        features: D.
        block_count: Blocks of `net`.
        PLAN: Constants.
    """
    T: tl.constexpr = PLAN.samples
    memory = scratch + tl.program_id(0).to(tl.int64) * scratch_rows * T
    for tile in range(tl.program_id(0), tl.cdiv(samples, T), tl.num_programs(0)):
        sample = tile * T + tl.arange(0, T).to(tl.int64)
        inside = sample < samples
        sample = tl.minimum(sample, samples - 1)  # lanes without a sample repeat the last
        total = tl.zeros((T,), scratch.dtype.element_ty)
        if PLAN.mode == EVALUATE:
            tl.debug_barrier()
            _take_in(net, places, memory, sample, features, PLAN)
        for block in range(block_count):
            first, last = tl.load(net.blocks + 3 * block), tl.load(net.blocks + 3 * block + 1)
            narrow = tl.load(net.blocks + 3 * block + 2)
            tl.debug_barrier()
            if PLAN.wide:
                if narrow == 0:
                    total = _wide(total, first, last, net, places, memory, sample, inside, features, PLAN)
            if PLAN.narrow:
                if narrow == 1:
                    total = _narrow(total, first, last, net, places, memory, sample, inside, features, PLAN)
        if PLAN.mode != SOLVE_LINEARISED:
            tl.store(places.log_det + sample, total, mask=inside)


@kernel
def _take_in(net, places, memory, sample, features, PLAN: tl.constexpr):
    """All inputs into memory."""
    T: tl.constexpr = PLAN.samples
    K: tl.constexpr = PLAN.sources
    t = tl.arange(0, T)
    for start in range(0, features, K):
        i = start + tl.arange(0, K)
        wanted = (i < features)[None, :]
        at = tl.load(net.order + i, mask=i < features, other=0).to(tl.int64)
        x = tl.load(places.given + sample[:, None] * features + at[None, :], mask=wanted, other=0.0)
        tl.store(memory + i[None, :] * T + t[:, None], x, mask=wanted)


@kernel
def _wide(total, first, last, net, places, memory, sample, inside, features, PLAN: tl.constexpr):
    """A block layer by layer."""
    layers(first, last, net, memory, sample, inside, PLAN)
    tl.debug_barrier()
    for k in range(first, tl.minimum(last, features)):
        given, q = _given(k, net, places, sample, features), _window(k, first, net, memory, PLAN)
        log_slope, _ = _row(given, q, k, net, places, memory, sample, inside, features, PLAN)
        total += log_slope
    return total


@kernel
def _narrow(total, first, last, net, places, memory, sample, inside, features, PLAN: tl.constexpr):
    """A block in registers."""
    T: tl.constexpr = PLAN.samples
    I: tl.constexpr = PLAN.input_columns
    tiles = from_before(first, last, net, memory, sample, PLAN)
    blocks = between(first, last, net, PLAN)
    inputs = tl.zeros((T, I), memory.dtype.element_ty)
    tl.debug_barrier()
    for k in range(first, last):
        fetched = ahead(k, first, last, net, PLAN)
        given, q = _given(k, net, places, sample, features), _window(k, first, net, memory, PLAN)
        tiles = units(k, first, tiles, inputs, blocks, fetched, net, sample, inside, PLAN)
        q = outputs(q, k, first, tiles, fetched, net, PLAN)
        log_slope, inputs = _row(given, q, k, net, places, memory, sample, inside, features, PLAN)
        total += log_slope
    put_back(first, last, tiles, net, memory, PLAN)
    return total


@kernel
def _given(k, net, places, sample, features):
    """The given number of row k, of each sample."""
    at = tl.load(net.order + tl.minimum(k, features - 1)).to(tl.int64)
    return tl.load(places.given + sample * features + at)


@kernel
def _window(k, first, net, memory, PLAN: tl.constexpr):
    """What the memory holds of the outputs of row k, (T, P)."""
    T: tl.constexpr = PLAN.samples
    P: tl.constexpr = PLAN.params
    r = end_of(net, PLAN.outputs, k) + tl.arange(0, P)
    place = row_of(net, memory, PLAN.outputs, T) + tl.arange(0, T)[:, None]
    place += (r - end_of(net, PLAN.outputs, first))[None, :] * T
    return tl.load(place, mask=(r < end_of(net, PLAN.outputs, k + 1))[None, :], other=0.0)


@kernel
def _row(given, q, k, net, places, memory, sample, inside, features, PLAN: tl.constexpr):
    """Find row k from its parameters q (T, P): its log slope, and the inputs that it makes."""
    T: tl.constexpr = PLAN.samples
    P: tl.constexpr = PLAN.params
    I: tl.constexpr = PLAN.input_columns
    INPUTS: tl.constexpr = PLAN.inputs
    t, i = tl.arange(0, T), tl.arange(0, I)
    at = tl.load(net.order + tl.minimum(k, features - 1)).to(tl.int64)
    real = k + tl.zeros_like(t) < features  # the mirrored recursion has a last step without a row
    if PLAN.mode == SOLVE_LINEARISED:
        value = (given + column(q, 0, P)) * tl.load(places.reciprocal + sample * features + at)
        wanted = (i < INPUTS)[None, :] & real[:, None]
        place = (sample[:, None] * INPUTS + i[None, :]) * features + at
        slope = tl.load(places.slope + place, mask=wanted, other=0.0)
        fresh = tl.load(places.offset + place, mask=wanted, other=0.0)
        fresh -= value[:, None] * slope
        tl.store(memory + (k * INPUTS + i)[None, :] * T + t[:, None], fresh, mask=wanted)
        log_slope = tl.zeros_like(value)
    else:
        maps: tl.constexpr = PLAN.maps
        inverse: tl.constexpr = PLAN.mode == SOLVE
        value, log_slope = apply_maps(given, q, maps, inverse, P)
        fresh = value[:, None]
        if PLAN.mode == SOLVE:
            tl.store(memory + k * T + t, value)
    tl.store(places.found + sample * features + at, value, mask=inside & real)
    return log_slope, fresh
