"""From cells to a fitted model of them: parts, training, held-out score, and the facts of how it was made."""

import dataclasses
import platform
import sys
from typing import Any

import torch

from ..flow import Flow
from ..spec import spec_of
from ..tables import check_trainable
from ..tables.schema import Schema
from ..training import History
from .fitting import Watch, build, train
from .judging import HeldOut, held_out
from .making import MakeModel
from .parts import Cells, Parts, parted
from .recipe import Recipe
from .table_model import TableModel


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model and all that a report needs."""

    model: TableModel
    parts: Parts
    history: History
    score: HeldOut | None


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A model that has not been trained yet, with its rows: everything that can be refused has been."""

    flow: Flow
    schema: Schema
    parts: Parts
    recipe: Recipe
    fingerprint: str


def prepare(cells: Cells, schema: Schema, recipe: Recipe, label: str, *, make: MakeModel | None = None) -> Prepared:
    """Check the cells, cut them, and build the model: that of `make` rather than the recipe's, if given.

    Raises:
        TableError: no density of these cells exists, or none that single precision can hold.
        SpecError: a model that could not be written.
    """
    check_trainable(cells.values, schema.names, label)
    parts = parted(cells, schema, recipe, label)
    flow = build(recipe, schema, parts, make)
    spec_of(flow)
    return Prepared(flow, schema, parts, recipe, cells.fingerprint())


def finish(prepared: Prepared, watch: Watch = Watch(), *, more: dict[str, Any] | None = None) -> Fitted:
    """Train, and judge.

    Args:
        prepared: From `prepare`.
        watch: What the training leaves behind while it runs.
        more: Facts to add: the command, the file.

    Raises:
        TrainingInterrupted: Ctrl-C.
        TrainingDiverged: a loss that is not finite.
    """
    history = train(prepared.flow, prepared.schema, prepared.parts, prepared.recipe, watch)
    columns, seed = prepared.schema.columns, prepared.recipe.seed
    score = held_out(prepared.flow, prepared.parts, columns, seed, watch.watched)
    made = {**(more or {}), **_facts(prepared, history, score)}
    made["data"] = {**(more or {}).get("data", {}), **made["data"]}
    return Fitted(TableModel(prepared.flow, prepared.schema, made), prepared.parts, history, score)


def _facts(prepared: Prepared, history: History, score: HeldOut | None) -> dict[str, Any]:
    parts, recipe = prepared.parts, prepared.recipe
    return {
        "columns": list(prepared.schema.names) if prepared.schema.named else None,
        "data": {
            "rows": len(parts.order),
            "training_rows": parts.training.count,
            "validation_rows": parts.validation.count,
            "test_rows": parts.test.count,
            "fingerprint": prepared.fingerprint,
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
        "held_out": None if score is None else score.to_json(),
        "versions": {"counterflow": _version(), "torch": torch.__version__, "python": platform.python_version()},
    }


def _version() -> str:
    """Of the package that runs, which need not be the one that is installed."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
