"""The activations on lanes."""

from .codes import ELU, LEAKY_RELU, RELU, SIGMOID, SILU, SOFTPLUS, TANH
from .compiled import called
from .elementary import expm1, sigmoid, softplus, tanh
from .lanes import lane_count, like, load, store, where


@called
def activate(code, number, target, source, size):
    """target[:size] = f(source[:size]), by whole vectors. Comparisons with NaN fail, and what is then chosen is NaN."""
    for start in range(0, size, lane_count(target)):
        x = load(source, start)
        if code == RELU:
            y = where(x < 0.0, like(x, 0.0), x)
        elif code == LEAKY_RELU:
            y = where(x < 0.0, x * number, x)
        elif code == ELU:
            y = where(x < 0.0, expm1(x) * number, x)
        elif code == TANH:
            y = tanh(x)
        elif code == SIGMOID:
            y = sigmoid(x)
        elif code == SILU:
            y = x * sigmoid(x)
        elif code == SOFTPLUS:
            y = where(x > like(x, number), x, softplus(x))
        else:
            y = x
        store(target, start, y)
