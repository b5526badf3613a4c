"""A loss or gradient that is not finite stops the run before it reaches the parameters."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from counterflow.training import Constant, Rows, TrainingDiverged, fit
from counterflow.training.state import read_state
from training.toys import DiagonalNormal, normal_rows


class BreaksAt(DiagonalNormal):
    """Its log density is NaN right of a bound that its own mean may reach."""

    bound = 50.0

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x) + torch.log(self.bound - x[..., 0].clamp(max=self.bound + 1)).clamp(max=0)


class TwoParts(nn.Module):
    """The gradient of ``second`` is infinite at its start, where the value is finite."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.ones(1))
        self.second = nn.Parameter(torch.zeros(1))

    def log_prob(self, x: Tensor) -> Tensor:
        return -(self.first * x[:, 0]).square() - self.second.abs().sqrt().sum()


def rows_with_a_bad_one(row: int) -> Tensor:
    x = normal_rows(40, 2)
    x[row, 0] = 60.0
    return x


def test_the_message_names_the_step_and_the_bad_row() -> None:
    density = BreaksAt(2)
    with pytest.raises(TrainingDiverged, match="log density not finite for rows 17") as caught:
        fit(density, rows_with_a_bad_one(17), epochs=1, batch_size=8)
    assert caught.value.rows == [17]
    error = caught.value
    assert error.epoch == 1
    assert error.batch == error.step + 1
    assert f"in step {error.step + 1} (batch {error.batch} of 5 of epoch 1): the loss is nan" in str(error)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in density.parameters())


def test_rows_are_counted_as_in_the_callers_data_when_some_are_held_out() -> None:
    x = rows_with_a_bad_one(17)
    for seed in range(5):
        with pytest.raises(TrainingDiverged) as caught:
            fit(BreaksAt(2), x, epochs=2, batch_size=4, validation=Rows(normal_rows(5, 2)), seed=seed)
        assert caught.value.rows == [17]
    met = []
    for seed in range(5):
        with pytest.raises(TrainingDiverged) as caught:
            fit(BreaksAt(2), x, epochs=3, batch_size=4, validation=0.3, seed=seed)
        if caught.value.rows:  # else the split held the bad row out, and the held-out loss stopped the run
            met.append(caught.value.rows)
    assert met
    assert all(rows == [17] for rows in met)


def test_the_message_names_the_parameter_whose_gradient_is_not_finite() -> None:
    module = TwoParts()
    with pytest.raises(TrainingDiverged, match="gradient not finite in second") as caught:
        fit(module, normal_rows(10, 2), steps=1, batch_size=10)
    assert str(caught.value).endswith("try a lower learning rate, a lower clip, or look at those rows")
    assert caught.value.parameters == ["second"]
    assert caught.value.groups == [0]
    assert module.first.item() == 1.0
    assert module.second.item() == 0.0


def test_the_message_names_the_batch_within_its_epoch() -> None:
    def loss(module: DiagonalNormal, batch: Rows) -> Tensor:
        nonlocal calls
        calls += 1
        return -module.log_prob(batch.x).mean() * (float("nan") if calls == 8 else 1.0)

    calls = 0
    with pytest.raises(TrainingDiverged, match=r"in step 8 \(batch 3 of 5 of epoch 2\): the loss is nan") as caught:
        fit(DiagonalNormal(2), normal_rows(40, 2), loss=loss, epochs=3, batch_size=8)
    assert (caught.value.step, caught.value.epoch, caught.value.batch) == (7, 2, 3)


def test_a_step_driven_run_has_a_step_but_no_batch_to_name() -> None:
    with pytest.raises(TrainingDiverged, match="in step 1: the loss is nan") as caught:
        fit(DiagonalNormal(2), loss=lambda module, batch: module.mean.sum() * float("nan"), steps=3)
    assert (caught.value.epoch, caught.value.batch, caught.value.rows) == (None, None, [])
    assert str(caught.value).endswith("try a lower learning rate or a lower clip")  # there are no rows to look at


def test_the_message_names_the_parameter_group_and_its_learning_rate() -> None:
    def make(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        first, second = parameters
        return torch.optim.SGD([{"params": [first], "lr": 0.5}, {"params": [second], "lr": 0.25}])

    expected = r"gradient not finite in second \(parameter group 1, learning rate 0\.125\)"
    with pytest.raises(TrainingDiverged, match=expected) as caught:
        fit(TwoParts(), normal_rows(10, 2), steps=1, batch_size=10, optimiser=make, schedule=Constant(warmup_steps=1))
    assert (caught.value.parameters, caught.value.groups) == (["second"], [1])


def test_a_parameter_that_the_optimiser_was_not_given_is_named_as_such() -> None:
    def make(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters[:1], lr=0.5)

    expected = r"gradient not finite in second \(in no parameter group of the optimiser\)"
    with pytest.raises(TrainingDiverged, match=expected) as caught:
        fit(TwoParts(), normal_rows(10, 2), steps=1, batch_size=10, optimiser=make)
    assert caught.value.groups == []


def test_a_norm_that_overflows_names_the_largest_gradient() -> None:
    def loss(module: DiagonalNormal, batch: None) -> Tensor:
        return 1e30 * module.log_scale.sum() + module.mean.sum()

    with pytest.raises(TrainingDiverged, match=r"norm overflows, the largest is that of log_scale \(parameter group 0"):
        fit(DiagonalNormal(2, dtype=torch.float32), loss=loss, steps=1)


def test_the_last_good_checkpoint_is_kept(tmp_path: Path) -> None:
    def loss(module: DiagonalNormal, batch: Rows) -> Tensor:
        nonlocal calls
        calls += 1
        return -module.log_prob(batch.x).mean() * (float("inf") if calls == 8 else 1.0)

    calls = 0
    path = tmp_path / "state.safetensors"
    with pytest.raises(TrainingDiverged, match="in step 8"):
        fit(DiagonalNormal(2), normal_rows(10, 2), loss=loss, steps=20, batch_size=10, checkpoint=path)
    state = read_state(path)
    assert state["standing"]["step"] == 7
    assert all(bool(torch.isfinite(value).all()) for value in state["module"].values())


def test_clipping_bounds_the_gradient_and_is_on_record() -> None:
    updates = []

    class Recorder(torch.optim.SGD):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            gradients = [p.grad for group in self.param_groups for p in group["params"]]
            updates.append(float(torch.cat([g.flatten() for g in gradients if g is not None]).norm()))
            super().step(closure)

    x = normal_rows(20, 2)
    settings = {"steps": 4, "batch_size": 20, "validate_every": 4}
    free = fit(DiagonalNormal(2), x, clip=None, optimiser=lambda p: Recorder(p, lr=1e-3), **settings)
    bounded = fit(DiagonalNormal(2), x, clip=0.25, optimiser=lambda p: Recorder(p, lr=1e-3), **settings)
    assert min(updates[:4]) > 0.25
    assert updates[4:] == pytest.approx([0.25] * 4)
    assert (free.records[0].clipped, bounded.records[0].clipped) == (0.0, 1.0)
    assert free.records[0].gradient_norm == pytest.approx(sum(updates[:4]) / 4)
