"""The number that one batch gives the optimiser, as the module that Fabric wraps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .rows import Rows

Loss = Callable[[Any, Any], Any]  # loss(module, batch): the batch is Rows, or None for a step-driven loss


def negative_log_likelihood(module: Any, batch: Rows) -> Float[Tensor, ""]:
    r"""Forward KL(data || module) up to the entropy of the data, the default loss of ``fit``.

    .. math:: -\frac{1}{B} \sum_{i=1}^{B} w_i \log p(x_i \mid c_i)

    Args:
        module: Has ``log_prob(x)``, or ``log_prob(x, context)`` when the batch has a context.
        batch: B rows whose weights have mean 1 over their data set, as ``fit`` hands them out.

    Returns:
        Scalar, nats per event.

    Raises:
        ValueError: ``log_prob`` does not give one number per row.

    Error: unbiased in the choice of the batch.    Cost: one ``log_prob``.
    """
    log_prob = log_prob_of_rows(module, batch)
    if batch.weight is not None:
        log_prob = batch.weight * log_prob
    return -log_prob.mean()


def log_prob_of_rows(module: Any, batch: Rows) -> Float[Tensor, " n"]:
    """log p(x_i | c_i), one number per row; without context ``log_prob(x)`` is called, which plain densities have."""
    log_prob: Tensor = module.log_prob(batch.x) if batch.context is None else module.log_prob(batch.x, batch.context)
    if log_prob.shape != batch.x.shape[:1]:
        raise ValueError(
            f"log_prob gave shape {tuple(log_prob.shape)} for rows of shape {tuple(batch.x.shape)}, expected one number"
            f" per row, {tuple(batch.x.shape[:1])}; torch.distributions.Independent sums over an event"
        )
    return log_prob


class Objective(nn.Module):
    """Module and loss in one forward: data-parallel wrappers synchronise only what runs inside a forward."""

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module = module
        self._loss = (loss,)  # in a tuple: a loss that is itself a module must not have its parameters trained

    def forward(
        self,
        x: Shaped[Tensor, "n ..."] | None = None,
        context: Shaped[Tensor, "n ..."] | None = None,
        weight: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, ""]:
        """loss(module, batch); without arguments loss(module, None)."""
        batch = None if x is None else Rows(x, context, weight)
        value: object = self._loss[0](self.module, batch)
        if not isinstance(value, Tensor) or value.ndim != 0:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"expected a loss that is one number (a tensor without axes), got {got}")
        return value
