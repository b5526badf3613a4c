"""From a table to a fitted model in the table's own units: split, standardise, train, compare with a Gaussian."""

import dataclasses
import math
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bijections import Chain, Standardise
from ..diagnostics import Comparison, Estimate, FittedGaussian, compare, estimate, log_prob_in_chunks
from ..flow import Flow
from ..model import Model
from ..tables import Table, check_trainable
from ..training import ExponentialAverage, History, fit
from .presets import Preset, make_model

AVERAGE = ExponentialAverage(0.99)  # of the weights, as in the benchmark that chose the recommended model
MOST_EPOCHS = 200  # unless told otherwise, as many epochs as this
MOST_STEPS = 20_000  # or as make this many steps, whichever is less
CHECKPOINT_STEPS = 200  # what a crash may cost; Ctrl-C costs nothing, it writes a checkpoint of its own


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to fit; none of it depends on the data."""

    model: Preset = Preset.RECOMMENDED
    validation: float = 0.1
    test: float = 0.1
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 256
    learning_rate: float = 3e-3
    patience: int = 20
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Split:
    """Three disjoint parts of the rows: to learn from, to stop by, to be judged by; the last two may be empty."""

    training: Tensor
    validation: Tensor
    test: Tensor
    order: npt.NDArray[np.int64]  # rows of the table, those to train on first


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Log-likelihood of rows that training did not learn from."""

    rows_are: str
    model: Estimate
    against: Comparison | None  # None: too few rows to fit a Gaussian


@dataclasses.dataclass(frozen=True)
class Fitted:
    """All that a report needs."""

    flow: Flow
    split: Split
    history: History
    score: HeldOut | None
    facts: dict[str, Any]


def split_rows(table: Table, recipe: Recipe) -> Split:
    """Shuffle by the recipe's seed and cut; a part smaller than one row is empty.

    Raises:
        TableError: the training rows are fewer than 2, or a column is constant in them.
    """
    rows = len(table.values)
    order = np.random.default_rng(recipe.seed).permutation(rows)
    x = torch.from_numpy(table.values.astype(np.float32)[order])
    validation, test = int(rows * recipe.validation), int(rows * recipe.test)
    train = rows - validation - test
    if train != rows:
        check_trainable(table.values[order[:train]], table.names, f"{table.path}, the {train} training rows")
    return Split(x[:train], x[train : train + validation], x[train + validation :], order)


def build(recipe: Recipe, training: Tensor) -> Flow:
    """A new model of rows in their own units: the preset, with the standardisation of the columns inside."""
    loc, spread = training.double().mean(0), training.double().std(0, correction=0)
    units = Standardise(loc.tolist(), spread.tolist())
    torch.manual_seed(recipe.seed)  # starting weights, and dropout during training
    return in_units(make_model(recipe.model, training.shape[1]), units)


def in_units(model: Model, units: Standardise) -> Flow:
    """The same density, of data before standardisation."""
    if isinstance(model, Flow):  # one chain, so that a data-dependent start sees every layer
        return Flow(model.base, Chain([model.bijection, units]), context_encoder=model.context_encoder)
    return Flow(model, units)


def fitting_batch(recipe: Recipe, training: Tensor) -> int:
    """The batch size, at most the number of training rows."""
    return min(recipe.batch_size, len(training))


def train(
    flow: Flow, split: Split, recipe: Recipe, *, checkpoint: Path, resume: bool, log: Path | None, progress: bool
) -> History:
    """Maximum likelihood with early stopping; without validation rows, to the last step.

    Raises:
        TrainingInterrupted: Ctrl-C.
        TrainingDiverged: a loss that is not finite.
    """
    batch_size = fitting_batch(recipe, split.training)
    per_epoch = len(split.training) // batch_size
    steps = recipe.steps or (recipe.epochs * per_epoch if recipe.epochs else min(MOST_EPOCHS * per_epoch, MOST_STEPS))
    held_out = len(split.validation) > 0
    return fit(
        flow,
        split.training,
        validation=split.validation if held_out else None,
        steps=steps,
        batch_size=batch_size,
        learning_rate=recipe.learning_rate,
        patience=recipe.patience if held_out else None,
        average=AVERAGE,
        seed=recipe.seed,
        validate_every=max(1, min(per_epoch, steps)),
        checkpoint=checkpoint,
        checkpoint_every=CHECKPOINT_STEPS,
        resume=resume,
        log=log,
        progress=progress,
    )


def held_out(flow: Flow, split: Split) -> HeldOut | None:
    """How well the model does on the test rows (or, without any, on the validation rows), beside a Gaussian.

    The Gaussian is fitted to everything else, validation rows included, since it has no other use for them.
    """
    flow.eval()
    if len(split.test):
        rows, seen, rows_are = split.test, torch.cat([split.training, split.validation]), "test rows"
    elif len(split.validation):
        rows, seen, rows_are = split.validation, split.training, "validation rows, which also chose when to stop"
    else:
        return None
    try:
        gaussian = FittedGaussian(seen)
    except ValueError:
        return HeldOut(rows_are, estimate(log_prob_in_chunks(flow, rows)), None)
    comparison = compare(flow, gaussian, rows)
    return HeldOut(rows_are, comparison.model, comparison)


def facts(table: Table, split: Split, recipe: Recipe, history: History, score: HeldOut | None) -> dict[str, Any]:
    """What the model file says of its own making, as JSON values."""
    return {
        "columns": None if table.names is None else list(table.names),
        "data": {
            "file": table.path.name,
            "rows": len(table.values),
            "dropped_rows": table.dropped,
            "training_rows": len(split.training),
            "validation_rows": len(split.validation),
            "test_rows": len(split.test),
        },
        "recipe": {**dataclasses.asdict(recipe), "model": recipe.model.value},
        "threads": torch.get_num_threads(),
        "training": {
            "steps": history.steps,
            "best_step": history.best_step,
            "stopped_because": history.stopped_because,
            "seconds": round(history.seconds, 1),
            "curve": [[r.step, _rounded(r.loss), _rounded(r.validation)] for r in history.records],
        },
        "held_out": None if score is None else _score(score),
        "versions": {"counterflow": _version(), "torch": torch.__version__, "python": platform.python_version()},
    }


def _version() -> str:
    """Of the package that runs, which need not be the one that is installed."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def _score(score: HeldOut) -> dict[str, Any]:
    values = {"rows_are": score.rows_are, "unit": "nats per row", "model": _estimate(score.model)}
    if score.against is not None:
        values["gaussian"] = _estimate(score.against.baseline)
        values["model_minus_gaussian"] = _estimate(score.against.difference)
    return values


def _estimate(value: Estimate) -> dict[str, float | int | None]:
    known = math.isfinite(value.standard_error)
    return {"mean": value.mean, "standard_error": value.standard_error if known else None, "rows": value.rows}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
