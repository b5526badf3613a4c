"""The lane type of the CPU kernels: 64 bytes of one dtype (16 float32 or 8 float64) that stay in registers.

Numba sees scalars; LLVM vectorises loops over them, but keeps no accumulators in registers across a product. `Lanes` is
an LLVM vector with arithmetic operators, so that kernels below read like the formulas they compute. Any target runs it:
LLVM splits the vector into what the processor has.
"""

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

BYTES = 64
INT = {32: ir.IntType(32), 64: ir.IntType(64)}
REAL = {32: ir.FloatType(), 64: ir.DoubleType()}


class Lanes(types.Type):
    """`count` numbers of one dtype."""

    def __init__(self, dtype: types.Float) -> None:
        super().__init__(name=f"Lanes({dtype})")
        self.dtype = dtype
        self.bits = dtype.bitwidth
        self.count = BYTES * 8 // self.bits
        self.vector = ir.VectorType(REAL[self.bits], self.count)
        self.integers = ir.VectorType(INT[self.bits], self.count)


class Truths(types.Type):
    """The result of comparing two `Lanes`."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__(name=f"Truths({lanes.dtype})")
        self.lanes = lanes
        self.vector = ir.VectorType(ir.IntType(1), lanes.count)


class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lane_type: Any) -> None:
        super().__init__(manager, lane_type, lane_type.vector)


register_model(Lanes)(_VectorModel)
register_model(Truths)(_VectorModel)
OF = {types.float32: Lanes(types.float32), types.float64: Lanes(types.float64)}


def constant(lanes: Lanes, value: float) -> ir.Constant:
    """The same number in every lane."""
    return ir.Constant(lanes.vector, [ir.Constant(lanes.vector.element, float(value))] * lanes.count)


def integers(lanes: Lanes, value: int) -> ir.Constant:
    """The same integer, as wide as the dtype, in every lane."""
    return ir.Constant(lanes.integers, [ir.Constant(lanes.integers.element, value)] * lanes.count)


def spread(builder: Any, lanes: Lanes, scalar: Any) -> Any:
    """One scalar into every lane."""
    first = builder.insert_element(ir.Constant(lanes.vector, ir.Undefined), scalar, ir.Constant(INT[32], 0))
    where = ir.Constant(ir.VectorType(INT[32], lanes.count), [ir.Constant(INT[32], 0)] * lanes.count)
    return builder.shuffle_vector(first, ir.Constant(lanes.vector, ir.Undefined), where)


def call(builder: Any, lanes: Lanes, name: str, *args: Any) -> Any:
    """An LLVM intrinsic of vectors."""
    kind = ir.FunctionType(lanes.vector, [lanes.vector] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{lanes.count}f{lanes.bits}")
    return builder.call(function, args)


def at(builder: Any, pointer: Any, offset: Any, vector: Any) -> Any:
    """The address of a vector that starts at an element."""
    return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())


def _intp(context: Any, builder: Any, value: Any, given: Any) -> Any:
    return context.cast(builder, value, given, types.intp)


@intrinsic
def pointer(typing: Any, address: Any, like: Any) -> Any:
    """A pointer to numbers of the dtype of `like` at an integer address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(types.int64, like), generate


@intrinsic
def lane_count(typing: Any, start: Any) -> Any:
    """How many lanes of the dtype that the pointer points to; a constant."""
    count = OF[start.dtype].count
    return types.intp(start), lambda context, builder, signature, args: context.get_constant(types.intp, count)


@intrinsic
def load(typing: Any, start: Any, offset: Any) -> Any:
    """The lanes from an element on."""
    lanes = OF[start.dtype]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _intp(context, builder, args[1], signature.args[1])
        return builder.load(at(builder, args[0], where, lanes.vector), align=lanes.bits // 8)

    return lanes(start, offset), generate


@intrinsic
def load_first(typing: Any, start: Any, offset: Any, count: Any) -> Any:
    """The first `count` lanes from an element on, zeros in the others; memory beyond is not touched."""
    lanes = OF[start.dtype]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _intp(context, builder, args[1], signature.args[1])
        number = _intp(context, builder, args[2], signature.args[2])
        wide = ir.VectorType(ir.IntType(64), lanes.count)
        numbers = ir.Constant(wide, [ir.Constant(ir.IntType(64), lane) for lane in range(lanes.count)])
        first = builder.insert_element(ir.Constant(wide, ir.Undefined), number, ir.Constant(INT[32], 0))
        zero = ir.Constant(ir.VectorType(INT[32], lanes.count), [ir.Constant(INT[32], 0)] * lanes.count)
        mask = builder.icmp_signed("<", numbers, builder.shuffle_vector(first, ir.Constant(wide, ir.Undefined), zero))
        address = at(builder, args[0], where, lanes.vector)
        kind = ir.FunctionType(lanes.vector, [address.type, INT[32], mask.type, lanes.vector])
        name = f"llvm.masked.load.v{lanes.count}f{lanes.bits}.p0"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [address, ir.Constant(INT[32], lanes.bits // 8), mask, constant(lanes, 0.0)])

    return lanes(start, offset, count), generate


@intrinsic
def prefetch(typing: Any, start: Any, offset: Any) -> Any:
    """Ask for the memory at an element, which a later load will want; harmless at any address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = builder.bitcast(
            builder.gep(args[0], [_intp(context, builder, args[1], signature.args[1])]), ir.IntType(8).as_pointer()
        )
        numbers = [ir.Constant(INT[32], number) for number in (0, 3, 1)]  # to read, keep in all caches, data
        kind = ir.FunctionType(ir.VoidType(), [byte.type, *[number.type for number in numbers]])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [byte, *numbers])
        return context.get_dummy_value()

    return types.void(start, offset), generate


@intrinsic
def store(typing: Any, start: Any, offset: Any, value: Any) -> Any:
    """Write the lanes from an element on."""
    lanes = OF[start.dtype]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _intp(context, builder, args[1], signature.args[1])
        builder.store(args[2], at(builder, args[0], where, lanes.vector), align=lanes.bits // 8)
        return context.get_dummy_value()

    return types.void(start, offset, lanes), generate


@intrinsic
def spread_from(typing: Any, start: Any, offset: Any) -> Any:
    """One element of memory in every lane."""
    lanes = OF[start.dtype]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _intp(context, builder, args[1], signature.args[1])
        return spread(builder, lanes, builder.load(builder.gep(args[0], [where])))

    return lanes(start, offset), generate


@intrinsic
def full(typing: Any, start: Any, value: Any) -> Any:
    """A scalar in every lane, in the dtype that the pointer `start` points to."""
    lanes = OF[start.dtype]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return spread(builder, lanes, context.cast(builder, args[1], signature.args[1], lanes.dtype))

    return lanes(start, value), generate


@intrinsic
def like(typing: Any, lanes: Any, value: Any) -> Any:
    """A scalar in every lane of such lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return spread(builder, lanes, context.cast(builder, args[1], signature.args[1], lanes.dtype))

    return lanes(lanes, value), generate


@intrinsic
def total(typing: Any, x: Any) -> Any:
    """The sum of all lanes, by halves."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, count = args[0], x.count
        while count > 1:
            count //= 2
            low, high = (
                ir.Constant(ir.VectorType(INT[32], count), [ir.Constant(INT[32], i) for i in part])
                for part in (range(count), range(count, 2 * count))
            )
            undefined = ir.Constant(value.type, ir.Undefined)
            value = builder.fadd(
                builder.shuffle_vector(value, undefined, low), builder.shuffle_vector(value, undefined, high)
            )
        return builder.extract_element(value, ir.Constant(INT[32], 0))

    return x.dtype(x), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c."""
    return a(a, a, a), lambda context, builder, signature, args: call(builder, a, "fmuladd", *args)


@intrinsic
def sqrt(typing: Any, x: Any) -> Any:
    """The square root; NaN of a negative number."""
    return x(x), lambda context, builder, signature, args: call(builder, x, "sqrt", *args)


@intrinsic
def absolute(typing: Any, x: Any) -> Any:
    """|x|."""
    return x(x), lambda context, builder, signature, args: call(builder, x, "fabs", *args)


@intrinsic
def where(typing: Any, condition: Any, a: Any, b: Any) -> Any:
    """A where the condition holds, else b."""
    return a(condition, a, a), lambda context, builder, signature, args: builder.select(*args)


def _binary(name: str) -> Any:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        return a(a, a), lambda context, builder, signature, args: getattr(builder, name)(*args)

    return operation


def _comparison(symbol: str) -> Any:
    # Ordered: false where either is NaN. Kernels that select must let the NaN through: see `elementary`.
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        return Truths(a)(a, a), lambda context, builder, signature, args: builder.fcmp_ordered(symbol, *args)

    return operation


def _overload(symbol: Any, operation: Any) -> None:
    @overload(symbol, strict=False)
    def implement(a: Any, b: Any) -> Any:
        if isinstance(a, Lanes) and isinstance(b, Lanes):
            return lambda a, b: operation(a, b)
        if isinstance(a, Lanes) and isinstance(b, types.Number):
            return lambda a, b: operation(a, like(a, b))
        if isinstance(a, types.Number) and isinstance(b, Lanes):
            return lambda a, b: operation(like(b, a), b)
        return None


for _symbol, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _overload(_symbol, _binary(_name))
for _symbol, _name in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
    _overload(_symbol, _comparison(_name))
