"""Flows of ours for nessai: `flow_config={"flow": counterflow.interop.nessai.Maf, ...}` in its sampler."""

from typing import Any

import torch
from torch import Tensor, nn

from .. import models
from ..flow import Flow
from .libraries import importing

with importing("nessai"):
    from nessai.flows.base import BaseFlow


class NessaiFlow(BaseFlow):  # type: ignore[misc]
    """A flow as nessai calls it. What nessai calls forward goes from data to the latent space, our inverse.

    Args:
        flow: Of the sampler's parameters.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z, log |dz/dx|."""
        u, log_det = self.flow.bijection.inverse(x, self.flow.encode(context))
        return u, log_det.expand(u.shape[:-1])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x, log |dx/dz|."""
        x, log_det = self.flow.bijection(z, self.flow.encode(context))
        return x, log_det.expand(x.shape[:-1])

    def sample(self, n: int, context: Tensor | None = None) -> Tensor:
        """(n, D), or one for each of n contexts."""
        return self.flow.sample((n,)) if context is None else self.flow.sample((), context)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x)."""
        return self.flow.log_prob(x, context)

    def sample_latent_distribution(self, n: int, context: Tensor | None = None) -> Tensor:
        """Noise, (n, D)."""
        return self.flow.base.sample((n,))

    def base_distribution_log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """log p of noise."""
        return self.flow.base.log_prob(z)

    def forward_and_log_prob(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z, and log p(x)."""
        z, log_det = self.forward(x, context)
        return z, self.base_distribution_log_prob(z, context) + log_det

    @torch.no_grad()
    def sample_and_log_prob(self, n: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x, and log p(x), from one pass."""
        if context is None:
            return self.flow.rsample_and_log_prob((n,))
        return self.flow.rsample_and_log_prob((), context)

    def freeze_transform(self) -> None:
        """Let the base alone learn."""
        self.flow.bijection.requires_grad_(False)

    def unfreeze_transform(self) -> None:
        """Let all learn."""
        self.flow.bijection.requires_grad_(True)


class Maf(NessaiFlow):
    """A MAF with nessai's arguments; it refuses those that it has no use for.

    Args:
        n_inputs: D.
        n_neurons: Width of the hidden layers.
        n_blocks: Layers of the flow.
        n_layers: Hidden layers of each; one of nessai's is a residual block, of two.
        options: Those of `counterflow.models.maf`.
    """

    def __init__(self, n_inputs: int, n_neurons: int, n_blocks: int, n_layers: int, **options: Any) -> None:
        settings = {"layers": n_blocks, "hidden": (n_neurons,) * n_layers, "activation": nn.SiLU(), **options}
        super().__init__(models.maf(n_inputs, **settings))


class Nsf(NessaiFlow):
    """An autoregressive spline flow with nessai's arguments; `options` are those of `counterflow.models.nsf`."""

    def __init__(self, n_inputs: int, n_neurons: int, n_blocks: int, n_layers: int, **options: Any) -> None:
        settings = {"layers": n_blocks, "hidden": (n_neurons,) * n_layers, "activation": nn.SiLU(), **options}
        super().__init__(models.nsf(n_inputs, **settings))
