"""The parts of a network on tiles of samples in Triton: one masked product, and the steps of a program layer by layer.

The scratch memory of a tile holds every buffer with its units sorted by degree, (units, T), of the outputs those of one
block alone. What one thread has written there another may read after a barrier.
"""

# Triton infers types. `net` is a Net and PLAN a Plan, see `gpu_tables`; s numbers the steps of the program.
# mypy: disable-error-code="no-untyped-def,untyped-decorator,assignment"

import triton.language as tl

from . import codes
from .gpu_elementary import activate, kernel

SHIFT = tl.constexpr(codes.SHIFT)
LINEAR = tl.constexpr(codes.LINEAR)
ADD = tl.constexpr(codes.ADD)
GATE = tl.constexpr(codes.GATE)
KEEP = tl.constexpr(codes.KEEP)


@kernel
def end_of(net, buffer, k):
    """Units of a buffer with a degree below k."""
    return tl.load(net.ends + buffer * net.ends_stride + k)


@kernel
def row_of(net, memory, buffer, T: tl.constexpr):
    """Where the first unit of a buffer lies in the scratch memory."""
    return memory + tl.load(net.offsets + buffer) * T


@kernel
def units_of(net, buffer, r, wanted):
    """Where units r of the sorted buffer stand in their layer, as long numbers."""
    return tl.load(net.members + tl.load(net.offsets + buffer) + r, mask=wanted, other=0).to(tl.int64)


@kernel
def readable(net, target, source, r, wanted):
    """How many of the sorted sources each unit r of the target may read; none where not wanted."""
    degree = tl.load(net.degree + tl.load(net.offsets + target) + r, mask=wanted, other=0)
    if source != 0:  # units of its own degree, but of the inputs those before it
        degree += 1
    return tl.where(wanted, end_of(net, source, degree), 0)


@kernel
def _places(net, s: tl.constexpr, units, sources, PLAN: tl.constexpr):
    """Where the weights from `sources` to `units` are, both as their layer numbers them."""
    if PLAN.program[s].transposed:
        width = _size_of(net, PLAN.program[s].target)
        return net.data[s] + sources[:, None] * width + units[None, :]
    width = _size_of(net, PLAN.program[s].source)
    if PLAN.program[s].aligned:
        width = tl.multiple_of(width, 16)
    return net.data[s] + units[None, :] * width + sources[:, None]


@kernel
def _size_of(net, buffer):
    """Units of a buffer."""
    return tl.load(net.offsets + buffer + 1) - tl.load(net.offsets + buffer)


@kernel
def weights(net, s: tl.constexpr, r, limit, j, PLAN: tl.constexpr):
    """W^T[j, r], zero where unit r may not read source j."""
    units = units_of(net, PLAN.program[s].target, r, limit > 0)
    sources = j  # in this order in their layer, so that neighbours are read together
    if not PLAN.program[s].plain:
        sources = units_of(net, PLAN.program[s].source, j, j < tl.max(limit, 0))
    return tl.load(_places(net, s, units, sources, PLAN), mask=j[:, None] < limit[None, :], other=0.0)


@kernel
def _all_weights(net, s: tl.constexpr, units, wanted, j, PLAN: tl.constexpr):
    """W^T[j, r] of units that may read all of these sources: the mask does not keep neighbours apart."""
    sources = j
    if not PLAN.program[s].plain:
        sources = units_of(net, PLAN.program[s].source, j, j >= 0)
    return tl.load(_places(net, s, units, sources, PLAN), mask=wanted[None, :], other=0.0)


@kernel
def bias(net, s: tl.constexpr, r, wanted, PLAN: tl.constexpr):
    """Of units r, (1, R)."""
    units = units_of(net, PLAN.program[s].target, r, wanted)
    return tl.load(net.biases[s] + units, mask=wanted, other=0.0)[None, :]


@kernel
def per_sample(net, s: tl.constexpr, r, wanted, sample, PLAN: tl.constexpr):
    """Numbers of units r for each sample, (T, R)."""
    units = units_of(net, PLAN.program[s].target, r, wanted)
    place = units[None, :] + tl.zeros_like(sample)[:, None]
    if not PLAN.program[s].shared:
        place += sample[:, None] * _size_of(net, PLAN.program[s].target)
    return tl.load(net.data[s] + place, mask=wanted[None, :], other=0.0)


@kernel
def keep(value, net, s: tl.constexpr, r, wanted, sample, inside, PLAN: tl.constexpr):
    """Write numbers of units r for each sample."""
    units = units_of(net, PLAN.program[s].target, r, wanted)
    place = sample[:, None] * _size_of(net, PLAN.program[s].target) + units[None, :]
    tl.store(net.data[s] + place, value, mask=inside[:, None] & wanted[None, :])


@kernel
def product(value, net, s: tl.constexpr, r, limit, memory, available, UNIFORM: tl.constexpr, PLAN: tl.constexpr):
    """value (T, R) += H W^T over the sources j < available, for each unit r those below its limit.

    UNIFORM: each unit reads all of them, or none.
    """
    T: tl.constexpr = PLAN.samples
    K: tl.constexpr = PLAN.sources
    source = row_of(net, memory, PLAN.program[s].source, T) + tl.arange(0, T)[:, None]
    whole = 0
    if UNIFORM:
        whole = available // K * K
        units = units_of(net, PLAN.program[s].target, r, limit > 0)
        for start in range(0, whole, K):
            j = start + tl.arange(0, K)
            h = tl.load(source + j[None, :] * T)
            w = _all_weights(net, s, units, limit > 0, j, PLAN)
            value = tl.dot(h, w, value, input_precision="ieee", out_dtype=value.dtype)
    for start in range(whole, available, K):
        j = start + tl.arange(0, K)
        h = tl.load(source + j[None, :] * T, mask=(j < available)[None, :], other=0.0)
        w = weights(net, s, r, limit, j, PLAN)
        value = tl.dot(h, w, value, input_precision="ieee", out_dtype=value.dtype)
    return value


@kernel
def layers(first, last, net, memory, sample, inside, PLAN: tl.constexpr):
    """All units of degrees first .. last, one step of the program after the other."""
    for s in tl.static_range(len(PLAN.program)):
        tl.debug_barrier()  # what this step reads has been written by other threads
        _layer(first, last, net, s, memory, sample, inside, PLAN)


@kernel
def _layer(first, last, net, s: tl.constexpr, memory, sample, inside, PLAN: tl.constexpr):
    """One step of the program for all units of degrees first .. last, some units at a time."""
    U: tl.constexpr = PLAN.units
    T: tl.constexpr = PLAN.samples
    target: tl.constexpr = PLAN.program[s].target
    source: tl.constexpr = PLAN.program[s].source
    t = tl.arange(0, T)
    start, stop = end_of(net, target, first), end_of(net, target, last)
    place = row_of(net, memory, target, T) + t[:, None]
    if target == PLAN.outputs:  # of which the memory holds those of this block
        place -= start * T
    for r0 in range(start, stop, U):
        r = r0 + tl.arange(0, U)
        wanted = r < stop
        value = tl.zeros((T, U), memory.dtype.element_ty)
        if not PLAN.program[s].begins:
            value = tl.load(place + r[None, :] * T, mask=wanted[None, :], other=0.0)
        if PLAN.program[s].biased:
            value += bias(net, s, r, wanted, PLAN)
        if PLAN.program[s].kind == LINEAR:
            limit = readable(net, target, source, r, wanted)
            value = product(value, net, s, r, limit, memory, tl.max(limit, 0), False, PLAN)
        elif PLAN.program[s].kind == SHIFT:
            value += per_sample(net, s, r, wanted, sample, PLAN)
        elif PLAN.program[s].kind == GATE:
            value *= per_sample(net, s, r, wanted, sample, PLAN)
        elif PLAN.program[s].kind == KEEP:
            keep(value, net, s, r, wanted, sample, inside, PLAN)
        else:
            place_of = r
            if not PLAN.program[s].matched:
                place_of = tl.load(net.positions + tl.load(net.offsets + source) + units_of(net, target, r, wanted))
            other = row_of(net, memory, source, T) + place_of[None, :] * T + t[:, None]
            read = tl.load(other, mask=wanted[None, :], other=0.0)
            if PLAN.program[s].kind == ADD:
                value += read
            else:
                value = activate(read, PLAN.program[s].code, PLAN.program[s].number)
        if PLAN.program[s].kind != KEEP:
            tl.store(place + r[None, :] * T, value, mask=wanted[None, :])
