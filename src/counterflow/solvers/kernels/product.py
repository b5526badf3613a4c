"""The one primitive that does nearly all the work: rows += W @ sources, on a tile of samples held as rows of lanes.

`accumulate` keeps a block of R rows by V vectors in registers while it runs along the sources: V loads and R broadcast
weights feed R V fused multiply-adds. The weights lie where PyTorch keeps them: element (row r, source j) is read at
offset row_at[r] + column_at[j], so that any permutation or transposition costs nothing but those two tables.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .compiled import called, inlined
from .lanes import OF, at, call, constant, fma, full, lane_count, load, load_first, prefetch, spread, total

# Registers decide the block: 32 of 64 bytes hold 4 x 4 accumulators and their operands; 16 of 32 bytes only 4 x 1.
WIDE_REGISTERS = bool(llvm.get_host_cpu_features().get("avx512f", False))


@intrinsic(prefer_literal=True)
def _block(
    typing: Any,
    rows: Any,
    vectors: Any,
    target: Any,
    source: Any,
    weight: Any,
    row_at: Any,
    column_at: Any,
    start: Any,
    stop: Any,
    stride: Any,
) -> Any:
    """Target[i, v] += sum_j W[row_at[i] + column_at[j]] source[j, v] for a literal number of rows and vectors."""
    lanes, count = OF[target.dtype], rows.literal_value
    number = vectors.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, source, weight, row_at, column_at, start, stop, stride = args[2:]
        intp = context.get_value_type(types.intp)

        def place(base: Any, row: Any, vector: int) -> Any:
            return at(
                builder,
                base,
                builder.add(builder.mul(row, stride), ir.Constant(intp, vector * lanes.count)),
                lanes.vector,
            )

        def load_lanes(address: Any) -> Any:
            return builder.load(address, align=lanes.bits // 8)

        cells = [(i, v) for i in range(count) for v in range(number)]
        accumulators = {cell: cgutils.alloca_once(builder, lanes.vector) for cell in cells}
        for slot in accumulators.values():
            builder.store(constant(lanes, 0.0), slot)
        bases = [builder.gep(weight, [builder.load(builder.gep(row_at, [ir.Constant(intp, i)]))]) for i in range(count)]
        with cgutils.for_range(builder, builder.sub(stop, start)) as loop:
            j = builder.add(loop.index, start)
            column = builder.load(builder.gep(column_at, [j]))
            h = [load_lanes(place(source, j, v)) for v in range(number)]
            for i in range(count):
                w = spread(builder, lanes, builder.load(builder.gep(bases[i], [column])))
                for v in range(number):
                    slot = accumulators[i, v]
                    builder.store(call(builder, lanes, "fmuladd", w, h[v], builder.load(slot)), slot)
        for (i, v), slot in accumulators.items():
            address = place(target, ir.Constant(intp, i), v)
            total = builder.fadd(load_lanes(address), builder.load(slot))
            builder.store(total, address, align=lanes.bits // 8)
        return context.get_dummy_value()

    signature = types.void(rows, vectors, target, source, weight, row_at, column_at, types.intp, types.intp, types.intp)
    return signature, generate


@intrinsic
def shifted(typing: Any, start: Any, offset: Any) -> Any:
    """The pointer to a later element."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [context.cast(builder, args[1], signature.args[1], types.intp)])

    return start(start, offset), generate


PIECE = 256  # sources whose products are one running sum


def _rows(count: int, vectors: int) -> Any:
    def run(target, row, last, source, weight, row_at, column_at, start, stop, stride):
        while row + count <= last:
            block = shifted(target, row * stride)
            _block(count, vectors, block, source, weight, shifted(row_at, row), column_at, start, stop, stride)
            row += count
        return row

    return called(run)


_4x4, _2x4, _1x4 = (_rows(count, 4) for count in (4, 2, 1))
_4x3, _2x3, _1x3 = (_rows(count, 3) for count in (4, 2, 1))
_4x2, _2x2, _1x2 = (_rows(count, 2) for count in (4, 2, 1))
_8x1, _4x1, _2x1, _1x1 = (_rows(count, 1) for count in (8, 4, 2, 1))


@called
def accumulate(target, row, last, source, weight, row_at, column_at, start, stop, stride):
    """Rows row .. last of the target += W @ sources start .. stop; a row is `stride` numbers: 1 to 4 vectors.

    Each piece of the sources is summed by itself, and then added: one long running sum would round more.
    """
    while start < stop:
        end = min(start + PIECE, stop)
        _accumulate_piece(target, row, last, source, weight, row_at, column_at, start, end, stride)
        start = end


@called
def _accumulate_piece(target, row, last, source, weight, row_at, column_at, start, stop, stride):
    count = lane_count(target)
    if WIDE_REGISTERS and stride == 4 * count:
        row = _4x4(target, row, last, source, weight, row_at, column_at, start, stop, stride)
        row = _2x4(target, row, last, source, weight, row_at, column_at, start, stop, stride)
        row = _1x4(target, row, last, source, weight, row_at, column_at, start, stop, stride)
    elif WIDE_REGISTERS and stride == 3 * count:
        row = _4x3(target, row, last, source, weight, row_at, column_at, start, stop, stride)
        row = _2x3(target, row, last, source, weight, row_at, column_at, start, stop, stride)
        row = _1x3(target, row, last, source, weight, row_at, column_at, start, stop, stride)
    elif WIDE_REGISTERS and stride == 2 * count:
        row = _4x2(target, row, last, source, weight, row_at, column_at, start, stop, stride)
        row = _2x2(target, row, last, source, weight, row_at, column_at, start, stop, stride)
        row = _1x2(target, row, last, source, weight, row_at, column_at, start, stop, stride)
    else:
        for vector in range(0, stride, count):
            to, of, r = shifted(target, vector), shifted(source, vector), row
            if WIDE_REGISTERS:
                r = _8x1(to, r, last, of, weight, row_at, column_at, start, stop, stride)
            r = _4x1(to, r, last, of, weight, row_at, column_at, start, stop, stride)
            r = _2x1(to, r, last, of, weight, row_at, column_at, start, stop, stride)
            r = _1x1(to, r, last, of, weight, row_at, column_at, start, stop, stride)


@inlined
def dot(weight, source, length, ahead):
    """Sum of W[j] source[j] over a contiguous prefix, in four running sums of lanes; asks for a later row's memory."""
    count = lane_count(source)
    a = b = c = d = full(source, 0.0)
    j = 0
    while j + 4 * count <= length:
        for vector in range(4):
            prefetch(ahead, j + vector * count)
        a = fma(load(weight, j), load(source, j), a)
        b = fma(load(weight, j + count), load(source, j + count), b)
        c = fma(load(weight, j + 2 * count), load(source, j + 2 * count), c)
        d = fma(load(weight, j + 3 * count), load(source, j + 3 * count), d)
        j += 4 * count
    while j < length:
        prefetch(ahead, j)
        a = fma(load_first(weight, j, length - j), load_first(source, j, length - j), a)
        j += count
    return total((a + b) + (c + d))


@inlined
def dot_at(weight, column_at, source, length, zero):
    """The same, of weights that are scattered: sum of W[column_at[j]] source[j], in the precision of `zero`."""
    a = b = c = d = zero
    j = 0
    while j + 4 <= length:
        a += weight[column_at[j]] * source[j]
        b += weight[column_at[j + 1]] * source[j + 1]
        c += weight[column_at[j + 2]] * source[j + 2]
        d += weight[column_at[j + 3]] * source[j + 3]
        j += 4
    while j < length:
        a += weight[column_at[j]] * source[j]
        j += 1
    return (a + b) + (c + d)
