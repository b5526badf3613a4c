"""What `fit` says: of the table before it starts, and of the result."""

import shlex

from ..tabular import Fitted, HeldOut, Parts, Recipe, fitting_batch
from .console import Console
from .given import example
from .naming import called
from .roles import Loaded

SHOWN_COLUMNS = 12


def columns_in_words(table: Loaded) -> list[str]:
    """What was told of the columns, where it is worth a line, and warnings."""
    lines = []
    for column in table.schema.columns:
        kind = [f"{column.kind.value}s"] if column.whole else []
        support = [column.support_in_words()] if column.bounded else []
        if kind or support:
            lines.append(f"  {called(column.name)}: {'; '.join([*kind, *support])}")
    shown = lines[:SHOWN_COLUMNS]
    if len(lines) > len(shown):
        shown.append(f"  and {len(lines) - len(shown):,} more such columns; `counterflow inspect` lists them all")
    title = ["Samples will keep to this (--support and --continuous say otherwise):"] if shown else []
    return [*title, *shown, *(f"Warning: {warning}." for warning in table.warnings)]


def note_sizes(table: Loaded, parts: Parts, recipe: Recipe, console: Console) -> None:
    """How many rows do what."""
    rows, columns = table.cells.values.shape
    given = f" given {', '.join(table.schema.context_names)}" if table.schema.context else ""
    console.note(f"{table.path}: {rows:,} rows, {columns} column{'s' * (columns != 1)}{given}.")
    train, validation, test = parts.training.count, parts.validation.count, parts.test.count
    if not validation:
        console.note("Note: no validation rows (the share is less than one row), so nothing stops the training early.")
    console.note(
        f"Training on {train:,} rows, {validation:,} decide when to stop, {test:,} are kept for the final score."
    )
    batch = fitting_batch(recipe, parts.training)
    if recipe.batch_size is not None and batch < recipe.batch_size:
        console.note(f"Note: the batch of {recipe.batch_size} rows shrinks to {batch}, the number of training rows.")
    if not table.schema.named:
        console.note("The columns have no names: they go by their numbers, from 1.")


def tell(written: list[str], fitted: Fitted, console: Console) -> None:
    """The result, for people and for machines.

    Args:
        written: Files, the model first.
        fitted: The model.
        console: Where to say it.
    """
    history, score = fitted.history, fitted.score
    console.say(f"Trained {history.steps:,} steps in {history.seconds:.0f} s: {history.stopped_because}.")
    console.say(score_in_words(score))
    console.say(f"Wrote {', '.join(written)}.")
    schema = fitted.model.schema
    given = f" {example(fitted.model)}" if schema.context else ""
    console.say(f"Next: counterflow sample {shlex.quote(written[0])} -n 1000{given} -o samples.csv")
    console.result({"written": written, **fitted.model.facts, "schema": schema.to_json()})


def score_in_words(score: HeldOut | None) -> str:
    """The held-out log-likelihood as a sentence."""
    if score is None:
        return "No rows were held out, so there is no score on unseen rows."
    ours = f"{score.model.mean:.3f} ± {score.model.standard_error:.3f} nats per row"
    sentence = f"Held-out log-likelihood: {ours} ({score.model.rows:,} {score.rows_are})"
    base, gain = score.gaussian, score.gain
    if base is None or gain is None:
        return f"{sentence}; no Gaussian could be fitted to compare with."
    return (
        f"{sentence}; a fitted Gaussian: {base.mean:.3f} ± {base.standard_error:.3f}; "
        f"flow minus Gaussian: {gain.mean:+.3f} ± {gain.standard_error:.3f}."
    )
