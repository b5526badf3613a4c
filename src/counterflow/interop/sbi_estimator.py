"""A flow of ours as a density estimator of sbi."""

from typing import Any

import torch
from torch import Tensor, nn

from ..flow import Flow
from ..model import Given
from .libraries import importing

with importing("sbi"):
    from sbi.neural_nets.estimators.base import ConditionalDensityEstimator


class FlowEstimator(ConditionalDensityEstimator):  # type: ignore[misc]
    """A conditional flow as sbi sees densities: inputs (sample, batch, *event), conditions (batch, *event).

    Args:
        net: The flow; its context encoder standardises and embeds conditions, whatever their batch axes.
        input_shape: Of one input.
        condition_shape: Of one condition.
    """

    net: Flow

    def __init__(self, net: Flow, input_shape: torch.Size, condition_shape: torch.Size) -> None:
        super().__init__(net, input_shape, condition_shape)

    @property
    def embedding_net(self) -> nn.Module | None:
        """What conditions pass through, standardisation included; None: nothing."""
        return self.net.context_encoder

    def log_prob(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """log p(input | condition), (sample, batch); batch axes broadcast."""
        self._check_input_shape(input)
        event = len(self.input_shape)
        if input.dim() <= event + 1:
            input = input[None]
        flat = input.flatten(-event) if event else input[..., None]
        scores: Tensor = self._given(condition).log_prob(flat)
        return scores

    def loss(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """-log p(input | condition), (batch,)."""
        return -self.log_prob(input[None], condition)[0]

    def sample(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> Tensor:
        """Draws, (*sample_shape, batch, *event): the exact inverse, not a pass for every parameter."""
        drawn: Tensor = self._given(condition).sample(torch.Size(sample_shape))
        return drawn.reshape(*drawn.shape[:-1], *self.input_shape)

    @torch.no_grad()
    def sample_and_log_prob(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        """Draws, and their log density from the same pass where the base allows it."""
        given = self._given(condition)
        try:
            x, log_prob = given.rsample_and_log_prob(torch.Size(sample_shape))
        except TypeError:  # the base picks components
            x = given.sample(torch.Size(sample_shape))
            log_prob = given.log_prob(x)
        return x.reshape(*x.shape[:-1], *self.input_shape), log_prob

    def inverse_transform(self, input: Tensor, condition: Tensor) -> Tensor:
        """The noise of inputs, (*batch, D): what sbi's local classifier test asks for."""
        bijection = self.net.bijection
        encoded = self._given(condition).encoded
        u, _ = bijection.inverse(input, encoded if bijection.context_features else None)
        return u

    def _given(self, condition: Tensor) -> Given:
        self._check_condition_shape(condition)
        return self.net.given(condition)
