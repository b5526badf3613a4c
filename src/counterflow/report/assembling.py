"""A report put together: what was measured, with the model and its data in words."""

import dataclasses
import functools
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..tabular import TableModel
from . import results
from .document import Figure
from .measuring import column_facts
from .student_words import is_student
from .words import costs_in_words, folded, layers_in_words

TIMED_ROWS = (1, 1000)


@dataclasses.dataclass(frozen=True)
class About:
    """The data of a report.

    Attributes:
        file: Its name.
        rows: How many it has.
        dropped: How many more were left out.
        command: What makes this page.
        warnings: What was said when the model was made.
    """

    file: str
    rows: int
    dropped: int
    command: str
    warnings: Sequence[str] = ()


def assembled(
    model: TableModel,
    measured: Mapping[str, Any],
    about: About,
    *,
    previous: tuple[TableModel, str] | None = None,
    images: Sequence[Figure] = (),
    missing: Sequence[str] = (),
) -> results.Report:
    """The whole report.

    Args:
        model: The fitted model.
        measured: Fields of the report by name, from `Measurement`.
        about: The data.
        previous: Another model and its name.
        images: Of data and samples.
        missing: Sentences about what could not be measured.
    """
    given = f" given {', '.join(model.schema.context_names)}" if model.schema.context else ""
    title = f"A density of {about.file}"
    columns = len(model.schema.columns)
    subtitle = f"{columns} column{'s' * (columns != 1)}{given}; {_kind(model)} flow"
    return results.Report(
        title=title,
        subtitle=subtitle,
        command=_commands(model, about),
        warnings=about.warnings,
        missing=missing,
        images=images,
        training=_training(model, previous),
        timings=timings(model),
        model=_model(model),
        data=_data(model, about),
        **measured,
    )


def _kind(model: TableModel) -> str:
    return "a distilled" if is_student(model.facts) else str(model.facts.get("recipe", {}).get("model", "a"))


def timings(model: TableModel) -> results.Timings:
    """One row and a thousand, scored and sampled here, each after a first call; the best of three."""
    score_words, sample_words = (words.partition(": ")[2] for words in costs_in_words(model.model))
    found = []
    for rows in TIMED_ROWS:
        context = _typical_context(model)
        repeated = None if context is None else context.repeat(rows, axis=0)
        draw = functools.partial(model.sample, rows, context, generator=torch.Generator().manual_seed(0))
        sampled = _best(draw)
        scored = _best(functools.partial(model.log_prob, draw(), repeated))
        found.append(results.Timing("score", score_words, rows, scored))
        found.append(results.Timing("sample", sample_words, rows, sampled))
    threads = torch.get_num_threads()
    machine = f"{platform.machine()}, {platform.system()}, {threads} thread{'s' * (threads != 1)}"
    return results.Timings(machine, found)


def _best(call: Any) -> float:
    call()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _typical_context(model: TableModel) -> Any:
    columns = model.schema.context
    known = [c.mean if np.isfinite(c.mean) else 0.0 for c in columns]
    return np.array([known]) if columns else None


def _training(model: TableModel, previous: tuple[TableModel, str] | None) -> results.Training | None:
    curves = []
    for one, name in [(model, "this model"), *([previous] if previous is not None else [])]:
        made = one.facts.get("training")
        if made and made.get("curve"):
            steps, losses, held_out = zip(*made["curve"], strict=True)
            curves.append(
                results.Curve(
                    name,
                    steps,
                    [-loss for loss in losses],
                    [None if value is None else -value for value in held_out],
                    made["best_step"],
                )
            )
    if not curves:
        return None
    made = model.facts.get("training")
    ended = f"{made['steps']:,} steps in {made['seconds']:.0f} s; {made['stopped_because']}." if made else ""
    return results.Training(curves, ended)


def _model(model: TableModel) -> results.ModelFacts:
    recipe = model.facts.get("recipe", {})
    parameters = sum(p.numel() for p in model.model.parameters())
    facts = {"Parameters": f"{parameters:,}"}
    facts |= {key.replace("_", " ").capitalize(): str(value) for key, value in recipe.items() if value is not None}
    if "threads" in model.facts:
        facts["Threads"] = str(model.facts["threads"])
    versions = model.facts.get("versions", {})
    facts |= {"Versions": ", ".join(f"{name} {version}" for name, version in versions.items())} if versions else {}
    return results.ModelFacts(folded(layers_in_words(model.model)), facts=facts)


def _data(model: TableModel, about: About) -> results.DataFacts:
    data = model.facts.get("data", {})
    facts = {"File": about.file, "Rows": f"{about.rows:,}"}
    if about.dropped:
        facts["Dropped"] = f"{about.dropped:,} rows with missing or infinite cells"
    if "training_rows" in data:
        facts["Split of the fit"] = (
            f"{data['training_rows']:,} rows to train on, {data['validation_rows']:,} to stop by, "
            f"{data['test_rows']:,} to be judged by"
        )
    return results.DataFacts(facts, column_facts(model))


def _commands(model: TableModel, about: About) -> str:
    taught = model.facts.get("teacher", {}).get("made", {}).get("command")
    made = [taught, model.facts.get("command"), about.command]
    return "\n".join(dict.fromkeys(command for command in made if command is not None))
