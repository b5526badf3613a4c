"""What `fit` refuses, and in which words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from counterflow.training import Constant, Plateau, Rows, Schedule, WarmupCosine, fit
from counterflow.training.checks import check_counts
from counterflow.training.rows import checked_rows, effective_rows
from training.toys import DiagonalNormal, normal_rows, reverse_kl_to_normal


def with_entry(value: float) -> torch.Tensor:
    x = normal_rows(10, 2)
    x[7, 1] = value
    return x


BAD_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("at least 2 rows, got 1", {"data": normal_rows(1, 2)}),
    (
        r"training x holds 1 values that are NaN or infinite, the first at \[7, 1\] \(row 7\)",
        {"data": with_entry(np.nan)},
    ),
    ("NaN or infinite", {"data": with_entry(np.inf)}),
    (r"expected rows of shape \(N, D\), got \(10,\)", {"data": torch.zeros(10)}),
    ("give steps or epochs, not both", {"data": normal_rows(10, 2), "steps": 3, "epochs": 3}),
    ("fraction between 0 and 1, got 1.5", {"data": normal_rows(10, 2), "validation": 1.5}),
    ("leaves 1 to train on", {"data": normal_rows(3, 2), "validation": 0.6}),
    ("held-out data needs at least 1 rows, got 0", {"data": normal_rows(3, 2), "validation": torch.zeros(0, 2)}),
    (
        r"held-out rows have shape \(3,\), training rows \(2,\)",
        {"data": normal_rows(9, 2), "validation": normal_rows(9, 3)},
    ),
    ("patience counts validations", {"data": normal_rows(10, 2), "patience": 3}),
    ("needs a loss that draws its own samples", {"steps": 3}),
    ("needs a loss that draws its own samples", {"loss": reverse_kl_to_normal}),
    ("no rows to hold out", {"loss": reverse_kl_to_normal, "steps": 3, "validation": 0.1}),
    ("resume needs the path", {"data": normal_rows(10, 2), "resume": True}),
    (
        "belong to the default optimiser",
        {"data": normal_rows(10, 2), "optimiser": torch.optim.SGD, "learning_rate": 1.0},
    ),
    ("shared evenly by 3 devices", {"data": normal_rows(10, 2), "devices": 3}),
    ("one number", {"data": normal_rows(10, 2), "loss": lambda module, batch: module.log_prob(batch.x)}),
    ("one number", {"data": normal_rows(10, 2), "loss": lambda module, batch: 1.0}),
    *(
        (f"expected {name} to be at least 1, got {value}", {"data": normal_rows(10, 2), "validation": 0.5, name: value})
        for name in (
            "steps",
            "epochs",
            "batch_size",
            "patience",
            "validate_every",
            "validation_batch_size",
            "checkpoint_every",
            "devices",
        )
        for value in (0, -3)
    ),
    *(
        (f"expected {name} to be .*positive number.*, got {value:g}", {"data": normal_rows(10, 2), name: value})
        for name, values in (
            ("learning_rate", (0.0, -0.1, np.nan, np.inf)),
            ("weight_decay", (-0.1, np.nan, np.inf)),
            ("clip", (0.0, -1.0, np.nan)),
        )
        for value in values
    ),
]


@pytest.mark.parametrize(("message", "arguments"), BAD_CALLS)
def test_a_bad_call_is_refused_in_words_and_changes_nothing(message: str, arguments: dict[str, Any]) -> None:
    density = DiagonalNormal(2)
    with pytest.raises(ValueError, match=message):
        fit(density, arguments.pop("data", None), **arguments)
    assert all(bool((parameter == 0).all()) for parameter in density.parameters())


def test_a_list_is_refused_with_the_types_that_are_taken() -> None:
    with pytest.raises(TypeError, match="expected training data as a tensor, an array or Rows, got list"):
        checked_rows([[1.0, 2.0], [3.0, 4.0]], "training", 2)


def test_resuming_from_nothing_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no training checkpoint .*absent"):
        fit(DiagonalNormal(2), normal_rows(10, 2), checkpoint=tmp_path / "absent", resume=True)
    with pytest.raises(FileNotFoundError, match=r"folder .*no does not exist"):
        fit(DiagonalNormal(2), normal_rows(10, 2), checkpoint=tmp_path / "no" / "folder")


def test_rows_that_disagree_about_their_number_are_refused() -> None:
    x = normal_rows(10, 2)
    with pytest.raises(ValueError, match=r"x has 10 rows but weight has shape \(9,\)"):
        Rows(x, weight=torch.ones(9))
    with pytest.raises(ValueError, match=r"x has 10 rows but context has shape \(3, 2\)"):
        Rows(x, torch.ones(3, 2))


def test_weights_must_be_finite_and_of_positive_sum() -> None:
    x = normal_rows(4, 2)
    with pytest.raises(ValueError, match="training weight holds 1 values that are NaN or infinite, the first at row 2"):
        fit(DiagonalNormal(2), Rows(x, weight=torch.tensor([1.0, 1.0, np.nan, 1.0])))
    with pytest.raises(ValueError, match="weights of the training rows sum to -1; the sum must be positive"):
        fit(DiagonalNormal(2), Rows(x, weight=torch.tensor([1.0, -2.0, -1.0, 1.0])))


def test_a_log_prob_per_coordinate_is_refused_with_the_remedy() -> None:
    class PerCoordinate(DiagonalNormal):
        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            return -0.5 * (x - self.mean).square()

    with pytest.raises(ValueError, match="Independent sums over an event"):
        fit(PerCoordinate(2), normal_rows(10, 2))


def test_a_module_without_trainable_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to fit"):
        fit(nn.Identity(), normal_rows(10, 2))


@pytest.mark.parametrize(
    ("message", "make"),
    [
        (r"factor between 0 and 1, got 1\.5", lambda: Plateau(factor=1.5)),
        ("patience of at least 1 validation, got 0", lambda: Plateau(patience=0)),
        ("minimum between 0 and 1, got -1", lambda: Plateau(minimum=-1.0)),
        ("warmup_steps of at least 0, got -1", lambda: Plateau(warmup_steps=-1)),
        ("warmup_steps of at least 0, got -1", lambda: Constant(warmup_steps=-1)),
        ("warmup_steps of at least 0, got -1", lambda: WarmupCosine(warmup_steps=-1)),
        ("final factor of 0 or more, got -1", lambda: WarmupCosine(final=-1.0)),
        ("final factor of 0 or more, got nan", lambda: WarmupCosine(final=np.nan)),
    ],
)
def test_a_schedule_refuses_what_would_flip_or_raise_the_rate(message: str, make: Callable[[], Schedule]) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_number_that_counts_must_be_whole() -> None:
    with pytest.raises(TypeError, match=r"expected steps to be a whole number, got 2\.5"):
        check_counts(epochs=None, batch_size=np.int64(3), steps=2.5)
    with pytest.raises(TypeError, match="expected steps to be a whole number, got True"):
        check_counts(steps=True)


def test_a_batch_larger_than_the_data_shrinks_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    history = fit(DiagonalNormal(2), normal_rows(10, 2), steps=2, batch_size=64)
    assert history.notes == ("the batch size 64 was lowered to 10, the number of training rows",)
    assert history.notes[0] in caplog.messages
    assert history.records[-1].epoch == 2.0


def test_effective_rows_are_reported() -> None:
    weight = torch.tensor([1.0, 1.0, 2.0, -1.0])
    assert effective_rows(Rows(normal_rows(4, 2), weight=weight)) == pytest.approx(9 / 7)
    history = fit(DiagonalNormal(2), Rows(normal_rows(4, 2), weight=weight), steps=1, batch_size=4)
    assert history.effective_rows == pytest.approx(9 / 7)
    assert history.notes == ("the weights leave 1.3 effective rows of 4",)


def test_numpy_data_of_another_precision_is_cast_to_that_of_the_parameters() -> None:
    density = DiagonalNormal(2, dtype=torch.float32)
    fit(density, normal_rows(50, 2).numpy(), steps=3, batch_size=50, validation=0.2)
    assert density.mean.dtype == torch.float32
