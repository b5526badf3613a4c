"""Masked autoencoders for distribution estimation: explicit autoregressive conditionals from a masked network."""

import copy

import torch
from torch import Generator, nn

from ..autoregressive import AutoregressiveModel, Ensemble
from ..conditioners import MaskedMLP, random_degrees, random_order
from ..families import Family, Normal, NormalMixture
from ..model import Model


def made(
    features: int,
    context_features: int = 0,
    *,
    family: Family | None = None,
    hidden: tuple[int, ...] = (512, 512),
    residual: bool = False,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    members: int = 1,
    generator: Generator | None = None,
    context_encoder: nn.Module | None = None,
) -> Model:
    r"""MADE: log p(x) = sum_i log p(x_i | x_<i), all conditionals from one masked network in one pass.

    Args:
        features: D.
        context_features: M, of what we condition on.
        family: The conditionals; by default `Normal()`, `Bernoulli()` for binary data.
        hidden: Widths of the hidden layers.
        residual: ResMADE.
        activation: Of the network.
        dropout: Of the network.
        members: With more than one, an `Ensemble` over random orders and connectivities of one set of weights,
            averaged in log space.
        generator: Draws the orders and connectivities; None is the global stream.
        context_encoder: Any nn.Module whose output has context_features entries.

    Raises:
        ValueError: members < 1.

    Cost: log_prob one pass per member; sample the arithmetic of half a pass per member, in D dependent steps.
    Source: Germain et al. (2015), arXiv:1502.03509.
    """
    if members < 1:
        raise ValueError(f"expected at least one member, got {members}")
    family = family or Normal()

    def member(order: tuple[int, ...] | None, degrees: tuple[tuple[int, ...], ...] | None) -> AutoregressiveModel:
        encoder = context_encoder if members == 1 else copy.deepcopy(context_encoder)  # tied again by the ensemble
        conditioner = MaskedMLP(
            features,
            family.num_params,
            hidden,
            context_features,
            residual=residual,
            activation=activation,
            dropout=dropout,
            order=order,
            degrees=degrees,
        )
        return AutoregressiveModel(conditioner, family, context_encoder=encoder)

    if members == 1:
        return member(None, None)
    lowest = 0 if context_features else 1
    drawn = []
    for _ in range(members):
        order = random_order(features, generator=generator)
        if residual:  # one set of degrees for all layers, see MaskedMLP
            degrees = (random_degrees(features, hidden[0], lowest, generator=generator),) * len(hidden)
        else:
            degrees = tuple(random_degrees(features, width, lowest, generator=generator) for width in hidden)
        drawn.append(member(order, degrees))
    return Ensemble(drawn, tied=True)


def made_mog(
    features: int,
    context_features: int = 0,
    *,
    components: int = 10,
    hidden: tuple[int, ...] = (512, 512),
    residual: bool = False,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    members: int = 1,
    generator: Generator | None = None,
    context_encoder: nn.Module | None = None,
) -> Model:
    """MADE MoG: a MADE whose conditionals are mixtures of `components` normals; other arguments as for `made`.

    The mixtures start with their means spread over the quantiles of a standard normal: equal components would have
    equal gradients.

    Source: Papamakarios et al. (2017), arXiv:1705.07057.
    """
    model = made(
        features,
        context_features,
        family=NormalMixture(components),
        hidden=hidden,
        residual=residual,
        activation=activation,
        dropout=dropout,
        members=members,
        generator=generator,
        context_encoder=context_encoder,
    )
    levels = (torch.arange(components) + 0.5) / components
    spread = torch.special.ndtri(levels.to(torch.get_default_dtype()))
    conditioner = next(module for module in model.modules() if isinstance(module, MaskedMLP))  # members share weights
    with torch.no_grad():
        conditioner.out.bias.view(3, components, features)[1] += spread[:, None]  # (logits, means, scales)
    return model
