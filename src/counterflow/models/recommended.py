"""The preset that `fit` uses when nothing else is asked for: what won on validation data in benchmarks/density.py."""

from torch import nn

from ..flow import Flow
from ..univariate import RationalQuadratic
from .nsf import nsf


def recommended(
    features: int, context_features: int = 0, *, rows: int | None = None, context_encoder: nn.Module | None = None
) -> Flow:
    """A spline flow sized by the number of training rows.

    Args:
        features: D.
        context_features: M, of what we condition on.
        rows: Rows to train on; fewer rows get a smaller network with more dropout. None means many.
        context_encoder: Any nn.Module whose output has context_features entries.

    Raises:
        ValueError: rows < 1.

    Cost: see `nsf`.
    """
    if rows is not None and rows < 1:
        raise ValueError(f"expected at least one row, got {rows}")
    few = rows is not None and rows < 20_000
    return nsf(
        features,
        context_features,
        layers=3 if few else 5,
        hidden=(128, 128) if few else (256, 256),
        univariate=RationalQuadratic(bins=8, bound=5.0),
        dropout=0.2 if few else 0.0,
        context_encoder=context_encoder,
    )
