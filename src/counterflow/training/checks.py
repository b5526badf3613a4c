"""What the numbers that ``fit`` is given must satisfy."""

from __future__ import annotations

import math
import operator
from typing import SupportsIndex


def check_counts(**counts: object) -> None:
    """Each is a whole number of at least 1, or None.

    Raises:
        TypeError: One is no whole number.
        ValueError: One is below 1.
    """
    for name, count in counts.items():
        if count is None:
            continue
        if isinstance(count, bool) or not isinstance(count, SupportsIndex):
            raise TypeError(f"expected {name} to be a whole number, got {count!r}")
        if operator.index(count) < 1:
            raise ValueError(f"expected {name} to be at least 1, got {count}")


def check_rates(*, learning_rate: float | None, weight_decay: float | None, clip: float | None) -> None:
    """The learning rate and the bound on the gradient are positive, the weight decay is not negative.

    Raises:
        ValueError: One is not; NaN is none of these.
    """
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise ValueError(f"expected learning_rate to be a positive number, got {learning_rate:g}")
    if weight_decay is not None and not 0 <= weight_decay < math.inf:
        raise ValueError(f"expected weight_decay to be 0 or a positive number, got {weight_decay:g}")
    if clip is not None and not clip > 0:
        raise ValueError(f"expected clip to be a positive number, or None for no bound, got {clip:g}")
