"""The univariate maps on lanes, in both directions: value and log slope, from the parameters of one coordinate.

The formulas are those of `counterflow.univariate`, whose laws hold the two equal.
"""

# Numba infers types; a row of parameters is `stride` numbers, of which a call reads the lanes it points to.

from .codes import (
    ADDITIVE,
    AFFINE_BOUNDED,
    AFFINE_CLIPPED,
    AFFINE_SIGMOID,
    AFFINE_SOFTPLUS,
    LINEAR_RATIONAL,
    MAP_BINS,
    MAP_INVERTED,
    MAP_KIND,
    MAP_NUMBERS,
    MAP_PARAMS,
    QUADRATIC,
)
from .compiled import called, inlined
from .elementary import exp, log, sigmoid, softplus
from .lanes import absolute, like, load, sqrt, store, where
from .product import shifted


@called
def apply_maps(maps, numbers, inverse, value, params, stride):
    """The composed map at `value`, or its inverse, and the log of its slope."""
    log_slope = like(value, 0.0)
    count = maps.shape[0]
    for index in range(count):
        row = count - 1 - index if inverse else index
        kind, first = maps[row, MAP_KIND], maps[row, MAP_NUMBERS]
        backwards = inverse != (maps[row, MAP_INVERTED] == 1)
        own = shifted(params, maps[row, MAP_PARAMS] * stride)
        if kind == ADDITIVE:
            mu = load(own, 0)
            value = value - mu if backwards else value + mu
        elif kind == QUADRATIC:
            bins = maps[row, MAP_BINS]
            value, slope = _quadratic(value, own, stride, bins, numbers, first, backwards)
            log_slope = log_slope + slope
        elif kind == LINEAR_RATIONAL:
            bins = maps[row, MAP_BINS]
            value, slope = _linear_rational(value, own, stride, bins, numbers, first, backwards)
            log_slope = log_slope + slope
        else:
            mu, a = load(own, 0), load(own, stride)
            log_scale = _log_scale(kind, a, numbers[first], numbers[first + 1])
            if backwards:
                value = (value - mu) * exp(0.0 - log_scale)
                log_slope = log_slope - log_scale
            else:
                value = value * exp(log_scale) + mu
                log_slope = log_slope + log_scale
    return value, log_slope


@inlined
def _log_of_sum(z, near, minimum):
    """log(near + minimum), where near is e^z for very negative z; that counts where there is no minimum."""
    value = log(near + like(z, minimum))
    return where(z < -80.0, z, value) if minimum == 0.0 else value


@inlined
def _log_scale(kind, a, first, second):
    """log sigma(a)."""
    if kind == AFFINE_BOUNDED:
        return a / (absolute(a) / like(a, first) + 1.0)
    if kind == AFFINE_SOFTPLUS:
        return _log_of_sum(a + like(a, second), softplus(a + like(a, second)), first)
    if kind == AFFINE_SIGMOID:
        return _log_of_sum(a + like(a, second), sigmoid(a + like(a, second)), first)
    if kind == AFFINE_CLIPPED:
        low, high = like(a, first), like(a, second)
        return where(a < low, low, where(a > high, high, a))
    return a


@inlined
def _softmax_scale(params, row, bins, stride):
    """Overwrite logits by exp(logit - largest); their sum."""
    largest = load(params, row * stride)
    for k in range(1, bins):
        logit = load(params, (row + k) * stride)
        largest = where(logit > largest, logit, largest)
    sum_ = like(largest, 0.0)
    for k in range(bins):
        e = exp(load(params, (row + k) * stride) - largest)
        store(params, (row + k) * stride, e)
        sum_ = sum_ + e
    return sum_


@called
def _softclip(params, bins, stride, limit):
    """Overwrite the parameters of a spline by their soft-clipped ones."""
    for k in range(3 * bins - 1):
        a = load(params, k * stride)
        bound = 0.5 * limit if k < 2 * bins else limit
        store(params, k * stride, a / (absolute(a) / like(a, bound) + 1.0))


@inlined
def _clamped(value, bound):
    return where(value > bound, like(value, bound), where(value < 0.0 - bound, like(value, 0.0 - bound), value))


@inlined
def _into_bin(t):
    return where(t > 1.0, like(t, 1.0), where(t < 0.0, like(t, 0.0), t))


@inlined
def _find_bin(point, params, stride, bins, numbers, first, by_height, exponential):
    """The bin that holds a point, by its widths or its heights: left knot, size, raw slopes at its knots, its index."""
    bound, min_bin, min_slope = numbers[first], numbers[first + 1], numbers[first + 2]
    widths = 2.0 * bound * (1.0 - min_bin * bins) / _softmax_scale(params, 0, bins, stride)
    heights = 2.0 * bound * (1.0 - min_bin * bins) / _softmax_scale(params, bins, bins, stride)
    least = 2.0 * bound * min_bin
    edge = like(point, numbers[first + 4])  # the raw slope of 1: of the tails, and of zero parameters
    x = y = x_left = y_left = like(point, 0.0 - bound)
    w = h = which = like(point, 0.0)
    d_left = d_right = before = edge
    for k in range(bins):
        width = load(params, k * stride) * widths + least
        height = load(params, (bins + k) * stride) * heights + least
        after = edge
        if k < bins - 1:
            after = load(params, (2 * bins + k) * stride) + edge
        if k == 0:
            x_left, y_left, w, h, d_left, d_right = x, y, width, height, before, after
        else:
            knot = y if by_height else x
            here = knot <= point
            x_left, y_left = where(here, x, x_left), where(here, y, y_left)
            w, h = where(here, width, w), where(here, height, h)
            d_left, d_right = where(here, before, d_left), where(here, after, d_right)
            which = where(here, like(point, 1.0 * k), which)
        if k == bins - 1:  # the last knot is exact, whatever the rounding of the sum
            w, h = where(which >= 1.0 * k, bound - x_left, w), where(which >= 1.0 * k, bound - y_left, h)
        x, y, before = x + width, y + height, after
    if exponential:
        d_left, d_right = exp(d_left), exp(d_right)
    else:
        d_left, d_right = softplus(d_left) + min_slope, softplus(d_right) + min_slope
    return x_left, y_left, w, h, d_left, d_right, which


@called
def _quadratic(value, params, stride, bins, numbers, first, backwards):
    """The rational-quadratic spline, or its inverse; the identity outside the box."""
    bound, min_slope, limit = numbers[first], numbers[first + 2], numbers[first + 3]
    point = _clamped(value, bound)
    clipped = limit > 0.0
    if clipped:
        _softclip(params, bins, stride, limit)
    x, y, w, h, d_left, d_right, _ = _find_bin(point, params, stride, bins, numbers, first, backwards, clipped)
    s = h / w
    bend = d_right + d_left - s * 2.0
    if backwards:
        rise = point - y
        a = h * (s - d_left) + rise * bend
        b = h * d_left - rise * bend
        c = 0.0 - s * rise
        square = b * b - a * c * 4.0
        tiny = h * h * (min_slope * min_slope * 1e-6)
        root = sqrt(where(square < tiny, tiny, square))
        t = _into_bin(c * -2.0 / (b + root))
        result = x + t * w
    else:
        t = (point - x) / w
        result = y + h * (s * t * t + d_left * t * (1.0 - t)) / (s + bend * t * (1.0 - t))
    slope = s * s * (d_right * t * t + s * 2.0 * t * (1.0 - t) + d_left * (1.0 - t) * (1.0 - t))
    log_slope = log(slope) - log(s + bend * t * (1.0 - t)) * 2.0
    if backwards:
        log_slope = 0.0 - log_slope
    inside = absolute(value) <= bound
    return where(inside, result, value), where(inside, log_slope, like(value, 0.0))


@called
def _linear_rational(value, params, stride, bins, numbers, first, backwards):
    """The linear-rational spline, or its inverse; the identity outside the box."""
    bound, min_lambda = numbers[first], numbers[first + 3]
    point = _clamped(value, bound)
    x, y, w, h, d_left, d_right, which = _find_bin(point, params, stride, bins, numbers, first, backwards, False)
    raw = load(params, (3 * bins - 1) * stride)
    for k in range(1, bins):
        raw = where(which >= 1.0 * k, load(params, (3 * bins - 1 + k) * stride), raw)
    lam = sigmoid(raw) * (1.0 - 2.0 * min_lambda) + min_lambda
    w_b = sqrt(d_left / d_right)
    w_c = (lam * d_left + (1.0 - lam) * w_b * d_right) * w / h
    y_c = lam * w_b * h / ((1.0 - lam) + lam * w_b)
    if backwards:
        rise = point - y
        left = rise <= y_c
        up, down = w_c * (y_c - rise), w_b * (h - rise)
        t = where(left, lam * rise, lam * down - up) / where(left, rise + up, down - up)
        t = _into_bin(t)
    else:
        t = _into_bin((point - x) / w)
        left = t <= lam
    denominator = where(left, (lam - t) + w_c * t, w_c * (1.0 - t) + w_b * (t - lam))
    if backwards:
        result = x + t * w
    else:
        above = w_c * y_c * (1.0 - t) + w_b * h * (t - lam)
        result = y + where(left, w_c * y_c * t, above) / denominator
    slope = w_c * where(left, lam * y_c, w_b * (1.0 - lam) * (h - y_c))
    log_slope = log(slope) - log(denominator) * 2.0 - log(w)
    if backwards:
        log_slope = 0.0 - log_slope
    inside = absolute(value) <= bound
    return where(inside, result, value), where(inside, log_slope, like(value, 0.0))
