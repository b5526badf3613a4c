"""Everything that fixes a run before it starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from .averaging import ExponentialAverage
from .objective import Loss
from .rows import Rows, effective_rows
from .schedule import Schedule


@dataclass(frozen=True)
class Files:
    """What a run writes, and whether it goes on from what it wrote before."""

    checkpoint: Path | None = None
    checkpoint_every: int | None = None
    resume: bool = False
    log: Path | None = None
    tensorboard: Path | None = None


@dataclass(frozen=True)
class Training:
    """Rows to train on, and which rows of the caller's data they are."""

    rows: Rows
    index: Tensor | None  # None: all of them, in order


@dataclass(frozen=True)
class Plan:
    """The run: what is minimised on what, how, and for how long. ``batch_size`` counts rows over all processes."""

    loss: Loss
    training: Training | None
    held_out: Rows | Callable[[Any], Tensor] | None
    steps: int
    batch_size: int
    validation_batch_size: int
    validate_every: int
    make_optimiser: Callable[[Sequence[nn.Parameter]], Optimizer]
    schedule: Schedule
    clip: float | None
    patience: int | None
    average: ExponentialAverage | None
    seed: int
    files: Files
    progress: bool | None
    in_words: Callable[[float], str]
    notes: tuple[str, ...]

    @property
    def steps_per_epoch(self) -> int | None:
        """Full batches in the data; the rows left over sit out an epoch, other ones the next. None: step-driven."""
        return None if self.training is None else self.training.rows.count // self.batch_size

    @property
    def effective_rows(self) -> float | None:
        """(sum w)^2 / sum w^2 of the rows trained on."""
        return None if self.training is None else effective_rows(self.training.rows)
