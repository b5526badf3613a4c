"""A resumed run is the uninterrupted one, bit for bit."""

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from counterflow.training import (
    Constant,
    ExponentialAverage,
    Plateau,
    Rows,
    TrainingInterrupted,
    fit,
    negative_log_likelihood,
)
from training.toys import DiagonalNormal, NoisyNetwork, normal_rows, reverse_kl_to_normal

SETTINGS: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 16,
    "validation": 0.2,
    "learning_rate": 0.01,
    "average": ExponentialAverage(0.9),
    "schedule": Plateau(patience=1),
}


class PressCtrlC:
    """The default loss, with Ctrl-C pressed while the given step is under way."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, module: nn.Module, batch: Rows) -> Tensor:
        if module.training:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)
        return negative_log_likelihood(module, batch)


def another(module: nn.Module, batch: Rows) -> Tensor:
    return 2 * negative_log_likelihood(module, batch)


def network() -> NoisyNetwork:
    torch.manual_seed(0)
    return NoisyNetwork()


def weighted_rows() -> Rows:
    x = normal_rows(100, 3).float()
    return Rows(x, weight=1.0 + 0.5 * torch.sin(torch.arange(100.0)))


def assert_equal_modules(left: nn.Module, right: nn.Module) -> None:
    for (name, a), (_, b) in zip(left.state_dict().items(), right.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("step", [1, 3, 5, 12, 29, 30])  # an epoch has 5 steps, the run 30
def test_a_run_interrupted_by_ctrl_c_resumes_bit_for_bit(step: int, tmp_path: Path) -> None:
    whole = network()
    expected = fit(whole, weighted_rows(), loss=PressCtrlC(0), **SETTINGS)
    path = tmp_path / "state.safetensors"
    with pytest.raises(TrainingInterrupted, match=f"holds step {step}; the same call with resume=True") as caught:
        fit(network(), weighted_rows(), loss=PressCtrlC(step), checkpoint=path, **SETTINGS)
    assert caught.value.path == path
    assert caught.value.history.steps == step

    torch.manual_seed(99)  # resuming must not depend on where the stream stands
    resumed = NoisyNetwork()
    history = fit(resumed, weighted_rows(), loss=PressCtrlC(0), checkpoint=path, resume=True, **SETTINGS)
    assert_equal_modules(resumed, whole)
    assert history == expected


def test_a_run_interrupted_twice_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole = network()
    expected = fit(whole, weighted_rows(), loss=PressCtrlC(0), **SETTINGS)
    path = tmp_path / "state.safetensors"
    with pytest.raises(TrainingInterrupted):
        fit(network(), weighted_rows(), loss=PressCtrlC(7), checkpoint=path, **SETTINGS)
    with pytest.raises(TrainingInterrupted, match="holds step 13"):
        fit(network(), weighted_rows(), loss=PressCtrlC(6), checkpoint=path, resume=True, **SETTINGS)
    resumed = network()
    assert fit(resumed, weighted_rows(), loss=PressCtrlC(0), checkpoint=path, resume=True, **SETTINGS) == expected
    assert_equal_modules(resumed, whole)


def test_a_step_driven_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    def loss(module: DiagonalNormal, batch: None) -> Tensor:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return reverse_kl_to_normal(module, batch)

    left = 0
    torch.manual_seed(4)
    whole = DiagonalNormal(2)
    expected = fit(whole, loss=loss, steps=50)
    left = 23
    torch.manual_seed(4)
    path = tmp_path / "state.safetensors"
    with pytest.raises(TrainingInterrupted):
        fit(DiagonalNormal(2), loss=loss, steps=50, checkpoint=path)
    resumed = DiagonalNormal(2)
    assert fit(resumed, loss=loss, steps=50, checkpoint=path, resume=True) == expected
    assert_equal_modules(resumed, whole)


def test_a_finished_run_resumes_to_its_own_result(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    whole = network()
    expected = fit(whole, weighted_rows(), checkpoint=path, patience=2, **SETTINGS)
    again = network()
    assert fit(again, weighted_rows(), checkpoint=path, resume=True, patience=2, **SETTINGS) == expected
    assert_equal_modules(again, whole)


def test_the_best_weights_from_before_the_interruption_come_back(tmp_path: Path) -> None:
    x, path = normal_rows(400, 2), tmp_path / "state.safetensors"
    settings: dict[str, Any] = {
        "validation": x[20:],
        "steps": 200,
        "batch_size": 20,
        "learning_rate": 0.05,
        "schedule": Constant(),
    }
    whole = DiagonalNormal(2)
    expected = fit(whole, x[:20], loss=PressCtrlC(0), **settings)
    assert expected.best_step < 190
    with pytest.raises(TrainingInterrupted):
        fit(DiagonalNormal(2), x[:20], loss=PressCtrlC(190), checkpoint=path, **settings)
    resumed = DiagonalNormal(2)
    assert fit(resumed, x[:20], loss=PressCtrlC(0), checkpoint=path, resume=True, **settings) == expected
    assert_equal_modules(resumed, whole)


def test_an_interrupted_run_leaves_the_best_weights_so_far(tmp_path: Path) -> None:
    settings = {**SETTINGS, "average": None}
    module = network()
    with pytest.raises(TrainingInterrupted) as caught:
        fit(module, weighted_rows(), loss=PressCtrlC(14), checkpoint=tmp_path / "state.safetensors", **settings)
    history = caught.value.history
    best = network()
    schedule_free = {**settings, "epochs": None, "steps": 30}
    with pytest.raises(TrainingInterrupted):
        fit(best, weighted_rows(), loss=PressCtrlC(history.best_step), **schedule_free)
    assert_equal_modules(module, best)


def test_without_a_checkpoint_the_message_says_that_nothing_was_kept() -> None:
    with pytest.raises(TrainingInterrupted, match="cannot be resumed"):
        fit(network(), weighted_rows(), loss=PressCtrlC(3), **SETTINGS)


def test_a_second_ctrl_c_stops_within_the_step_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    def loss(module: nn.Module, batch: Rows) -> Tensor:
        value = PressCtrlC(1)(module, batch)
        if module.training and path.exists():
            os.kill(os.getpid(), signal.SIGINT)
        return value

    path = tmp_path / "state.safetensors"
    with pytest.raises(TrainingInterrupted, match="holds step 1"):
        fit(network(), weighted_rows(), loss=loss, checkpoint=path, **SETTINGS)
    with pytest.raises(TrainingInterrupted, match=r"after step 1: .* holds step 1"):
        fit(network(), weighted_rows(), loss=loss, checkpoint=path, resume=True, **SETTINGS)


def test_ctrl_c_works_as_before_after_a_run() -> None:
    fit(network(), weighted_rows(), **SETTINGS)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("batch_size", {"batch_size": 15, "steps": 30, "epochs": None}),
        ("seed", {"seed": 5}),
        ("schedule", {"schedule": Plateau(patience=2)}),
        ("steps", {"epochs": 7}),
        ("clip", {"clip": 1.0}),
        ("learning_rate 0.01, this one has 0.02", {"learning_rate": 0.02}),
        (
            "weight_decay 0.0001 in group 0 and 0.0 in group 1, this one has 0.5 in group 0 and 0.0 in group 1",
            {"weight_decay": 0.5},
        ),
        (
            "optimiser torch.optim.adamw.AdamW, this one has torch.optim.sgd.SGD",
            {"optimiser": partial(torch.optim.SGD, lr=0.01), "learning_rate": None},
        ),
        (
            r"loss counterflow.training.objective.negative_log_likelihood, this one has .*test_resume.another",
            {"loss": another},
        ),
        ("patience", {"patience": 50}),
        ("average", {"average": ExponentialAverage(0.8)}),
        ("validate_every", {"validate_every": 3}),
        ("validation_batch_size", {"validation_batch_size": 7}),
    ],
)
def test_resuming_with_other_settings_names_the_one_that_differs(
    name: str, change: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "state.safetensors"
    fit(network(), weighted_rows(), checkpoint=path, **SETTINGS)
    expected = "training data" if name == "seed" else name  # another seed holds out other rows
    with pytest.raises(ValueError, match=f"written by a run with {expected}[ ;]"):
        fit(network(), weighted_rows(), checkpoint=path, resume=True, **{**SETTINGS, **change})


@pytest.mark.parametrize(
    ("name", "change"),
    [("betas", {"betas": (0.8, 0.999)}), ("eps", {"eps": 1e-6}), ("amsgrad", {"amsgrad": True})],
)
def test_resuming_with_another_hyperparameter_of_the_callers_optimiser_names_it(
    name: str, change: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**SETTINGS, "learning_rate": None, "checkpoint": tmp_path / "state.safetensors"}
    fit(network(), weighted_rows(), optimiser=partial(torch.optim.Adam, lr=0.01), **settings)
    with pytest.raises(ValueError, match=f"written by a run with {name} "):
        fit(
            network(),
            weighted_rows(),
            optimiser=partial(torch.optim.Adam, lr=0.01, **change),
            resume=True,
            **settings,
        )


def test_resuming_with_other_parameter_groups_is_refused(tmp_path: Path) -> None:
    def reversed_sgd(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters[::-1], lr=0.01)

    settings = {**SETTINGS, "learning_rate": None, "checkpoint": tmp_path / "state.safetensors"}
    fit(network(), weighted_rows(), optimiser=partial(torch.optim.SGD, lr=0.01), **settings)
    with pytest.raises(ValueError, match="written by a run with optimiser's parameters 8 tensors"):
        fit(network(), weighted_rows(), optimiser=reversed_sgd, resume=True, **settings)


def test_resuming_in_another_precision_is_refused(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 2, "checkpoint": tmp_path / "state.safetensors"}
    fit(DiagonalNormal(2), normal_rows(20, 2).float(), **settings)
    with pytest.raises(ValueError, match=r"DiagonalNormal of 4 parameters in float64 .*this one has .* in float32"):
        fit(DiagonalNormal(2, dtype=torch.float32), normal_rows(20, 2).float(), resume=True, **settings)


def test_a_schedule_without_a_representation_of_its_own_can_be_resumed(tmp_path: Path) -> None:
    """The default representation holds an address, which another process has elsewhere."""

    class Half:
        def at_step(self, step: int, steps: int, /) -> float:
            return 0.5

        def after(self, validations: Sequence[float], /) -> float:
            return 1.0

    settings: dict[str, Any] = {"steps": 2, "checkpoint": tmp_path / "state.safetensors"}
    history = fit(DiagonalNormal(2), normal_rows(20, 2), schedule=Half(), **settings)
    kept = [Half() for _ in range(3)]  # so that the next one has another address
    assert fit(DiagonalNormal(2), normal_rows(20, 2), schedule=Half(), resume=True, **settings) == history
    assert len(kept) == 3


def test_resuming_with_other_data_or_another_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    fit(network(), weighted_rows(), checkpoint=path, **SETTINGS)
    rows = weighted_rows()
    rows.x[50, 0] += 1e-3
    with pytest.raises(ValueError, match=r"written by a run with (training|held-out) data"):
        fit(network(), rows, checkpoint=path, resume=True, **SETTINGS)
    with pytest.raises(ValueError, match="written by a run with module NoisyNetwork"):
        fit(NoisyNetwork(width=9), weighted_rows(), checkpoint=path, resume=True, **SETTINGS)


def test_a_truncated_or_foreign_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    fit(network(), weighted_rows(), checkpoint=path, **SETTINGS)
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], content[:5], b""):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="truncated or no safetensors file"):
            fit(network(), weighted_rows(), checkpoint=path, resume=True, **SETTINGS)


def test_no_partial_file_is_left_beside_a_checkpoint(tmp_path: Path) -> None:
    fit(network(), weighted_rows(), checkpoint=tmp_path / "state.safetensors", log=tmp_path / "log.csv", **SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "state.safetensors"]


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    for name in ("checkpoint", "log"):
        path = tmp_path / name
        path.write_text("precious")
        with pytest.raises(FileExistsError, match="exists"):
            fit(network(), weighted_rows(), **{name: path}, **SETTINGS)
        assert path.read_text() == "precious"


def test_a_checkpoint_is_a_safetensors_file_that_other_programs_read(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    fit(network(), weighted_rows(), checkpoint=path, **SETTINGS)
    with safe_open(path, framework="np") as file:
        names = set(file.keys())
    assert {"/module/first.weight", "/module/second.weight", "/module/third.weight", "/random/cpu"} <= names


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
        lambda parameters: torch.optim.Adamax(parameters, lr=0.01),
        lambda parameters: torch.optim.NAdam(parameters, lr=0.01),
    ],
)
def test_other_optimisers_resume_bit_for_bit(make: Any, tmp_path: Path) -> None:
    settings = {**SETTINGS, "optimiser": make}
    del settings["learning_rate"]
    whole = network()
    expected = fit(whole, weighted_rows(), loss=PressCtrlC(0), **settings)
    path = tmp_path / "state.safetensors"
    with pytest.raises(TrainingInterrupted):
        fit(network(), weighted_rows(), loss=PressCtrlC(8), checkpoint=path, **settings)
    resumed = network()
    assert fit(resumed, weighted_rows(), loss=PressCtrlC(0), checkpoint=path, resume=True, **settings) == expected
    assert_equal_modules(resumed, whole)
