"""Elementary functions of lanes: polynomials after range reduction. NaN in, NaN out.

Error: a few units in the last place. Source: the single and double precision forms of Cephes (Moshier).
"""

from typing import Any

import numpy as np
from numba.extending import intrinsic

from .compiled import by_precision, inlined
from .lanes import Truths, absolute, call, integers, like, where

BIAS = {32: 127, 64: 1023}
MANTISSA = {32: 23, 64: 52}


@intrinsic
def _round(typing: Any, x: Any) -> Any:
    return x(x), lambda context, builder, signature, args: call(builder, x, "rint", *args)


@intrinsic
def _times_power(typing: Any, x: Any, n: Any) -> Any:
    """X 2^n for whole n with 2^n normal."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = builder.add(builder.fptosi(args[1], x.integers), integers(x, BIAS[x.bits]))
        return builder.fmul(args[0], builder.bitcast(builder.shl(whole, integers(x, MANTISSA[x.bits])), x.vector))

    return x(x, x), generate


@intrinsic
def _exponent(typing: Any, x: Any) -> Any:
    """E of x = m 2^e with m in [1/2, 1), for positive normal x."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.lshr(builder.bitcast(args[0], x.integers), integers(x, MANTISSA[x.bits]))
        return builder.sitofp(builder.sub(bits, integers(x, BIAS[x.bits] - 1)), x.vector)

    return x(x), generate


@intrinsic
def _mantissa(typing: Any, x: Any) -> Any:
    """M of x = m 2^e with m in [1/2, 1), for positive normal x."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = builder.and_(builder.bitcast(args[0], x.integers), integers(x, (1 << MANTISSA[x.bits]) - 1))
        half = integers(x, (BIAS[x.bits] - 1) << MANTISSA[x.bits])
        return builder.bitcast(builder.or_(kept, half), x.vector)

    return x(x), generate


@intrinsic
def is_nan(typing: Any, x: Any) -> Any:
    """Where x is NaN."""
    return Truths(x)(x), lambda context, builder, signature, args: builder.fcmp_unordered("uno", args[0], args[0])


def _reduced_exp(x: Any) -> Any:
    """Exp of x where both 2^(n - 1) and the result are in range."""


def _reduced_exp_single(x: Any) -> Any:
    n = _round(x * 1.4426950408889634)
    r = x - n * 0.693359375
    r = r + n * 2.12194440e-4
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    return _times_power(p * (r * r) + r + 1.0, n - 1.0) * 2.0


def _reduced_exp_double(x: Any) -> Any:
    n = _round(x * 1.4426950408889634)
    r = x - n * 6.93145751953125e-1
    r = r - n * 1.42860682030941723212e-6
    rr = r * r
    p = ((rr * 1.26177193074810590878e-4 + 3.02994407707441961300e-2) * rr + 9.99999999999999999910e-1) * r
    q = rr * 3.00198505138664455042e-6 + 2.52448340349684104192e-3
    q = (q * rr + 2.27265548208155028766e-1) * rr + 2.0
    return _times_power((p / (q - p)) * 2.0 + 1.0, n - 1.0) * 2.0


by_precision(_reduced_exp, single=_reduced_exp_single, double=_reduced_exp_double)


def _exp_range(x: Any) -> Any:
    """Below the first exp is 0, above the second infinite."""


by_precision(_exp_range, single=lambda x: (-86.6, 89.0), double=lambda x: (-707.7, 710.0))


@inlined
def exp(x: Any) -> Any:
    """e^x; 0 below e^-86.6 (e^-707.7 in double precision), where the result nears the denormal numbers."""
    low, high = _exp_range(x)
    inside = where(x > low, x, like(x, low))
    inside = where(inside < high, inside, like(x, high))
    y = where(x < low, like(x, 0.0), _reduced_exp(inside))
    return where(is_nan(x), x, y)


def _log_of_mantissa(f: Any) -> Any:
    """log(1 + f) - (f - f^2 / 2) for f in [sqrt(1/2) - 1, sqrt(2) - 1]."""


def _log_of_mantissa_single(f: Any) -> Any:
    p = f * 7.0376836292e-2 - 1.1514610310e-1
    p = p * f + 1.1676998740e-1
    p = p * f - 1.2420140846e-1
    p = p * f + 1.4249322787e-1
    p = p * f - 1.6668057665e-1
    p = p * f + 2.0000714765e-1
    p = p * f - 2.4999993993e-1
    p = p * f + 3.3333331174e-1
    return p * f * (f * f)


def _log_of_mantissa_double(f: Any) -> Any:
    p = f * 1.01875663804580931796e-4 + 4.97494994976747001425e-1
    p = p * f + 4.70579119878881725854e0
    p = p * f + 1.44989225341610930846e1
    p = p * f + 1.79368678507819816313e1
    p = p * f + 7.70838733755885391666e0
    q = f + 1.12873587189167450590e1
    q = q * f + 4.52279145837532221105e1
    q = q * f + 8.29875266912776603211e1
    q = q * f + 7.11544750618563894466e1
    q = q * f + 2.31251620126765340583e1
    return f * (f * f) * (p / q)


by_precision(_log_of_mantissa, single=_log_of_mantissa_single, double=_log_of_mantissa_double)


def _smallest(x: Any) -> Any:
    """The smallest normal number."""


by_precision(_smallest, single=lambda x: 1.1754943508222875e-38, double=lambda x: 2.2250738585072014e-308)


@inlined
def log(x: Any) -> Any:
    """log x; denormal numbers count as 0."""
    e, m = _exponent(x), _mantissa(x)
    small = m < 0.70710678118654752440
    f = where(small, m + m, m) - 1.0
    e = where(small, e - 1.0, e)
    y = _log_of_mantissa(f) - e * 2.121944400546905827679e-4
    y = (f * f) * -0.5 + y
    y = e * 0.693359375 + (f + y)
    y = where(x * 0.5 < x, y, x)  # infinity stays
    zero = where(x < _smallest(x), like(x, -np.inf), y)
    return where(x >= 0.0, zero, like(x, np.nan))


@inlined
def log1p(x: Any) -> Any:
    """log(1 + x) for x >= 0, to the last digits of small x. Source: Kahan's correction, as in the HP-15C manual."""
    w = x + 1.0
    exact = where(w > 1.0, w - 1.0, like(x, 1.0))
    y = log(w) * (x / exact)
    return where(w > 1.0, where(x * 0.5 < x, y, log(w)), x)


def _tanh_small(x: Any) -> Any:
    """Tanh of |x| < 0.625."""


def _tanh_small_single(x: Any) -> Any:
    z = x * x
    p = z * -5.70498872745e-3 + 2.06390887954e-2
    p = p * z - 5.37397155531e-2
    p = p * z + 1.33314422036e-1
    p = p * z - 3.33332819422e-1
    return p * z * x + x


def _tanh_small_double(x: Any) -> Any:
    z = x * x
    p = (z * -9.64399179425052238628e-1 - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    return (p / q) * z * x + x


by_precision(_tanh_small, single=_tanh_small_single, double=_tanh_small_double)


@inlined
def tanh(x: Any) -> Any:
    """(e^x - e^-x) / (e^x + e^-x)."""
    far = 1.0 - 2.0 / (exp(absolute(x) * 2.0) + 1.0)
    far = where(x < 0.0, 0.0 - far, far)
    return where(absolute(x) < 0.625, _tanh_small(x), far)


@inlined
def expm1(x: Any) -> Any:
    """e^x - 1, to the last digits of small x."""
    t = _tanh_small(x * 0.5)
    return where(absolute(x) < 1.0, 2.0 * t / (1.0 - t), exp(x) - 1.0)


@inlined
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return 1.0 / (exp(0.0 - x) + 1.0)


@inlined
def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    return where(x > 0.0, x, like(x, 0.0)) + log1p(exp(0.0 - absolute(x)))
