"""`counterflow fit`: a table in, a model file out, with every reason to refuse checked before the work starts."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from ..report import Figure
from ..report.assembling import About
from ..report.certified import Certified
from ..tabular import Fitted, Parts, Prepared, Recipe, Watch, finish, prepare
from ..training import TrainingDiverged, TrainingInterrupted
from ..training.sinks import COLUMNS
from .config import is_our_config, write_config
from .console import Console
from .fit_words import columns_in_words, note_sizes, tell
from .outputs import check_at_least, check_output
from .refusal import DIVERGED, INTERRUPTED, OUTPUT, USAGE, Refusal
from .reporting import judged_of, write_report
from .resuming import Unfinished
from .roles import Loaded, Wanted, load_table

NOTHING_HELD_OUT = "--report: no rows are held out to judge the model by; raise --test, or leave out --report"


@dataclasses.dataclass(frozen=True)
class Files:
    """What `fit` reads and writes."""

    data: Path
    out: Path
    log: Path | None = None
    report: Path | None = None
    overwrite: bool = False
    resume: bool = False
    config: Path | None = None  # where options come from

    @property
    def used(self) -> Path | None:
        """Where the full configuration is written to, if there is one."""
        return None if self.config is None else self.out.with_name(f"{self.out.stem}.used.toml")

    @property
    def unfinished(self) -> Unfinished:
        """What the training keeps until it is done."""
        return Unfinished("fit", "fit", self.out, ("training",))

    @property
    def training(self) -> Path:
        """The state of the training: there while it runs and after an interruption."""
        return self.unfinished.states[0]


@dataclasses.dataclass(frozen=True)
class Words:
    """To quote: the command that makes the model, the one that goes on after Ctrl-C, and the full configuration."""

    command: str
    resume: str
    configuration: dict[str, Any] = dataclasses.field(default_factory=dict)


def run_fit(files: Files, recipe: Recipe, wanted: Wanted, words: Words, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: an output that cannot be, Ctrl-C, a loss that is not finite.
        TableError: the data.
    """
    check_files(files)
    if files.resume:
        files.unfinished.check_options(words.configuration)
    table = load_table(wanted, recipe.model, console)
    if table.dropped:
        rows = f"{table.dropped:,} row{'s' * (table.dropped != 1)}"
        console.note(f"Note: {rows} with missing or infinite cells left out.")
    fitted = fit_table(table, files, recipe, words, console)
    if files.report is not None:
        report_fit(files.report, table, fitted, words, console, seed=recipe.seed)
    if files.used is not None:
        write_config(files.used, words.configuration, "fit")
    written = [files.out, files.report, files.log, files.used]
    tell([str(path) for path in written if path is not None], fitted, console)


def report_fit(
    path: Path,
    table: Loaded,
    fitted: Fitted,
    words: Words,
    console: Console,
    *,
    images: tuple[Figure, ...] = (),
    certificate: Certified | None = None,
    seed: int = 0,
) -> None:
    """The report of a model that has just been fitted; there is none without held-out rows."""
    judged = judged_of(fitted, table.cells)
    if judged is None:
        raise Refusal(USAGE, NOTHING_HELD_OUT)
    warnings = tuple(f"{warning}." for warning in table.warnings)
    about = About(table.path.name, len(table.cells.values), table.dropped, words.command, warnings)
    write_report(path, fitted.model, judged, about, console, images=images, certificate=certificate, seed=seed)


def check_files(files: Files) -> None:
    """Refuse outputs that exist or cannot be written, and a resumption of nothing."""
    inputs = [files.data, *([files.config] if files.config is not None else [])]
    check_output(files.out, [".safetensors"], overwrite=files.overwrite, inputs=inputs)
    if files.log is not None:
        again = files.overwrite or (files.resume and _is_curve(files.log))
        check_output(files.log, [".csv"], overwrite=again, inputs=inputs)
    if files.report is not None:
        check_output(files.report, [".html"], overwrite=files.overwrite, inputs=inputs)
    if files.used is not None:
        if files.used.exists() and not is_our_config(files.used):
            raise Refusal(OUTPUT, f"{files.used} exists, and no command wrote it; choose another --out")
        check_output(files.used, [".toml"], overwrite=files.overwrite)
    outputs = [path for path in (files.out, files.log, files.report, files.used) if path is not None]
    for path in outputs:
        if outputs.count(path) > 1:
            raise Refusal(USAGE, f"{path} is to be written twice: choose another name for one of the two")
    files.unfinished.check(inputs, overwrite=files.overwrite, resume=files.resume)


def _is_curve(path: Path) -> bool:
    """Whether it is a training curve, which the run that goes on writes again."""
    try:
        with path.open("rb") as file:
            return file.readline().strip() == ",".join(COLUMNS).encode()
    except OSError:
        return False


def fit_table(table: Loaded, files: Files, recipe: Recipe, words: Words, console: Console) -> Fitted:
    """Fit, compare, and save the model; on Ctrl-C keep the state of the training and say how to go on."""
    with console.waiting("preparing the rows"):
        prepared = prepare(table.cells, table.schema, recipe, str(table.path))
    if files.report is not None and not prepared.parts.validation.count + prepared.parts.test.count:
        raise Refusal(USAGE, NOTHING_HELD_OUT)
    note_sizes(table, prepared.parts, recipe, console)
    for line in columns_in_words(table):
        console.note(line)
    if not files.resume:
        files.unfinished.clear()
        if files.log is not None:
            files.log.unlink(missing_ok=True)
    with files.unfinished.kept(words.configuration):
        fitted = _finished(prepared, table, files, words, console)
        fitted.model.save(files.out)
        files.unfinished.clear()
    return fitted


def _finished(prepared: Prepared, table: Loaded, files: Files, words: Words, console: Console) -> Fitted:
    watch = Watch(files.training, files.resume, files.log, console.draws, console.watched)
    more = {
        "command": words.command,
        "configuration": words.configuration,
        "data": {"file": table.path.name, "dropped_rows": table.dropped},
    }
    try:
        return finish(prepared, watch, more=more)
    except TrainingInterrupted as stopped:
        raise Refusal(INTERRUPTED, _how_to_resume(stopped, words)) from None
    except KeyboardInterrupt:
        if not files.training.exists():
            raise
        after = f"interrupted after the training; {files.training} keeps its state, and this goes on: {words.resume}"
        raise Refusal(INTERRUPTED, after) from None
    except TrainingDiverged as error:
        files.unfinished.clear()
        raise Refusal(DIVERGED, _how_it_diverged(error, table, prepared.parts)) from None
    except (ValueError, KeyError) as error:
        if not files.resume:
            raise
        raise Refusal(USAGE, f"--resume: {error}") from None


def _how_to_resume(stopped: TrainingInterrupted, words: Words) -> str:
    if stopped.path is None:
        return "interrupted before the first checkpoint; no model was written"
    steps = stopped.history.steps
    return f"interrupted after step {steps:,}; {stopped.path} keeps the state, and this goes on: {words.resume}"


def _how_it_diverged(error: TrainingDiverged, table: Loaded, parts: Parts) -> str:
    if not error.rows:
        return f"{error} (of the rows kept for validation); try a lower --learning-rate"
    places = ", ".join(table.place(int(parts.order[row])) for row in error.rows)
    return (
        f"training stopped in step {error.step + 1:,} because the loss or its gradient is not finite, "
        f"in a batch with {places} of {table.path}; try a lower --learning-rate, or look at those rows"
    )


def use_threads(threads: int | None) -> None:
    """Set the number of threads of this process, if it was asked for."""
    check_at_least("--threads", threads, 1)
    if threads is not None:
        torch.set_num_threads(threads)
