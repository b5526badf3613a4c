"""How to fit a model to a table; none of it depends on the data."""

import dataclasses
import math

from .presets import Preset


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run can be reproduced from, beside its data.

    Attributes:
        model: Which model.
        validation: Share of the rows that decides when to stop.
        test: Share of the rows kept for the final score only.
        epochs, steps: Passes over the data at most, or optimiser steps at most; by default 200 times what `patience`
            counts, and at most 20,000 steps.
        batch_size: Rows per step; by default a 25th of the training rows, at least 64 and at most 256.
        learning_rate: Of AdamW.
        patience: Stop after this many validations without a better one; there is one after each epoch, or every 25
            steps where an epoch has fewer.
        seed: Of the split, the starting weights, the noise and the order of the rows.

    Raises:
        ValueError: a number that is out of range, or both epochs and steps.
    """

    model: Preset = Preset.RECOMMENDED
    validation: float = 0.1
    test: float = 0.1
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float = 3e-3
    patience: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps exclude each other: give one")
        for name, smallest in (("epochs", 1), ("steps", 1), ("batch_size", 1), ("patience", 1), ("seed", 0)):
            count = getattr(self, name)
            if count is not None and count < smallest:
                raise ValueError(f"expected {name} of at least {smallest}, got {count}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"expected a learning_rate above 0, got {self.learning_rate}")
        for name in ("validation", "test"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise ValueError(f"expected {name} as a share of the rows, from 0 to less than 1, got {share}")
        if self.validation + self.test >= 1:
            raise ValueError(f"validation={self.validation} and test={self.test} leave no rows to train on")
