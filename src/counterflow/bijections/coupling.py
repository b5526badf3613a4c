"""The coupling bijection: some coordinates pass untouched and steer univariate maps of the rest."""

import torch
from torch import Tensor, nn

from ..shapes import Context, LogDensity, Vector
from ..spec import register
from ..univariate import Univariate
from .bijection import Bijection


@register
class Coupling(Bijection):
    r"""x_a = u_a and x_b = tau(u_b; net(u_a, c)): both directions in one pass of the network.

    .. math:: \log\left|\frac{dx}{du}\right| = \sum_{i \in b} \log \frac{d\tau}{du_i}

    Args:
        kept: For each coordinate whether it passes untouched (is in a); at least one must not.
        network: (*B, |a|), context -> (*B, |b| P), parameter by parameter; an `MLP`, or any module of that shape.
        univariate: The map tau, with P parameters.
        context_features: M; with 0 the network is called with u_a alone.

    Raises:
        ValueError: every coordinate is kept.

    Cost: one pass of the network either way.
    Source: Dinh et al. (2015), arXiv:1410.8516, and (2017), arXiv:1605.08803.
    """

    _kept: Tensor
    _changed: Tensor
    _restore: Tensor

    def __init__(
        self, kept: tuple[bool, ...], network: nn.Module, univariate: Univariate, context_features: int = 0
    ) -> None:
        super().__init__()
        self.kept = tuple(bool(k) for k in kept)
        if all(self.kept):
            raise ValueError("a coupling layer that keeps every coordinate changes nothing")
        self.network, self.univariate = network, univariate
        self.features, self.context_features = len(self.kept), context_features
        mask = torch.tensor(self.kept)
        kept_first = torch.cat([mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]])
        self.register_buffer("_kept", mask.nonzero()[:, 0], persistent=False)
        self.register_buffer("_changed", (~mask).nonzero()[:, 0], persistent=False)
        self.register_buffer("_restore", kept_first.argsort(), persistent=False)

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """x, log |dx/du|."""
        self.check(u, "u", context)
        u_a, u_b = u[..., self._kept], u[..., self._changed]
        x_b, log_slope = self.univariate.forward(u_b, self._params(u_a, context))
        return self._join(u_a, x_b), log_slope.sum(-1)

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """u, log |du/dx|."""
        self.check(x, "x", context)
        x_a, x_b = x[..., self._kept], x[..., self._changed]
        u_b, log_slope = self.univariate.inverse(x_b, self._params(x_a, context))
        return self._join(x_a, u_b), log_slope.sum(-1)

    def _params(self, a: Tensor, context: Tensor | None) -> Tensor:
        raw: Tensor = self.network(a) if context is None else self.network(a, context)
        expected = len(self._changed) * self.univariate.num_params
        if raw.shape[-1] != expected:
            raise ValueError(
                f"expected a network with {expected} outputs ({len(self._changed)} changed coordinates of "
                f"{self.univariate.num_params} parameters), got {raw.shape[-1]}"
            )
        return raw.reshape(*raw.shape[:-1], self.univariate.num_params, len(self._changed)).transpose(-1, -2)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a.expand(*b.shape[:-1], a.shape[-1]), b], -1)[..., self._restore]
