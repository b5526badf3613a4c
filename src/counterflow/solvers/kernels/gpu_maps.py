"""The univariate maps on Triton tiles, both directions of each: from the parameters of one coordinate, a column each.

The formulas are those of `counterflow.univariate`, whose laws hold the two equal. What a map is, its numbers included,
is known when the kernel is compiled.
"""

# Triton infers types; a table of parameters is (samples, columns), columns past the last parameter are unspecified.
# mypy: disable-error-code="no-untyped-def,untyped-decorator"
# ruff: noqa: SIM109  (the language has neither keyword-only arguments nor membership)

import triton.language as tl

from . import codes
from .gpu_elementary import kernel, sigmoid, softplus

ADDITIVE = tl.constexpr(codes.ADDITIVE)
AFFINE_BOUNDED = tl.constexpr(codes.AFFINE_BOUNDED)
AFFINE_CLIPPED = tl.constexpr(codes.AFFINE_CLIPPED)
AFFINE_SIGMOID = tl.constexpr(codes.AFFINE_SIGMOID)
AFFINE_SOFTPLUS = tl.constexpr(codes.AFFINE_SOFTPLUS)
LINEAR_RATIONAL = tl.constexpr(codes.LINEAR_RATIONAL)
QUADRATIC = tl.constexpr(codes.QUADRATIC)

# Rows of MAPS: kind, whether inverted, first parameter, bins, then up to five numbers.
KIND, INVERTED, FIRST, BINS, NUMBERS = (tl.constexpr(i) for i in range(5))


@kernel
def apply_maps(value, params, MAPS: tl.constexpr, INVERSE: tl.constexpr, WIDTH: tl.constexpr):
    """The composed map at `value`, or its inverse, and the log of its slope."""
    log_slope = tl.zeros_like(value)
    for i in tl.static_range(len(MAPS)):
        value, log_slope = _apply(value, log_slope, params, MAPS, len(MAPS) - 1 - i if INVERSE else i, INVERSE, WIDTH)
    return value, log_slope


@kernel
def _apply(value, log_slope, params, MAPS: tl.constexpr, ROW: tl.constexpr, INVERSE: tl.constexpr, WIDTH: tl.constexpr):
    """One part of a composed map."""
    kind: tl.constexpr = MAPS[ROW][KIND]
    first: tl.constexpr = MAPS[ROW][FIRST]
    backwards: tl.constexpr = (MAPS[ROW][INVERTED] == 1) != INVERSE
    if kind == ADDITIVE:
        mu = column(params, first, WIDTH)
        value = value - mu if backwards else value + mu
    elif kind == QUADRATIC or kind == LINEAR_RATIONAL:
        bound: tl.constexpr = MAPS[ROW][NUMBERS]
        point = tl.where(value > bound, bound, tl.where(value < -bound, -bound, value))
        if kind == QUADRATIC:
            found, slope = _quadratic(point, params, MAPS, ROW, backwards, WIDTH)
        else:
            found, slope = _linear_rational(point, params, MAPS, ROW, backwards, WIDTH)
        inside = tl.abs(value) <= bound
        value = tl.where(inside, found, value)
        log_slope += tl.where(inside, -slope if backwards else slope, 0.0)
    else:
        mu = column(params, first, WIDTH)
        log_scale = _log_scale(column(params, first + 1, WIDTH), kind, MAPS[ROW][NUMBERS], MAPS[ROW][NUMBERS + 1])
        if backwards:
            value = (value - mu) * tl.exp(-log_scale)
            log_slope -= log_scale
        else:
            value = value * tl.exp(log_scale) + mu
            log_slope += log_scale
    return value, log_slope


@kernel
def column(params, which, WIDTH: tl.constexpr):
    """Column `which` of (T, WIDTH): one for all samples, or one for each, (T, 1)."""
    columns = tl.arange(0, WIDTH)[None, :]
    return tl.sum(tl.where(columns == which, params, 0.0), 1)


@kernel
def _log_scale(a, KIND: tl.constexpr, ONE: tl.constexpr, TWO: tl.constexpr):
    """log sigma(a)."""
    result = a
    if KIND == AFFINE_BOUNDED:
        result = a / (1.0 + tl.abs(a) / ONE)
    elif KIND == AFFINE_SOFTPLUS:
        result = tl.log(softplus(a + TWO) + ONE)
    elif KIND == AFFINE_SIGMOID:
        result = tl.log(sigmoid(a + TWO) + ONE)
    elif KIND == AFFINE_CLIPPED:
        result = tl.where(a < ONE, ONE, tl.where(a > TWO, TWO, a))
    return result


@kernel
def _sizes(
    params, FIRST: tl.constexpr, BINS: tl.constexpr, BOUND: tl.constexpr, LEAST: tl.constexpr, WIDTH: tl.constexpr
):
    """Sizes of the bins whose logits begin at column FIRST, in those columns, and where each bin begins."""
    columns = tl.arange(0, WIDTH)[None, :]
    own = (columns >= FIRST) & (columns < FIRST + BINS)
    logits = tl.where(own, params, float("-inf"))
    powers = tl.exp(logits - tl.max(logits, 1)[:, None])
    scale: tl.constexpr = 2.0 * BOUND * (1.0 - LEAST * BINS)
    sizes = tl.where(own, powers * (scale / tl.sum(powers, 1))[:, None] + 2.0 * BOUND * LEAST, 0.0)
    return sizes, tl.cumsum(sizes, 1) - sizes - BOUND


@kernel
def _find_bin(
    point, params, FIRST: tl.constexpr, BINS: tl.constexpr, BOUND: tl.constexpr, LEAST: tl.constexpr,
    MIN_SLOPE: tl.constexpr, EDGE: tl.constexpr, LIMIT: tl.constexpr, BY_HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The bin that holds a point, by its widths or its heights: lower knots, sizes, slopes at its knots, index."""
    columns = tl.arange(0, WIDTH)[None, :]
    if LIMIT > 0.0:  # soft-clipped parameters
        sizes = tl.abs(params)  # a number that is not multiplied with a tensor would be in single precision
        params = params / (1.0 + tl.where(columns < FIRST + 2 * BINS, sizes * (2.0 / LIMIT), sizes * (1.0 / LIMIT)))
    widths, x_knots = _sizes(params, FIRST, BINS, BOUND, LEAST, WIDTH)
    heights, y_knots = _sizes(params, FIRST + BINS, BINS, BOUND, LEAST, WIDTH)
    if BY_HEIGHT:
        inner = (columns > FIRST + BINS) & (columns < FIRST + 2 * BINS)
        which = tl.sum(tl.where(inner & (y_knots <= point[:, None]), 1, 0), 1)
    else:
        inner = (columns > FIRST) & (columns < FIRST + BINS)
        which = tl.sum(tl.where(inner & (x_knots <= point[:, None]), 1, 0), 1)
    at = which[:, None] + FIRST
    x, y = column(x_knots, at, WIDTH), column(y_knots, at + BINS, WIDTH)
    # The ends are exact, whatever the rounding of a sum.
    x, y = tl.where(which == 0, -BOUND, x), tl.where(which == 0, -BOUND, y)
    w, h = column(widths, at, WIDTH), column(heights, at + BINS, WIDTH)
    w, h = tl.where(which == BINS - 1, BOUND - x, w), tl.where(which == BINS - 1, BOUND - y, h)
    left = tl.where(which == 0, 0.0, column(params, at + (2 * BINS - 1), WIDTH))
    right = tl.where(which == BINS - 1, 0.0, column(params, at + 2 * BINS, WIDTH))
    if LIMIT > 0.0:
        d_left, d_right = tl.exp(left), tl.exp(right)
    else:
        d_left, d_right = softplus(left + EDGE) + MIN_SLOPE, softplus(right + EDGE) + MIN_SLOPE
    return x, y, w, h, d_left, d_right, which


@kernel
def _into_bin(t):
    """The position in a bin, which rounding may have pushed past 0 or 1."""
    return tl.where(t > 1.0, 1.0, tl.where(t < 0.0, 0.0, t))


@kernel
def _quadratic(
    point, params, MAPS: tl.constexpr, ROW: tl.constexpr, BACKWARDS: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """The rational-quadratic spline in its box, or its inverse; and the log slope of the spline."""
    first: tl.constexpr = MAPS[ROW][FIRST]
    bins: tl.constexpr = MAPS[ROW][BINS]
    min_slope: tl.constexpr = MAPS[ROW][NUMBERS + 2]
    x, y, w, h, d_left, d_right, _ = _find_bin(
        point, params, first, bins, MAPS[ROW][NUMBERS], MAPS[ROW][NUMBERS + 1], min_slope, MAPS[ROW][NUMBERS + 4],
        MAPS[ROW][NUMBERS + 3], BACKWARDS, WIDTH,
    )  # fmt: skip
    s = h / w
    bend = d_right + d_left - 2.0 * s
    if BACKWARDS:
        rise = point - y
        a = h * (s - d_left) + rise * bend
        b = h * d_left - rise * bend
        c = -s * rise
        square = b * b - 4.0 * a * c
        # The square is (slope x denominator x height)^2 > 0; rounding may still push a tiny one below zero.
        tiny = h * h * (min_slope * min_slope * 1e-6)
        t = _into_bin(-2.0 * c / (b + tl.sqrt(tl.where(square < tiny, tiny, square))))
        result = x + t * w
    else:
        t = (point - x) / w
        result = y + h * (s * t * t + d_left * t * (1.0 - t)) / (s + bend * t * (1.0 - t))
    slope = s * s * (d_right * t * t + 2.0 * s * t * (1.0 - t) + d_left * (1.0 - t) * (1.0 - t))
    return result, tl.log(slope) - 2.0 * tl.log(s + bend * t * (1.0 - t))


@kernel
def _linear_rational(
    point, params, MAPS: tl.constexpr, ROW: tl.constexpr, BACKWARDS: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """The linear-rational spline in its box, or its inverse; and the log slope of the spline."""
    first: tl.constexpr = MAPS[ROW][FIRST]
    bins: tl.constexpr = MAPS[ROW][BINS]
    least: tl.constexpr = MAPS[ROW][NUMBERS + 3]
    x, y, w, h, d_left, d_right, which = _find_bin(
        point, params, first, bins, MAPS[ROW][NUMBERS], MAPS[ROW][NUMBERS + 1], MAPS[ROW][NUMBERS + 2],
        MAPS[ROW][NUMBERS + 4], 0.0, BACKWARDS, WIDTH,
    )  # fmt: skip
    lam = sigmoid(column(params, which[:, None] + (first + 3 * bins - 1), WIDTH)) * (1.0 - 2.0 * least) + least
    w_b = tl.sqrt(d_left / d_right)
    w_c = (lam * d_left + (1.0 - lam) * w_b * d_right) * w / h
    y_c = lam * w_b * h / ((1.0 - lam) + lam * w_b)
    if BACKWARDS:
        rise = point - y
        left = rise <= y_c
        up, down = w_c * (y_c - rise), w_b * (h - rise)
        t = _into_bin(tl.where(left, lam * rise, lam * down - up) / tl.where(left, rise + up, down - up))
    else:
        t = _into_bin((point - x) / w)
        left = t <= lam
    denominator = tl.where(left, (lam - t) + w_c * t, w_c * (1.0 - t) + w_b * (t - lam))
    if BACKWARDS:
        result = x + t * w
    else:
        above = w_c * y_c * (1.0 - t) + w_b * h * (t - lam)
        result = y + tl.where(left, w_c * y_c * t, above) / denominator
    slope = w_c * tl.where(left, lam * y_c, w_b * (1.0 - lam) * (h - y_c))
    return result, tl.log(slope) - 2.0 * tl.log(denominator) - tl.log(w)
