"""`counterflow fit`: a table in, a model file out, with every reason to refuse checked before the work starts."""

import dataclasses
from pathlib import Path

import torch

from ..checkpoint import save
from ..spec import spec_of
from ..tables import Table, check_trainable, open_table, read_table, whole_number_columns
from ..training import TrainingDiverged, TrainingInterrupted
from .console import Console
from .outputs import check_at_least, check_output
from .page import write_page
from .pipeline import Fitted, HeldOut, Recipe, Split, build, facts, fitting_batch, held_out, split_rows, train
from .refusal import DIVERGED, INTERRUPTED, OUTPUT, USAGE, Refusal


@dataclasses.dataclass(frozen=True)
class Files:
    """What `fit` reads and writes."""

    data: Path
    out: Path
    array: str | None = None
    log: Path | None = None
    report: Path | None = None
    overwrite: bool = False
    resume: bool = False

    @property
    def training(self) -> Path:
        """The state of the training: there while it runs and after an interruption."""
        return self.out.with_name(f"{self.out.stem}.training{self.out.suffix}")


@dataclasses.dataclass(frozen=True)
class Words:
    """Command lines to quote: the one that makes the model, and the one that goes on after Ctrl-C."""

    command: str
    resume: str


def run_fit(files: Files, recipe: Recipe, words: Words, console: Console, *, drop_missing: bool) -> None:
    """The whole command.

    Raises:
        Refusal: an output that cannot be, an option out of range, Ctrl-C, a loss that is not finite.
        TableError: the data.
    """
    check_recipe(recipe)
    check_files(files)
    table = read_table(open_table(files.data, array=files.array), drop_missing=drop_missing)
    if table.dropped:
        console.note(f"Note: {table.dropped:,} rows with missing or infinite cells were dropped.")
    fitted = fit_table(table, files, recipe, words, console)
    if files.report is not None:
        write_page(files.report, table, fitted, words.command)
    tell(files, table, fitted, console)


def check_recipe(recipe: Recipe) -> None:
    """Refuse what no data could make sense of."""
    if recipe.epochs is not None and recipe.steps is not None:
        raise Refusal(USAGE, "--epochs and --steps exclude each other: give one")
    for option, value in (("--epochs", recipe.epochs), ("--steps", recipe.steps), ("--patience", recipe.patience)):
        check_at_least(option, value, 1)
    check_at_least("--batch-size", recipe.batch_size, 1)
    check_at_least("--seed", recipe.seed, 0)
    check_at_least("--learning-rate", recipe.learning_rate, 0, exclusive=True)
    for option, share in (("--validation", recipe.validation), ("--test", recipe.test)):
        if not 0 <= share < 1:
            raise Refusal(USAGE, f"{option} {share:g}: expected a share of the rows, from 0 to less than 1")
    if recipe.validation + recipe.test >= 1:
        raise Refusal(USAGE, "--validation and --test together leave no rows to train on")


def check_files(files: Files) -> None:
    """Refuse outputs that exist or cannot be written, and a resumption of nothing."""
    check_output(files.out, [".safetensors"], overwrite=files.overwrite, inputs=[files.data])
    again = files.overwrite or files.resume
    if files.log is not None:
        check_output(files.log, [".csv"], overwrite=again, inputs=[files.data])
    if files.report is not None:
        check_output(files.report, [".html"], overwrite=files.overwrite)
    state = files.training
    if files.resume and not state.is_file():
        raise Refusal(USAGE, f"--resume: there is no {state}, the state that an interrupted fit leaves behind")
    if state.exists() and not again:
        raise Refusal(OUTPUT, f"{state} is left from an interrupted fit; --resume goes on, --overwrite starts afresh")


def fit_table(table: Table, files: Files, recipe: Recipe, words: Words, console: Console) -> Fitted:
    """Fit, compare, and save the model; on Ctrl-C keep the state of the training and say how to go on."""
    check_trainable(table.values, table.names, str(table.path))
    _note_whole_numbers(table, console)
    split = split_rows(table, recipe)
    _note_sizes(table, split, recipe, console)
    flow = build(recipe, split.training)
    spec_of(flow)  # a model that could not be written must not be trained first
    if not files.resume:
        for stale in (files.training, files.log):
            if stale is not None:
                stale.unlink(missing_ok=True)
    try:
        history = train(
            flow,
            split,
            recipe,
            checkpoint=files.training,
            resume=files.resume,
            log=files.log,
            progress=console.draws,
        )
    except TrainingInterrupted as stopped:
        raise Refusal(INTERRUPTED, _how_to_resume(stopped, words)) from None
    except TrainingDiverged as error:
        files.training.unlink(missing_ok=True)
        raise Refusal(DIVERGED, _how_it_diverged(error, table, split)) from None
    except (ValueError, KeyError) as error:
        if not files.resume:
            raise
        raise Refusal(USAGE, f"--resume: {error}") from None
    score = held_out(flow, split)
    made = {"command": words.command, **facts(table, split, recipe, history, score)}
    save(files.out, flow, metadata=made)
    files.training.unlink(missing_ok=True)
    return Fitted(flow, split, history, score, made)


def _how_to_resume(stopped: TrainingInterrupted, words: Words) -> str:
    if stopped.path is None:
        return "interrupted before the first checkpoint; no model was written"
    steps = stopped.history.steps
    return f"interrupted after step {steps:,}; {stopped.path} keeps the state, and this goes on: {words.resume}"


def _how_it_diverged(error: TrainingDiverged, table: Table, split: Split) -> str:
    if not error.rows:
        return f"{error} (of the rows kept for validation); try a lower --learning-rate"
    places = ", ".join(table.place(int(split.order[row])) for row in error.rows)
    return (
        f"training stopped in step {error.step + 1:,} because the loss or its gradient is not finite, "
        f"in a batch with {places} of {table.path}; try a lower --learning-rate, or look at those rows"
    )


def _note_whole_numbers(table: Table, console: Console) -> None:
    whole = whole_number_columns(table.values)
    if whole:
        first = repr(table.names[whole[0]]) if table.names else str(whole[0] + 1)
        which = f"column {first}" + (f" and {len(whole) - 1} more" if len(whole) > 1 else "")
        console.note(
            f"Note: {which} of {table.path} hold whole numbers only; a density can grow without bound on those, "
            "so read its log-likelihood with care, or add uniform noise from [0, 1) first."
        )


def _note_sizes(table: Table, split: Split, recipe: Recipe, console: Console) -> None:
    rows, columns = table.values.shape
    console.note(f"{table.path}: {rows:,} rows, {columns} column{'s' * (columns != 1)}.")
    train, validation, test = len(split.training), len(split.validation), len(split.test)
    if not validation:
        console.note("Note: no validation rows (the share is less than one row), so nothing stops the training early.")
    console.note(
        f"Training on {train:,} rows, {validation:,} decide when to stop, {test:,} are kept for the final score."
    )
    batch = fitting_batch(recipe, split.training)
    if batch < recipe.batch_size:
        console.note(f"Note: the batch of {recipe.batch_size} rows shrinks to {batch}, the number of training rows.")
    if table.names is None:
        console.note("The columns have no names: they are matched by position.")


def tell(files: Files, table: Table, fitted: Fitted, console: Console) -> None:
    """The result, for people and for machines."""
    history, score = fitted.history, fitted.score
    console.say(f"Trained {history.steps:,} steps in {history.seconds:.0f} s: {history.stopped_because}.")
    console.say(score_in_words(score))
    console.say(f"Wrote {files.out}" + (f" and {files.report}." if files.report else "."))
    console.say(f"Next: counterflow sample {files.out} -n 1000 -o samples.csv")
    written = [str(path) for path in (files.out, files.report, files.log) if path is not None]
    console.result({"written": written, **fitted.facts})


def score_in_words(score: HeldOut | None) -> str:
    """The held-out log-likelihood as a sentence."""
    if score is None:
        return "No rows were held out, so there is no score on unseen rows."
    ours = f"{score.model.mean:.3f} ± {score.model.standard_error:.3f} nats per row"
    sentence = f"Held-out log-likelihood: {ours} ({score.model.rows:,} {score.rows_are})"
    if score.against is None:
        return f"{sentence}; too few rows to fit a Gaussian to compare with."
    base, gain = score.against.baseline, score.against.difference
    return (
        f"{sentence}; a fitted Gaussian: {base.mean:.3f} ± {base.standard_error:.3f}; "
        f"flow minus Gaussian: {gain.mean:+.3f} ± {gain.standard_error:.3f}."
    )


def use_threads(threads: int | None) -> None:
    """Set the number of threads of this process, if it was asked for."""
    check_at_least("--threads", threads, 1)
    if threads is not None:
        torch.set_num_threads(threads)
