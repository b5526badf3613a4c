"""What the doors of all kernels share: what they know, and what they return."""

import functools
from typing import NamedTuple

from torch import Tensor

from ...conditioners.program import Activate, Program
from ...univariate import Univariate
from .encoding import EncodedMaps, encode_activation, encode_maps

_known = functools.lru_cache(maxsize=256)(encode_maps)


class Found(NamedTuple):
    """The result of a kernel: values (N, D), log_det (N)."""

    values: Tensor
    log_det: Tensor


class Cotangents(NamedTuple):
    """The result of a mirrored kernel: v (N, D), and the kept cotangents by step of the direct program."""

    v: Tensor
    kept: dict[int, Tensor]


def encode(univariate: Univariate) -> EncodedMaps | None:
    """Encoded once, if it can be looked up; a map of somebody's own may not be hashable."""
    try:
        return _known(univariate)
    except TypeError:
        return encode_maps(univariate)


def knows(program: Program, univariate: Univariate) -> bool:
    """Whether the kernels have this network's activations and this univariate map."""
    for step in program.steps:
        if type(step) is Activate and encode_activation(step.function) is None:
            return False
    return encode(univariate) is not None
