"""The MAF of one paper in Counterflow, zuko and nflows, each an nn.Module with log_prob(x).

One architecture for all: affine layers, two hidden layers of masked weights whose degrees run over 1..D-1, the order
of the coordinates reversed between layers, a standard normal base. What differs is each library's own: how the scale
is kept positive (bounded exponential in Counterflow and zuko, softplus in nflows), whether a layer is written
(x - mu) / sigma (Counterflow) or sigma x + mu (the others), and the rows of the weights at their random start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import counterflow as cf


@dataclass(frozen=True)
class Architecture:
    """Layers, units in each of the two hidden layers of a layer, and their activation."""

    hidden: int
    activation: type[nn.Module] = nn.ReLU
    layers: int = 5


def counterflow_maf(features: int, architecture: Architecture) -> nn.Module:
    width = architecture.hidden
    return cf.models.maf(
        features, layers=architecture.layers, hidden=(width, width), activation=architecture.activation()
    )


class ZukoMAF(nn.Module):
    """zuko's MAF: `flow()` builds the distribution, whose log_prob scores."""

    def __init__(self, features: int, architecture: Architecture) -> None:
        super().__init__()
        import zuko

        width = architecture.hidden
        self.flow = zuko.flows.MAF(
            features,
            transforms=architecture.layers,
            hidden_features=(width, width),
            activation=architecture.activation,
        )

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow().log_prob(x)  # type: ignore[no-any-return]


class NflowsMAF(nn.Module):
    """nflows' MAF: an initial masked layer and one feed-forward block are the two hidden layers of the others."""

    def __init__(self, features: int, architecture: Architecture) -> None:
        super().__init__()
        from nflows.distributions import StandardNormal
        from nflows.flows import Flow
        from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform, ReversePermutation

        transforms: list[nn.Module] = []
        for layer in range(architecture.layers):
            if layer > 0:
                transforms.append(ReversePermutation(features))
            transforms.append(
                MaskedAffineAutoregressiveTransform(
                    features,
                    hidden_features=architecture.hidden,
                    num_blocks=1,
                    use_residual_blocks=False,
                    activation=architecture.activation(),
                )
            )
        self.flow = Flow(CompositeTransform(transforms), StandardNormal([features]))

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow.log_prob(x)  # type: ignore[no-any-return]


LIBRARIES: dict[str, Callable[[int, Architecture], nn.Module]] = {
    "counterflow": counterflow_maf,
    "zuko": ZukoMAF,
    "nflows": NflowsMAF,
}


@dataclass(frozen=True)
class ParameterCount:
    """Trainable numbers, and those among them that no mask removes."""

    stored: int
    unmasked: int


def parameter_count(module: nn.Module) -> ParameterCount:
    """Count a module's weights; all three libraries keep a masked layer's mask in its buffer `mask`."""
    stored = sum(p.numel() for p in module.parameters() if p.requires_grad)
    masks = [mask for part in module.modules() if isinstance(mask := getattr(part, "mask", None), Tensor)]
    return ParameterCount(stored, stored - sum(mask.numel() - int(torch.count_nonzero(mask)) for mask in masks))
