"""What a run of ``fit`` was, as a value."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Record:
    """One line of a history: what the steps since the line before did.

    Attributes:
        step: Steps done.
        epoch: Passes over the data done, None for a step-driven loss.
        loss: Mean training loss of the steps since the last record, nats per event for a likelihood.
        validation: Held-out loss at this step, None without held-out data.
        learning_rate: Of the last step.
        gradient_norm: Mean norm before clipping.
        clipped: Share of those steps whose gradient was clipped.
        seconds: Since the start, interruptions left out. Not compared, two equal runs take different times.
    """

    step: int
    epoch: float | None
    loss: float
    validation: float | None
    learning_rate: float
    gradient_norm: float
    clipped: float
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class History:
    """What ``fit`` returns.

    Attributes:
        records: One per validation, oldest first.
        best_step: Step whose weights were kept: of the lowest held-out loss, the last without held-out data.
        best_validation: That loss.
        stopped_because: A sentence.
        steps: Steps done.
        rows: Rows trained on, None for a step-driven loss.
        effective_rows: (sum w)^2 / sum w^2 of them.
        seconds: Of the whole run.
        seconds_per_epoch: Of training alone, validation and checkpoints left out.
        notes: What the caller should know: a batch that was shrunk, rows that weights made few.
    """

    records: tuple[Record, ...] = field(repr=False)
    best_step: int
    best_validation: float | None
    stopped_because: str
    steps: int
    rows: int | None
    effective_rows: float | None
    seconds: float = field(compare=False)
    seconds_per_epoch: float | None = field(compare=False)
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """All of it as one JSON object."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> History:
        """The inverse of ``to_json``."""
        values = json.loads(text)
        records = tuple(Record(**record) for record in values.pop("records"))
        return History(records=records, notes=tuple(values.pop("notes")), **values)
