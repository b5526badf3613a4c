"""The held-out loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from .plan import Plan
from .rows import Rows

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@torch.no_grad()
def held_out_loss(
    fabric: Fabric, module: nn.Module, plan: Plan, held_out: Rows | Callable[[Any], Tensor] | None
) -> float | None:
    """Mean of the loss over the held-out rows in eval mode, or what ``held_out(module)`` gives; None without.

    Rows come in chunks, whose losses count by their rows: right for a loss that is a mean over rows, as the default
    one is. With several processes each reads its share.
    """
    if held_out is None:
        return None
    module.eval()
    if isinstance(held_out, Rows):
        total = _sum_over_rows(fabric, module, plan, held_out)
        total = cast(Tensor, fabric.all_reduce(total, reduce_op="sum")) / held_out.count
    else:
        total = torch.as_tensor(held_out(module), dtype=torch.float64, device=fabric.device)
        total = cast(Tensor, fabric.all_reduce(total, reduce_op="mean"))
    module.train()
    return float(total)


def _sum_over_rows(fabric: Fabric, module: nn.Module, plan: Plan, rows: Rows) -> Tensor:
    total = torch.zeros((), dtype=torch.float64, device=fabric.device)
    for start in range(0, rows.count, plan.validation_batch_size):
        stop = min(rows.count, start + plan.validation_batch_size)
        chunk = rows.part(start + fabric.global_rank, stop, fabric.world_size)
        if chunk.count:
            loss = plan.loss(module, chunk)
            total = total + loss.double() * chunk.count
    return total
