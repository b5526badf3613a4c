"""Training in several processes."""

import pytest
import torch

from counterflow.training import ExponentialAverage, Rows, fit
from training.toys import DiagonalNormal, normal_rows


@pytest.mark.slow
def test_two_processes_give_the_result_of_one() -> None:
    """The batch is shared, so only the order of the sums differs."""
    weight = torch.linspace(0.5, 2.0, 101, dtype=torch.float64)
    results = []
    for devices in (1, 2):
        density = DiagonalNormal(3)
        history = fit(
            density,
            Rows(normal_rows(101, 3), weight=weight),
            epochs=4,
            batch_size=16,
            validation=0.25,
            validation_batch_size=7,
            learning_rate=0.05,
            average=ExponentialAverage(0.8),
            accelerator="cpu",
            devices=devices,
        )
        results.append((density.state_dict(), history))
    (one, first), (two, second) = results
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-10, atol=1e-12)
    assert [record.validation for record in second.records] == pytest.approx(
        [record.validation for record in first.records], rel=1e-10
    )
    assert [record.loss for record in second.records] == pytest.approx(
        [record.loss for record in first.records], rel=1e-10
    )
    assert first.best_step == second.best_step
