"""What stops a run whose loss or gradient is not finite, before it reaches the parameters or the choice among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .batches import Place
from .objective import log_prob_of_rows
from .rows import Rows


class TrainingDiverged(RuntimeError):
    """The loss or a gradient was NaN or infinite; the step was not taken.

    Attributes:
        step: Number of completed steps.
        epoch: Number of the epoch, from 1; None for a step-driven loss.
        batch: Number of the batch in that epoch, from 1; None for a step-driven loss.
        rows: Rows of the training data, as the caller counts them, whose log density is not finite (at most 5), or
            the first rows of the batch if all are; none where it was the held-out loss.
        parameters: Names of the parameters whose gradient is not finite.
        groups: Which of the optimiser's parameter groups they are in, from 0.
    """

    def __init__(
        self, message: str, place: Place, *, rows: list[int], parameters: list[str], groups: list[int]
    ) -> None:
        super().__init__(message)
        self.step, self.epoch, self.batch = place.step, place.epoch, place.batch
        self.rows = rows
        self.parameters = parameters
        self.groups = groups


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
    module: nn.Module, optimiser: Optimizer, batch: tuple[Rows, Tensor] | None, place: Place, *, loss: float
) -> TrainingDiverged:
    """The exception for a step whose loss or gradient, already computed, is not finite.

    Args:
        module: Holds the gradients.
        optimiser: Was not asked to step yet.
        batch: The rows of the step and where the caller has them.
        place: The step.
        loss: Of that batch.
    """
    finite = math.isfinite(loss)
    more = ", its gradient not finite or too large" if finite else ""
    told = [f"training stopped in {place}: the loss is {loss:g}{more}"]
    rows, log_densities_finite = _suspects(module, batch)
    if rows:
        what = (
            "rows of the batch, whose log densities are all finite, begin with"
            if log_densities_finite
            else "log density not finite for rows"
        )
        told.append(f"{what} {', '.join(map(str, rows))}")
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    bad = [name for name, gradient in gradients.items() if not bool(torch.isfinite(gradient).all())]
    group_of = _groups(module, optimiser)
    if bad:
        told.append(f"gradient not finite in {_by_group(bad, group_of, optimiser)}")
    elif finite:
        largest = max(gradients, key=lambda name: float(gradients[name].abs().max()))
        told.append(
            "every gradient is finite but their norm overflows, the largest is that of"
            f" {_by_group([largest], group_of, optimiser)}"
        )
    look = ", a lower clip, or look at those rows" if rows else " or a lower clip"
    told.append(f"the step was not taken; try a lower learning rate{look}")
    groups = sorted({group for name in bad if (group := group_of[name]) is not None})
    return TrainingDiverged("; ".join(told), place, rows=rows, parameters=bad, groups=groups)


def held_out_divergence(module: nn.Module, held_out: object, place: Place) -> TrainingDiverged:
    """The exception for a held-out loss that is NaN, which no later one could be compared with.

    Args:
        module: In the state that was validated.
        held_out: The held-out rows, if rows they are.
        place: After which step.
    """
    rows: list[int] = []
    if isinstance(held_out, Rows):
        rows, finite = _suspects(module, (held_out, torch.arange(held_out.count)))
        rows = [] if finite else rows
    where = f", log density not finite for held-out rows {', '.join(map(str, rows))}" if rows else ""
    message = f"training stopped after step {place.step}: the held-out loss is nan{where}"
    return TrainingDiverged(message, place, rows=[], parameters=[], groups=[])


def _groups(module: nn.Module, optimiser: Optimizer) -> dict[str, int | None]:
    """Name of a parameter -> its group; None for one that the optimiser was not given."""
    group_of = {p: k for k, group in enumerate(optimiser.param_groups) for p in group["params"]}
    return {name: group_of.get(p) for name, p in module.named_parameters()}


def _by_group(names: Sequence[str], group_of: Mapping[str, int | None], optimiser: Optimizer) -> str:
    told = []
    for group in dict.fromkeys(group_of[name] for name in names):
        members = [name for name in names if group_of[name] == group]
        more = f" and {len(members) - 5} more" if len(members) > 5 else ""
        where = (
            "in no parameter group of the optimiser"
            if group is None
            else f"parameter group {group}, learning rate {float(optimiser.param_groups[group]['lr']):.3g}"
        )
        told.append(f"{', '.join(members[:5])}{more} ({where})")
    return " and in ".join(told)


@torch.no_grad()
def _suspects(module: nn.Module, batch: tuple[Rows, Tensor] | None) -> tuple[list[int], bool]:
    """Up to five rows to look at, and whether their log densities are finite after all."""
    if batch is None:
        return [], True
    rows, index = batch
    if not hasattr(module, "log_prob"):
        return [int(i) for i in index[:5]], True
    bad = ~torch.isfinite(log_prob_of_rows(module, rows))
    if bool(bad.any()):
        return [int(i) for i in index[bad.to(index.device)][:5]], False
    return [int(i) for i in index[:5]], True
