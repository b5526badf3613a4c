"""What a report measures of models whose rows of whole numbers repeat each other anyway."""

import dataclasses

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow.report.measuring import Judged, Measurement
from counterflow.report.results import Memorisation, Report
from counterflow.report.verdict import Status, findings
from counterflow.tables.schema import Column, Kind, Schema
from counterflow.tabular import Cells, TableModel

COLUMNS = tuple(Column(name, Kind.INTEGER, "int64") for name in "abc")
ROWS = np.random.default_rng(0).poisson(2.0, (3000, 3)).astype(float)
TRAINING, HELD_OUT = ROWS[:300], ROWS[1000:]


@dataclasses.dataclass(frozen=True)
class Drawn(TableModel):
    """A model whose samples are these rows."""

    rows: np.ndarray = dataclasses.field(default_factory=lambda: ROWS)

    def sample(self, rows: int, context: np.ndarray | None = None, *, generator: torch.Generator) -> np.ndarray:
        return self.rows[:rows]


def measured(rows: np.ndarray) -> Memorisation:
    flow = cf.models.maf(3, layers=1, hidden=(4,))
    model = Drawn(flow, Schema(COLUMNS), {}, rows)
    found = Measurement(model, Judged(Cells(HELD_OUT), Cells(TRAINING), "test rows"))._memorisation()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("copied", "statuses"), [(0, [Status.GOOD]), (300, [Status.SMALL, Status.ATTENTION]), (2000, [Status.ATTENTION])]
)
def test_copies_of_whole_numbers_are_counted_beside_those_of_held_out_rows(copied: int, statuses: list[Status]) -> None:
    """Of 2000 samples; most honest ones equal a training row, too."""
    honest = np.random.default_rng(1).poisson(2.0, (2000 - copied, 3)).astype(float)
    found = measured(np.concatenate([honest, np.resize(TRAINING, (copied, 3))]))
    assert found.share_is == "of the samples equal a training row in every cell"
    assert found.expected == pytest.approx(np.mean([row in TRAINING.tolist() for row in HELD_OUT.tolist()]))
    assert 0.5 < found.expected < 0.9
    by_check = {finding.check: finding for finding in findings(Report(title="", command="", memorisation=found))}
    assert by_check["Memorisation"].status in statuses
