"""A density with its steps in view, if it has any."""

from typing import Any

from ..flow import Flow
from ..model import Given
from ..one_order import as_autoregressive


def stepwise_view(density: Any) -> Any:
    """What exposes the conditionals of a density: itself, or the autoregressive view of a flow; None if neither does.

    Whether the conditionals exist is known when they are asked for: a model without any raises TypeError then.
    """
    inner = density.model if isinstance(density, Given) else density
    if isinstance(inner, Flow):
        try:
            return as_autoregressive(density)
        except TypeError:
            return None
    return density if hasattr(density, "conditionals") else None
