"""Which rows a step reads, as a function of the step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .plan import Plan
from .rows import Rows
from .streams import row_order


@dataclass(frozen=True)
class Place:
    """Where a run stands before a step.

    Attributes:
        step: Completed steps.
        epoch: Number of the epoch that the step belongs to, from 1; None for a step-driven loss.
        batch: Number of its batch in that epoch, from 1.
        batches: Number of batches in an epoch.
    """

    step: int
    epoch: int | None = None
    batch: int | None = None
    batches: int | None = None

    def __str__(self) -> str:
        within = "" if self.epoch is None else f" (batch {self.batch} of {self.batches} of epoch {self.epoch})"
        return f"step {self.step + 1}{within}"


class Batches:
    """Batches of a run for one of ``world`` processes.

    Every epoch has its own seeded order. Only full batches are taken: the rows left over sit out one epoch, and other
    ones the next. Process k of n reads every n-th row of a batch from the k-th, so that the batch over all processes,
    and with it the result, does not depend on their number.
    """

    def __init__(self, plan: Plan, device: torch.device, dtype: torch.dtype, *, rank: int, world: int) -> None:
        self._training = plan.training
        self.rows = None if plan.training is None else plan.training.rows.to(device, dtype)
        self._plan, self._rank, self._world = plan, rank, world
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> tuple[Rows, Tensor] | None:
        """Rows of the step and where they stand in ``rows``; None for a step-driven loss."""
        if self.rows is None or self._plan.steps_per_epoch is None:
            return None
        epoch, place = divmod(step, self._plan.steps_per_epoch)
        if self._epoch != epoch:
            order = row_order(self.rows.count, self._plan.seed, "epoch", epoch)
            self._epoch, self._order = epoch, order.to(self.rows.x.device)
        start = place * self._plan.batch_size
        index = self._order[start + self._rank : start + self._plan.batch_size : self._world]
        return self.rows.take(index), index

    def place(self, step: int) -> Place:
        """Which batch the step reads."""
        batches = self._plan.steps_per_epoch
        if batches is None:
            return Place(step)
        return Place(step, step // batches + 1, step % batches + 1, batches)

    def callers_index(self, index: Tensor) -> Tensor:
        """The same rows as the caller of ``fit`` counts them, before any were held out."""
        if self._training is None or self._training.index is None:
            return index
        return self._training.index[index.cpu()]

    def start(self, limit: int = 4096) -> Rows | None:
        """At most ``limit`` rows for a data-dependent start of the module."""
        if self.rows is None:
            return None
        order = row_order(self.rows.count, self._plan.seed, "initialise")[:limit]
        return self.rows.take(order.to(self.rows.x.device))
