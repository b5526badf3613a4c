"""What `fit` leaves as it found it, and what it writes."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterflow.training import ExponentialAverage, History, Plateau, Rows, WarmupCosine, fit, negative_log_likelihood
from counterflow.training.optimiser import adamw
from counterflow.training.streams import row_order
from training.toys import DiagonalNormal, NoisyNetwork, normal_rows, reverse_kl_to_normal


def test_modes_and_requires_grad_are_left_as_they_were() -> None:
    module = NoisyNetwork()
    module.eval()
    module.dropout.train()
    before = [part.training for part in module.modules()]
    trainable = [parameter.requires_grad for parameter in module.parameters()]
    fit(module, normal_rows(40, 3), epochs=2, batch_size=10, validation=0.2, average=ExponentialAverage())
    assert [part.training for part in module.modules()] == before
    assert [parameter.requires_grad for parameter in module.parameters()] == trainable
    assert all(parameter.grad is None for parameter in module.parameters())


def test_frozen_parameters_stay_frozen_and_tied_ones_tied() -> None:
    module = NoisyNetwork()
    start = module.second.weight.detach().clone()
    fit(module, normal_rows(40, 3), epochs=2, batch_size=10)
    assert torch.equal(module.frozen, torch.ones(3))
    assert module.third.weight is module.second.weight
    assert not torch.equal(module.second.weight, start)


def test_training_runs_in_train_mode_and_validation_in_eval_mode_without_gradients() -> None:
    seen = set()

    def loss(module: nn.Module, batch: Rows) -> Tensor:
        seen.add((batch.count, module.training, torch.is_grad_enabled()))
        return negative_log_likelihood(module, batch)

    fit(NoisyNetwork(), normal_rows(40, 3), loss=loss, epochs=2, batch_size=8, validation=0.25)
    assert seen == {(8, True, True), (10, False, False)}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_loss_sees_the_rows_in_the_precision_of_the_parameters_and_unrounded(dtype: torch.dtype) -> None:
    def loss(module: DiagonalNormal, batch: Rows) -> Tensor:
        seen.append(batch.x)
        value = negative_log_likelihood(module, batch)
        precisions.add(value.dtype)
        return value

    seen: list[Tensor] = []
    precisions: set[torch.dtype] = set()
    x = normal_rows(8, 2).to(dtype)
    fit(DiagonalNormal(2, dtype=dtype), x, loss=loss, validation=x, epochs=1, batch_size=8)
    training, held_out = seen
    assert torch.equal(training.sort(0).values, x.sort(0).values)
    assert torch.equal(held_out, x)
    assert precisions == {training.dtype} == {dtype}


def test_a_precision_that_a_launcher_asks_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """``fabric run --precision`` reaches Fabric through the environment, past the arguments of ``fit``."""
    monkeypatch.setenv("LT_CLI_USED", "1")
    monkeypatch.setenv("LT_PRECISION", "bf16-mixed")
    with pytest.raises(ValueError, match="precision=bf16-mixed"):
        fit(DiagonalNormal(2), normal_rows(40, 2), epochs=1)


def test_the_global_random_stream_is_left_alone() -> None:
    before = torch.get_rng_state()
    fit(DiagonalNormal(2), normal_rows(40, 2), epochs=2, batch_size=8, validation=0.25)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_callers_data_is_left_alone() -> None:
    x, weight = normal_rows(40, 2), torch.linspace(0.5, 2.0, 40)
    kept = x.clone(), weight.clone()
    fit(DiagonalNormal(2), Rows(x, weight=weight), epochs=2, batch_size=8)
    assert torch.equal(x, kept[0])
    assert torch.equal(weight, kept[1])


def test_the_seed_decides_the_run() -> None:
    means = []
    for seed in (1, 1, 2):
        density = DiagonalNormal(2)
        fit(density, normal_rows(40, 2), epochs=2, batch_size=8, seed=seed)
        means.append(density.mean.detach())
    assert torch.equal(means[0], means[1])
    assert not torch.equal(means[0], means[2])


def test_every_row_has_its_turn_although_incomplete_batches_are_dropped() -> None:
    seen: list[float] = []

    def loss(module: nn.Module, batch: Rows) -> Tensor:
        seen.extend(batch.x[:, 0].tolist())
        return negative_log_likelihood(module, batch)

    x = torch.arange(11.0, dtype=torch.float64)[:, None].repeat(1, 2)
    fit(DiagonalNormal(2), x, loss=loss, epochs=20, batch_size=4)
    assert len(seen) == 20 * 8
    assert all(len(set(seen[start : start + 8])) == 8 for start in range(0, 160, 8))
    assert set(seen) == set(range(11))


def test_orders_of_rows_differ_by_seed_epoch_and_purpose() -> None:
    orders = {
        tuple(row_order(20, *name).tolist())
        for name in [(0, "epoch", 0), (0, "epoch", 1), (1, "epoch", 0), (0, "split")]
    }
    assert len(orders) == 4


def test_a_data_dependent_start_is_called_once_with_training_rows_only(tmp_path: Path) -> None:
    class Starts(DiagonalNormal):
        def initialise_(self, x: Tensor) -> None:
            calls.append(x)
            self.mean.copy_(x.mean(0))

    calls: list[Tensor] = []
    x = normal_rows(50, 2)
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 10, "validation": 0.2, "checkpoint": tmp_path / "state"}
    fit(Starts(2), x, **settings)
    fit(Starts(2), x, resume=True, **settings)
    assert len(calls) == 1
    assert calls[0].shape == (40, 2)
    assert calls[0].requires_grad is False


def test_weight_decay_spares_biases() -> None:
    layer = nn.Linear(3, 2)
    groups = adamw(list(layer.parameters()), weight_decay=0.3).param_groups
    decay = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decay == {layer.weight: 0.3, layer.bias: 0.0}


def test_the_csv_log_holds_the_records(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    history = fit(DiagonalNormal(2), normal_rows(40, 2), epochs=3, batch_size=8, validation=0.25, log=path)
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["step"]) for line in lines] == [record.step for record in history.records] == [3, 6, 9]
    assert [float(line["validation"]) for line in lines] == [record.validation for record in history.records]


def test_the_log_of_a_resumed_run_has_every_record_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 10, "checkpoint": tmp_path / "state", "log": path}

    def loss(module: nn.Module, batch: Rows) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise RuntimeError("out of memory")
        return negative_log_likelihood(module, batch)

    calls = 0
    x = normal_rows(40, 2)
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(DiagonalNormal(2), x, loss=loss, checkpoint_every=5, **settings)
    assert len(path.read_text().splitlines()) == 1 + 2
    fit(DiagonalNormal(2), x, loss=loss, checkpoint_every=5, resume=True, **settings)
    with path.open(newline="") as file:
        assert [int(line["step"]) for line in csv.DictReader(file)] == [4, 8, 12, 16]


def test_the_history_is_json() -> None:
    history = fit(DiagonalNormal(2), normal_rows(40, 2), epochs=2, batch_size=8, validation=0.25)
    assert History.from_json(history.to_json()) == history
    content = json.loads(history.to_json())
    assert content["best_validation"] == history.best_validation
    assert len(content["records"]) == 2
    assert content["records"][0]["learning_rate"] > 0


def test_a_step_driven_run_has_no_epochs_and_a_hundred_records() -> None:
    history = fit(DiagonalNormal(2), loss=reverse_kl_to_normal, steps=200)
    assert len(history.records) == 100
    assert history.records[0].epoch is None
    assert history.seconds_per_epoch is None
    assert history.best_step == 200


def test_progress_false_is_silent_and_true_draws_loss_and_held_out_loss(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 8, "validation": 0.25}
    fit(DiagonalNormal(2), normal_rows(40, 2), progress=False, **settings)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("counterflow.training.progress._QUIET_SECONDS", 0.0)
    monkeypatch.setattr("counterflow.training.progress._REFRESH_SECONDS", 0.0)
    weighted = Rows(normal_rows(40, 2), weight=torch.ones(40))
    fit(DiagonalNormal(2), weighted, progress=True, **settings)
    shown = capsys.readouterr().err
    assert "the weights leave 30.0 effective rows of 30" in shown
    assert "step 9/9" in shown
    assert "held-out" in shown


def test_tensorboard_gets_the_scalars(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    history = fit(DiagonalNormal(2), normal_rows(40, 2), epochs=3, batch_size=8, tensorboard=tmp_path / "board")
    events = accumulator.EventAccumulator(str(tmp_path / "board")).Reload()
    values = [event.value for event in events.Scalars("loss")]
    assert values == pytest.approx([record.loss for record in history.records], rel=1e-6)


def test_missing_tensorboard_is_told_with_the_extra_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'counterflow\[tensorboard\]'"):
        fit(DiagonalNormal(2), normal_rows(40, 2), epochs=1, tensorboard=tmp_path / "board")


def test_the_cosine_starts_low_peaks_after_the_warm_up_and_ends_at_its_final_factor() -> None:
    schedule = WarmupCosine(warmup_steps=10, final=0.1)
    factors = [schedule.at_step(step, 200) for step in range(201)]
    assert factors[0] == pytest.approx(1 / 11)
    assert max(factors) == factors[10] == 1.0
    assert factors[105] == pytest.approx(0.55)
    assert factors[200] == pytest.approx(0.1)


def test_a_plateau_cuts_the_rate_once_per_patience() -> None:
    schedule = Plateau(factor=0.5, patience=2, minimum=0.2)
    losses = [3.0, 2.0, 2.1, 2.2, 2.3, 1.9, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    factors = [schedule.after(losses[:seen]) for seen in range(len(losses) + 1)]
    assert factors == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_an_average_follows_its_recursion() -> None:
    average, values = torch.zeros(1), [1.0, 5.0, 2.0]
    expected = 0.0
    for step, value in enumerate(values):
        ExponentialAverage(0.15).update_([average], [torch.tensor([value])], step)
        decay = min(0.15, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.item() == pytest.approx(expected, rel=1e-6)
