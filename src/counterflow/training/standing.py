"""How far a run has come, as the value that a checkpoint stores."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from .history import Record


@dataclass
class Interval:
    """Sums over the steps since the last record."""

    loss: float = 0.0
    norm: float = 0.0
    clipped: int = 0
    steps: int = 0


@dataclass
class Standing:
    """What moves during a run besides tensors and random streams."""

    step: int = 0
    interval: Interval = field(default_factory=Interval)
    records: list[Record] = field(default_factory=list)
    best_step: int = 0
    best_validation: float = math.inf
    seconds: float = 0.0
    training_seconds: float = 0.0

    def validations(self) -> list[float]:
        """Held-out losses, oldest first."""
        return [record.validation for record in self.records if record.validation is not None]

    def waited(self) -> int:
        """Validations since the best one."""
        return sum(record.step > self.best_step for record in self.records)

    def to_tree(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @staticmethod
    def from_tree(tree: dict[str, Any]) -> Standing:
        """The inverse of ``to_tree``."""
        plain = {**tree, "interval": Interval(**tree["interval"])}
        return Standing(**{**plain, "records": [Record(**record) for record in tree["records"]]})
