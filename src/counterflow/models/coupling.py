"""Coupling flows: NICE, RealNVP on vectors, and neural spline flows with coupling layers. Both directions one pass."""

import torch
from torch import nn

from ..bases import Base, StandardLogistic, StandardNormal
from ..bijections import ActNorm, Bijection, Chain, Coupling, Inverse, LULinear, Rescale
from ..conditioners import MLP
from ..flow import Flow
from ..model import Model
from ..univariate import Additive, Affine, RationalQuadratic, Univariate
from .mixing import Mixing


def _alternating(features: int, layer: int) -> tuple[bool, ...]:
    """Every other coordinate kept, the other half in the next layer; a single coordinate is never kept."""
    return tuple(i % 2 != layer % 2 for i in range(features)) if features > 1 else (False,)


def _stack(
    features: int,
    context_features: int,
    univariate: Univariate,
    *,
    layers: int,
    between: Mixing | None,
    hidden: tuple[int, ...],
    activation: nn.Module | None,
    dropout: float,
) -> list[Bijection]:
    """Coupling layers that keep every other coordinate in turn, each followed by what `between` makes."""
    if layers < 1:
        raise ValueError(f"expected at least one layer, got {layers}")
    parts: list[Bijection] = []
    for layer in range(layers):
        kept = _alternating(features, layer)
        outputs = kept.count(False) * univariate.num_params
        network = MLP(kept.count(True), outputs, hidden, context_features, activation=activation, dropout=dropout)
        with torch.no_grad():  # start near the maps of zero parameters, as MaskedMLP does
            for parameter in network.layers[-1].parameters():
                parameter.mul_(0.1)
        parts.append(Coupling(kept, network, univariate, context_features))
        if between is not None:
            parts.append(between(features))
    return parts


def nice(
    features: int,
    context_features: int = 0,
    *,
    layers: int = 4,
    hidden: tuple[int, ...] = (512, 512),
    activation: nn.Module | None = None,
    base: Base | Model | None = None,
    context_encoder: nn.Module | None = None,
) -> Flow:
    r"""NICE: additive coupling layers, volume preserving, and a rescaling nearest to the noise.

    .. math:: u' = s \odot u, \qquad x_a = u'_a, \; x_b = u'_b + m(u'_a, c) \text{ per layer},
              \qquad \log\left|\frac{dx}{du}\right| = \sum_i \log s_i

    Args:
        features: D.
        context_features: M, of what we condition on.
        layers: Coupling layers; which coordinates are kept alternates.
        hidden: Widths of each network's hidden layers.
        activation: Of the networks.
        base: By default standard logistic, as in the paper.
        context_encoder: Any nn.Module whose output has context_features entries.

    Raises:
        ValueError: layers < 1.

    Cost: `layers` passes of a dense network in either direction.
    Source: Dinh et al. (2015), arXiv:1410.8516.
    """
    couplings = _stack(
        features,
        context_features,
        Additive(),
        layers=layers,
        between=None,
        hidden=hidden,
        activation=activation,
        dropout=0.0,
    )
    return Flow(
        base or StandardLogistic(features), Chain([Rescale(features), *couplings]), context_encoder=context_encoder
    )


def realnvp(
    features: int,
    context_features: int = 0,
    *,
    layers: int = 8,
    hidden: tuple[int, ...] = (256, 256),
    univariate: Univariate | None = None,
    norm: Mixing | None = ActNorm,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    base: Base | Model | None = None,
    context_encoder: nn.Module | None = None,
) -> Flow:
    r"""RealNVP on vectors: affine coupling layers.

    .. math:: x_a = u_a, \quad x_b = \mu(u_a, c) + \sigma(u_a, c) \odot u_b, \qquad
              \log\left|\frac{dx}{du}\right| = \sum_{i \in b} \log \sigma_i

    Args:
        features: D.
        context_features: M, of what we condition on.
        layers: Coupling layers; which coordinates are kept alternates.
        hidden: Widths of each network's hidden layers.
        univariate: By default `Affine()`, whose log scale is bounded.
        norm: Makes the bijection after each layer; by default ActNorm (for the paper's batch normalisation, whose
            training and test densities differ), None for none.
        activation: Of the networks.
        dropout: Of the networks.
        base: By default standard normal.
        context_encoder: Any nn.Module whose output has context_features entries.

    Raises:
        ValueError: layers < 1.

    Cost: `layers` passes of a dense network in either direction.
    Source: Dinh et al. (2017), arXiv:1605.08803.
    """
    parts = _stack(
        features,
        context_features,
        univariate or Affine(),
        layers=layers,
        between=norm,
        hidden=hidden,
        activation=activation,
        dropout=dropout,
    )
    return Flow(base or StandardNormal(features), Chain(parts), context_encoder=context_encoder)


def nsf_coupling(
    features: int,
    context_features: int = 0,
    *,
    layers: int = 8,
    hidden: tuple[int, ...] = (256, 256),
    univariate: Univariate | None = None,
    mixing: Mixing | None = LULinear,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    base: Base | Model | None = None,
    context_encoder: nn.Module | None = None,
) -> Flow:
    """Neural spline flow with coupling layers, RQ-NSF (C): rational-quadratic splines, LU linear layers between.

    Args:
        features: D.
        context_features: M, of what we condition on.
        layers: Coupling layers; which coordinates are kept alternates.
        hidden: Widths of each network's hidden layers.
        univariate: By default `RationalQuadratic()`, 8 bins on [-5, 5].
        mixing: Makes the bijection after each layer; None for none.
        activation: Of the networks.
        dropout: Of the networks.
        base: By default standard normal.
        context_encoder: Any nn.Module whose output has context_features entries.

    Raises:
        ValueError: layers < 1.

    Cost: `layers` passes of a dense network in either direction; scoring is the direction of matrix products, sampling
    that of triangular solves.
    Source: Durkan et al. (2019), arXiv:1906.04032.
    """
    parts = _stack(
        features,
        context_features,
        univariate or RationalQuadratic(),
        layers=layers,
        between=mixing,
        hidden=hidden,
        activation=activation,
        dropout=dropout,
    )
    return Flow(base or StandardNormal(features), Inverse(Chain(parts)), context_encoder=context_encoder)
