"""Flows of three libraries on one size, each able to draw, and to make a few of its own coordinate passes.

The way of the rivals is the same: layer by layer, D passes of the whole network. Where the whole is too slow to wait
for, some consecutive passes of one layer are timed and scaled by layers * D / passes; what happens between the layers
is left out, to the rival's advantage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from inverse_grid import LAYERS
from rivals import Architecture, NflowsMAF, ZukoMAF
from torch import Tensor, nn


class ZukoSampler(nn.Module):
    """zuko: `AutoregressiveTransform._inverse` makes as many passes as its attribute `passes` says."""

    def __init__(self, features: int, architecture: Architecture) -> None:
        super().__init__()
        self.model = ZukoMAF(features, architecture)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x)

    def sample(self, rows: int) -> Tensor:
        return self.model.flow().sample((rows,))  # type: ignore[no-any-return]

    def passes(self, y: Tensor, count: int) -> Tensor:
        """The first `count` coordinate passes of the layer next to the base."""
        layer = self.model.flow().transform.transforms[-1]
        layer.passes = count
        return layer._inverse(y)  # type: ignore[no-any-return]


class NflowsSampler(nn.Module):
    """nflows: `AutoregressiveTransform.inverse` makes D passes; the loop here is its loop, shorter."""

    def __init__(self, features: int, architecture: Architecture) -> None:
        super().__init__()
        self.model = NflowsMAF(features, architecture)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x)

    def sample(self, rows: int) -> Tensor:
        return self.model.flow.sample(rows)  # type: ignore[no-any-return]

    def passes(self, y: Tensor, count: int) -> Tensor:
        """The first `count` coordinate passes of a layer."""
        layer: Any = self.model.flow._transform._transforms[0]
        outputs = torch.zeros_like(y)
        for _ in range(count):
            params = layer.autoregressive_net(outputs, None)
            outputs, _ = layer._elementwise_inverse(y, params)
        return outputs


class PyroSampler(nn.Module):
    """Pyro: `AffineAutoregressive._inverse` makes one pass per entry of its network's `permutation`.

    Raises:
        ValueError: by Pyro, a hidden layer narrower than D.
    """

    def __init__(self, features: int, architecture: Architecture) -> None:
        super().__init__()
        from pyro.distributions import Normal, TransformedDistribution
        from pyro.distributions.transforms import AffineAutoregressive
        from pyro.nn import AutoRegressiveNN

        width, order = architecture.hidden, torch.arange(features)
        self.layers = nn.ModuleList(
            AffineAutoregressive(
                AutoRegressiveNN(
                    features,
                    [width, width],
                    permutation=order.flip(0) if layer % 2 else order,
                    nonlinearity=architecture.activation(),
                )
            )
            for layer in range(architecture.layers)
        )
        self.register_buffer("loc", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self._make: Callable[..., Any] = TransformedDistribution
        self._normal: Callable[..., Any] = Normal

    def log_prob(self, x: Tensor) -> Tensor:
        return self._flow().log_prob(x)  # type: ignore[no-any-return]

    def sample(self, rows: int) -> Tensor:
        return self._flow().sample((rows,))  # type: ignore[no-any-return]

    def passes(self, y: Tensor, count: int) -> Tensor:
        """The first `count` coordinate passes of a layer."""
        layer: Any = self.layers[0]
        whole = layer.arn.permutation
        layer.arn.permutation = whole[:count]
        try:
            return layer._inverse(y)  # type: ignore[no-any-return]
        finally:
            layer.arn.permutation = whole

    def _flow(self) -> Any:
        """A MAF: the layers' parallel direction, x to u, is the one that scores.

        A layer remembers its last input and would answer a repeated call without computing; that is undone.
        """
        for layer in self.layers:
            layer._cached_x_y = None, None  # type: ignore[assignment]
        return self._make(self._normal(self.loc, self.scale).to_event(1), [layer.inv for layer in self.layers])  # type: ignore[union-attr]


SAMPLERS: dict[str, Callable[[int, Architecture], nn.Module]] = {
    "zuko": ZukoSampler,
    "nflows": NflowsSampler,
    "pyro": PyroSampler,
}


def build(features: int, hidden: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The rivals that can be of this size, and why the others cannot."""
    built: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name, make in SAMPLERS.items():
        torch.manual_seed(0)
        try:
            built[name] = make(features, Architecture(hidden, layers=LAYERS)).eval()
        except ValueError as error:
            refused[name] = str(error)
    return built, refused
