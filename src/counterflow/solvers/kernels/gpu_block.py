"""A narrow block of steps in Triton: its units, and the weights between them, are tiles in registers.

Everything from before the block enters in one product per layer. Inside the block the tile of a buffer, (T, units),
gathers what each degree adds, and nothing on the way from one coordinate to the next waits for memory.
"""

# Triton infers types. `net` is a Net and PLAN a Plan, see `gpu_tables`; s numbers the steps of the program, b buffers.
# mypy: disable-error-code="no-untyped-def,untyped-decorator,assignment"
# ruff: noqa: RUF005  (the language has neither keyword-only arguments nor unpacking)

import triton.language as tl

from . import codes
from .gpu_elementary import activate, kernel
from .gpu_layers import (
    ADD,
    GATE,
    KEEP,
    LINEAR,
    SHIFT,
    bias,
    end_of,
    keep,
    per_sample,
    product,
    readable,
    row_of,
    weights,
)

ACTIVATE = tl.constexpr(codes.ACTIVATE)


@kernel
def _replaced(tiles, which: tl.constexpr, tile):
    return tiles[:which] + (tile,) + tiles[which + 1 :]


@kernel
def from_before(first, last, net, memory, sample, PLAN: tl.constexpr):
    """What the units of a block take from before it: a tile for each buffer; outputs go into memory."""
    OUTPUTS: tl.constexpr = PLAN.outputs
    T: tl.constexpr = PLAN.samples
    U: tl.constexpr = PLAN.units
    tiles = ()
    for _ in tl.static_range(OUTPUTS + 1):
        tiles = tiles + (tl.zeros((T, U), memory.dtype.element_ty),)
    for s in tl.static_range(len(PLAN.program)):
        tiles = _from_before(first, last, net, s, tiles, memory, sample, PLAN)
    return tiles


@kernel
def _from_before(first, last, net, s: tl.constexpr, tiles, memory, sample, PLAN: tl.constexpr):
    T: tl.constexpr = PLAN.samples
    U: tl.constexpr = PLAN.units
    target: tl.constexpr = PLAN.program[s].target
    start, stop = end_of(net, target, first), end_of(net, target, last)
    if target == PLAN.outputs:
        place = row_of(net, memory, target, T) - start * T
        place += tl.arange(0, T)[:, None]
        for r0 in range(start, stop, U):
            r = r0 + tl.arange(0, U)
            at, wanted = place + r[None, :] * T, (r < stop)[None, :]
            value = tl.zeros((T, U), memory.dtype.element_ty)
            if not PLAN.program[s].begins:
                value = tl.load(at, mask=wanted, other=0.0)
            value = _taken(value, first, net, s, r, stop, memory, sample, PLAN)
            tl.store(at, value, mask=wanted)
    else:
        r = start + tl.arange(0, U)
        tiles = _replaced(tiles, target, _taken(tiles[target], first, net, s, r, stop, memory, sample, PLAN))
    return tiles


@kernel
def _taken(value, first, net, s: tl.constexpr, r, stop, memory, sample, PLAN: tl.constexpr):
    """`value` and what step s adds to units r of what is known before the block."""
    if PLAN.program[s].biased:
        value += bias(net, s, r, r < stop, PLAN)
    if PLAN.program[s].kind == LINEAR:
        available = end_of(net, PLAN.program[s].source, first)
        value = product(value, net, s, r, tl.where(r < stop, available, 0), memory, available, True, PLAN)
    elif PLAN.program[s].kind == SHIFT:
        value += per_sample(net, s, r, r < stop, sample, PLAN)
    return value


@kernel
def between(first, last, net, PLAN: tl.constexpr):
    """For each step the weights between the units of a block, (sources, targets)."""
    blocks = ()
    for s in tl.static_range(len(PLAN.program)):
        blocks = blocks + (_between(first, last, net, s, PLAN),)
    return blocks


@kernel
def _between(first, last, net, s: tl.constexpr, PLAN: tl.constexpr):
    U: tl.constexpr = PLAN.units
    target: tl.constexpr = PLAN.program[s].target
    source: tl.constexpr = PLAN.program[s].source
    if PLAN.program[s].kind == LINEAR and source != 0 and target != PLAN.outputs:
        r = end_of(net, target, first) + tl.arange(0, U)
        j = end_of(net, source, first) + tl.arange(0, U)
        limit = readable(net, target, source, r, r < end_of(net, target, last))
        block = weights(net, s, r, limit, j, PLAN)
    else:
        block = 0
    return block


@kernel
def ahead(k, first, last, net, PLAN: tl.constexpr):
    """For each step the weights of step k that can be fetched before the coordinate at k - 1 is known."""
    fetched = ()
    for s in tl.static_range(len(PLAN.program)):
        fetched = fetched + (_ahead(k, first, last, net, s, PLAN),)
    return fetched


@kernel
def _ahead(k, first, last, net, s: tl.constexpr, PLAN: tl.constexpr):
    U: tl.constexpr = PLAN.units
    P: tl.constexpr = PLAN.params
    I: tl.constexpr = PLAN.input_columns
    INPUTS: tl.constexpr = PLAN.inputs
    target: tl.constexpr = PLAN.program[s].target
    source: tl.constexpr = PLAN.program[s].source
    if PLAN.program[s].kind == LINEAR and target == PLAN.outputs:
        r = end_of(net, target, k) + tl.arange(0, P)
        j = end_of(net, source, first) + tl.arange(0, U)
        limit = tl.where(r < end_of(net, target, k + 1), end_of(net, source, k + 1), 0)
        found = weights(net, s, r, limit, j, PLAN)
    elif PLAN.program[s].kind == LINEAR and source == 0:
        r = end_of(net, target, first) + tl.arange(0, U)
        j = tl.maximum(k - 1, 0) * INPUTS + tl.arange(0, I)
        # In the first step of a block these inputs are from before the block, and have been taken.
        known = (r < end_of(net, target, last)) & (k + tl.zeros_like(r) > first)
        found = weights(net, s, r, tl.where(known, k * INPUTS, 0), j, PLAN)
    else:
        found = 0
    return found


@kernel
def units(k, first, tiles, inputs, blocks, fetched, net, sample, inside, PLAN: tl.constexpr):
    """All units of degree k of a block."""
    OUTPUTS: tl.constexpr = PLAN.outputs
    starts, stops = (), ()
    for b in tl.static_range(OUTPUTS + 1):
        begin = end_of(net, b, first)
        starts = starts + (end_of(net, b, k) - begin,)
        stops = stops + (end_of(net, b, k + 1) - begin,)
    for s in tl.static_range(len(PLAN.program)):
        if PLAN.program[s].target != OUTPUTS:
            tiles = _units(k, first, tiles, inputs, blocks[s], fetched[s], net, s, starts, stops, sample, inside, PLAN)
    return tiles


@kernel
def _units(
    k, first, tiles, inputs, block, fetched, net, s: tl.constexpr, starts, stops, sample, inside, PLAN: tl.constexpr
):
    U: tl.constexpr = PLAN.units
    I: tl.constexpr = PLAN.input_columns
    target: tl.constexpr = PLAN.program[s].target
    source: tl.constexpr = PLAN.program[s].source
    kind: tl.constexpr = PLAN.program[s].kind
    u = tl.arange(0, U)
    tile = tiles[target]
    here = (u >= starts[target]) & (u < stops[target])
    if kind == LINEAR:
        if source != 0:
            new = (u >= starts[source]) & (u < stops[source])
            read = tl.where(new[None, :], tiles[source], 0.0)
            taken = tl.dot(read, block, tile, input_precision="ieee", out_dtype=tile.dtype)
        elif I == 1:
            taken = tile + inputs * fetched
        else:
            taken = tl.dot(inputs, fetched, tile, input_precision="ieee", out_dtype=tile.dtype)
        # Units of lower degree are complete, and 0 times an infinity would spoil them.
        tile = tl.where((u >= starts[target])[None, :], taken, tile)
    elif kind == ACTIVATE:
        active = activate(tiles[source], PLAN.program[s].code, PLAN.program[s].number)
        tile = tl.where(here[None, :], active, tile)
    elif kind == ADD:
        tile = tl.where(here[None, :], tile + tiles[source], tile)
    elif kind == GATE:
        gate = per_sample(net, s, end_of(net, target, first) + u, here, sample, PLAN)
        tile = tl.where(here[None, :], tile * gate, tile)
    elif kind == KEEP:
        keep(tile, net, s, end_of(net, target, first) + u, here, sample, inside, PLAN)
    return _replaced(tiles, target, tile)


@kernel
def outputs(q, k, first, tiles, fetched, net, PLAN: tl.constexpr):
    """The parameters of row k (T, P): q of them from before the block, and what they take from its units."""
    for s in tl.static_range(len(PLAN.program)):
        if PLAN.program[s].kind == LINEAR and PLAN.program[s].target == PLAN.outputs:
            q = _outputs(q, k, first, tiles[PLAN.program[s].source], fetched[s], net, PLAN.program[s].source, PLAN)
    return q


@kernel
def _outputs(q, k, first, tile, fetched, net, source: tl.constexpr, PLAN: tl.constexpr):
    U: tl.constexpr = PLAN.units
    known = tl.arange(0, U) < end_of(net, source, k + 1) - end_of(net, source, first)
    read = tl.where(known[None, :], tile, 0.0)
    return tl.dot(read, fetched, q, input_precision="ieee", out_dtype=q.dtype)


@kernel
def put_back(first, last, tiles, net, memory, PLAN: tl.constexpr):
    """Complete units into memory, for the products of later blocks."""
    OUTPUTS: tl.constexpr = PLAN.outputs
    T: tl.constexpr = PLAN.samples
    U: tl.constexpr = PLAN.units
    for b in tl.static_range(1, OUTPUTS):
        if PLAN.read[b]:
            r = end_of(net, b, first) + tl.arange(0, U)
            place = row_of(net, memory, b, T) + tl.arange(0, T)[:, None]
            tl.store(place + r[None, :] * T, tiles[b], mask=(r < end_of(net, b, last))[None, :])
