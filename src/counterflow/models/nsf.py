"""Autoregressive neural spline flow."""

from torch import nn

from ..bases import Base
from ..flow import Flow
from ..model import Model
from ..univariate import RationalQuadratic, Univariate
from .maf import maf
from .mixing import Mixing, ReverseLU

_REVERSE_LU = ReverseLU()


def nsf(
    features: int,
    context_features: int = 0,
    *,
    layers: int = 5,
    hidden: tuple[int, ...] = (256, 256),
    univariate: Univariate | None = None,
    residual: bool = True,
    permutation: Mixing | None = _REVERSE_LU,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    base: Base | Model | None = None,
    context_encoder: nn.Module | None = None,
) -> Flow:
    """Neural spline flow with autoregressive layers, RQ-NSF (AR): ResMADE, a reversal and an LU layer between.

    Arguments as for `maf`; `univariate` is by default `RationalQuadratic()`, 8 bins on [-5, 5] with the identity as
    tails, so data should be standardised first.

    Cost: log_prob `layers` parallel passes; sample the arithmetic of half as many, in D dependent steps each.
    Source: Durkan et al. (2019), arXiv:1906.04032.
    """
    return maf(
        features,
        context_features,
        layers=layers,
        hidden=hidden,
        univariate=univariate or RationalQuadratic(),
        residual=residual,
        permutation=permutation,
        activation=activation,
        dropout=dropout,
        base=base,
        context_encoder=context_encoder,
    )
