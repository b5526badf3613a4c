"""How the learning rate moves over a run, as functions of the step and of the held-out losses, without state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """Learning rate = initial rate * ``at_step`` * ``after``.

    Both factors are functions of what a checkpoint holds anyway, so that a schedule has nothing of its own to store.
    """

    def at_step(self, step: int, steps: int, /) -> float:
        """Factor for the update number ``step`` (from 0) of ``steps``."""
        ...

    def after(self, validations: Sequence[float], /) -> float:
        """Factor once these held-out losses have been seen, oldest first."""
        ...


def _check_warmup(warmup_steps: int) -> None:
    if warmup_steps < 0:
        raise ValueError(f"expected warmup_steps of at least 0, got {warmup_steps}")


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / (warmup_steps + 1))


@dataclass(frozen=True)
class Constant:
    """The initial rate throughout, after a linear rise over ``warmup_steps``."""

    warmup_steps: int = 0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup_steps)

    def at_step(self, step: int, steps: int, /) -> float:
        """Linear rise, then 1."""
        return _warmup(step, self.warmup_steps)

    def after(self, validations: Sequence[float], /) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class WarmupCosine:
    """Linear rise over ``warmup_steps``, then half a cosine down to ``final`` at the last step.

    Args:
        warmup_steps: Length of the rise; a run shorter than ten times that rises over a tenth of its steps.
        final: Factor that is reached at the end.

    Source: Loshchilov and Hutter (2017), arXiv:1608.03983, without restarts.
    """

    warmup_steps: int = 100
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup_steps)
        if not 0 <= self.final < math.inf:
            raise ValueError(f"expected a final factor of 0 or more, got {self.final:g}")

    def at_step(self, step: int, steps: int, /) -> float:
        """min(1, (s + 1) / (w + 1)) (final + (1 - final) (1 + cos(pi t)) / 2), t the share of the way down."""
        warmup_steps = min(self.warmup_steps, steps // 10)
        t = max(0, step - warmup_steps) / max(1, steps - warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * t))
        return _warmup(step, warmup_steps) * (self.final + (1 - self.final) * cosine)

    def after(self, validations: Sequence[float], /) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class Plateau:
    """Multiply the rate by ``factor`` whenever ``patience`` validations in a row bring no better held-out loss.

    Args:
        factor: Between 0 and 1.
        patience: Validations without improvement that are borne, at least 1.
        minimum: The product of all cuts stays above this.
        warmup_steps: Linear rise at the start.
    """

    factor: float = 0.5
    patience: int = 5
    minimum: float = 1e-3
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"expected a factor between 0 and 1, got {self.factor:g}")
        if self.patience < 1:
            raise ValueError(f"expected a patience of at least 1 validation, got {self.patience}")
        if not 0 <= self.minimum <= 1:
            raise ValueError(f"expected a minimum between 0 and 1, got {self.minimum:g}")
        _check_warmup(self.warmup_steps)

    def at_step(self, step: int, steps: int, /) -> float:
        """Linear rise, then 1."""
        return _warmup(step, self.warmup_steps)

    def after(self, validations: Sequence[float], /) -> float:
        """factor ** (number of times patience ran out), from a replay of the held-out losses."""
        best, waited, cuts = math.inf, 0, 0
        for validation in validations:
            waited = 0 if validation < best else waited + 1
            best = min(best, validation)
            if waited >= self.patience:
                waited, cuts = 0, cuts + 1
        return max(self.minimum, self.factor**cuts)
