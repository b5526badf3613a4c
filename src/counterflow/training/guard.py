"""What stops a step whose loss or gradient is not finite, before it reaches the parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .objective import log_prob_of_rows
from .rows import Rows


class TrainingDiverged(RuntimeError):
    """The loss or a gradient was NaN or infinite; the step was not taken.

    Attributes:
        step: Number of completed steps.
        rows: Rows of the training data, as the caller counts them, whose log density is not finite (at most 5), or
            the first rows of the batch if all are.
        parameters: Names of the parameters whose gradient is not finite.
    """

    def __init__(self, message: str, *, step: int, rows: list[int], parameters: list[str]) -> None:
        super().__init__(message)
        self.step = step
        self.rows = rows
        self.parameters = parameters


@torch.no_grad()
def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, a scalar; parameters without a gradient count as 0."""
    # The norm of the norms, as torch.nn.utils.get_total_norm computes it at twice the overhead.
    norms: Sequence[Tensor] = torch._foreach_norm([p.grad for p in parameters if p.grad is not None])
    norm: Tensor = torch.linalg.vector_norm(torch.stack(tuple(norms)))
    return norm


@torch.no_grad()
def scale_gradients_(parameters: Sequence[nn.Parameter], factor: float) -> None:
    """Multiply every gradient by ``factor``."""
    torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], factor)


def drop_gradients_(parameters: Sequence[nn.Parameter]) -> None:
    """Free every gradient; ``Optimizer.zero_grad`` does the same around a profiler's record."""
    for parameter in parameters:
        parameter.grad = None


def divergence(
    module: nn.Module, batch: Rows | None, index: Tensor | None, *, step: int, loss: float
) -> TrainingDiverged:
    """The exception for a step whose loss or gradient, already computed, is not finite."""
    bad = [
        name for name, p in module.named_parameters() if p.grad is not None and not bool(torch.isfinite(p.grad).all())
    ]
    rows, log_densities_finite = _suspects(module, batch, index)
    told = [f"training stopped in step {step + 1}: the loss is {loss:g}"]
    if rows:
        what = (
            "rows of the batch, whose log densities are all finite, begin with"
            if log_densities_finite
            else ("log density not finite for rows")
        )
        told.append(f"{what} {', '.join(map(str, rows))}")
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        told.append(f"gradient not finite in {', '.join(bad[:5])}{more}")
    told.append("the step was not taken; try a lower learning rate, a lower clip, or look at those rows")
    return TrainingDiverged("; ".join(told), step=step, rows=rows, parameters=bad)


@torch.no_grad()
def _suspects(module: nn.Module, batch: Rows | None, index: Tensor | None) -> tuple[list[int], bool]:
    """Up to five rows to look at, and whether their log densities are finite after all."""
    if batch is None or index is None:
        return [], True
    if not hasattr(module, "log_prob"):
        return [int(i) for i in index[:5]], True
    bad = ~torch.isfinite(log_prob_of_rows(module, batch))
    if bool(bad.any()):
        return [int(i) for i in index[bad.to(index.device)][:5]], False
    return [int(i) for i in index[:5]], True
