"""Elementary functions and activations of Triton tiles, NaN in, NaN out; and how a function becomes part of a kernel.

Error: that of the compiler's exp and log, about 1e-7 in float32; float64 to a few units in the last place.
"""

# Triton infers types.
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

import inspect
from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

from . import codes

RELU = tl.constexpr(codes.RELU)
LEAKY_RELU = tl.constexpr(codes.LEAKY_RELU)
ELU = tl.constexpr(codes.ELU)
TANH = tl.constexpr(codes.TANH)
SIGMOID = tl.constexpr(codes.SIGMOID)
SILU = tl.constexpr(codes.SILU)
SOFTPLUS = tl.constexpr(codes.SOFTPLUS)


def kernel(function: Callable[..., Any]) -> Any:
    """A part of a kernel: Triton reads its source, not what a decorator made of it."""
    return triton.jit(inspect.unwrap(function))


def door(*numbers: str) -> Callable[[Callable[..., Any]], Any]:
    """A kernel itself, compiled once for all values of these numbers."""
    return lambda function: triton.jit(inspect.unwrap(function), do_not_specialize=numbers)


@kernel
def log1p(y):
    """log(1 + y) for y >= 0: what rounding takes from 1 + y is given back in the ratio (Kahan)."""
    sum_ = 1.0 + y
    kept = sum_ - 1.0
    return tl.where(kept == 0.0, y, tl.log(sum_) * (y / tl.where(kept == 0.0, 1.0, kept)))


@kernel
def softplus(x):
    """log(1 + exp(x))."""
    return tl.where(x > 0.0, x, 0.0) + log1p(tl.exp(-tl.abs(x)))


@kernel
def sigmoid(x):
    """1 / (1 + exp(-x)), small where it is small."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x < 0.0, e, 1.0) / (1.0 + e)


@kernel
def tanh(x):
    """The ratio of polynomials of Cephes (Moshier) near zero, where 1 - exp would cancel."""
    z = x * x
    top = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    bottom = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    e = tl.exp(-2.0 * tl.abs(x))
    large = (1.0 - e) / (1.0 + e)
    return tl.where(tl.abs(x) < 0.625, x + x * z * (top / bottom), tl.where(x < 0.0, -large, large))


@kernel
def expm1(x):
    """exp(x) - 1 for x <= 0."""
    t = tanh(0.5 * x)
    return 2.0 * t / (1.0 - t)


@kernel
def activate(x, CODE: tl.constexpr, NUMBER: tl.constexpr):
    """f(x). A comparison with NaN fails, and every branch then keeps it."""
    y = x
    if CODE == RELU:
        y = tl.where(x < 0.0, 0.0, x)
    elif CODE == LEAKY_RELU:
        y = tl.where(x < 0.0, x * NUMBER, x)
    elif CODE == ELU:
        y = tl.where(x < 0.0, expm1(tl.where(x < 0.0, x, 0.0)) * NUMBER, x)
    elif CODE == TANH:
        y = tanh(x)
    elif CODE == SIGMOID:
        y = sigmoid(x)
    elif CODE == SILU:
        y = x * sigmoid(x)
    elif CODE == SOFTPLUS:
        y = tl.where(x > NUMBER, x, softplus(x))
    return y
