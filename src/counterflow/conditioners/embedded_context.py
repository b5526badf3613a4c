"""The context encoder of events: any batch axes in front, standardised, embedded, laid flat."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..shapes import Context
from ..spec import register


@register
class EmbeddedContext(nn.Module):
    """c -> embedding_net((c - mean) / std) for events of any shape, (*B, *event) -> (*B, M).

    Mean and deviation are buffers, 0 and 1 until `standardise_` writes them. Of a file that holds one,
    `counterflow.load` asks for the embedding net alone.

    Args:
        event_shape: Of one context.
        embedding_net: From (N, *event) to (N, ...), trained with the flow; None: the events as they are.

    Source: the standardising net of sbi, with batch axes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, event_shape: Sequence[int], embedding_net: nn.Module | None = None) -> None:
        super().__init__()
        self.event_shape, self.embedding_net = tuple(event_shape), embedding_net
        self.register_buffer("mean", torch.zeros(self.event_shape))
        self.register_buffer("std", torch.ones(self.event_shape))

    @torch.no_grad()
    def standardise_(self, mean: Tensor, std: Tensor) -> None:
        """Set what is subtracted and what is divided by; either broadcasts against an event.

        Raises:
            ValueError: a deviation that is not positive and finite, or a mean that is not finite.
        """
        if not bool((std > 0).all() and std.isfinite().all() and mean.isfinite().all()):
            raise ValueError("this context cannot be standardised: a deviation is not positive, or not finite")
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, context: Context) -> Context:
        """(*B, *event) -> (*B, M).

        Raises:
            ValueError: events of another shape.
        """
        axes = context.dim() - len(self.event_shape)
        if axes < 0 or context.shape[axes:] != self.event_shape:
            raise ValueError(
                f"expected a context of shape (*batch, {', '.join(map(str, self.event_shape))}), "
                f"got {tuple(context.shape)}"
            )
        batch = context.shape[:axes]
        # One batch axis: embedding nets count on it.
        events = ((context - self.mean) / self.std).reshape(batch.numel(), *self.event_shape)
        embedded: Tensor = events if self.embedding_net is None else self.embedding_net(events)
        return embedded.reshape(*batch, embedded.shape[1:].numel())
