"""`counterflow distil`: a model file in, a student of it out, with its certificate inside."""

import csv
import dataclasses
import hashlib
import platform
from pathlib import Path
from typing import Any

import torch

from ..files import replacing
from ..report.certified import Certified
from ..report.student_words import made_in_words
from ..tables.source import Block
from ..tabular import TableModel
from ..training import History, TrainingDiverged, TrainingInterrupted
from .console import Console
from .fitting import Words
from .model_file import load_table_model
from .outputs import check_output
from .pairing import contexts_of, fingerprint, measured
from .refusal import DIVERGED, INTERRUPTED, OUTPUT, USAGE, Refusal
from .resuming import check_resumed, resumable
from .student_recipe import StudentRecipe
from .student_training import Lesson, States, Trained, phase_facts, version


@dataclasses.dataclass(frozen=True)
class DistilFiles:
    """What `distil` reads and writes."""

    teacher: Path
    out: Path
    data: Path | None = None
    array: str | None = None
    log: Path | None = None
    overwrite: bool = False
    resume: bool = False

    @property
    def states(self) -> States:
        """Of the two trainings: there while they run and after an interruption."""
        start, polish = (self.out.with_name(f"{self.out.stem}.{phase}{self.out.suffix}") for phase in PHASES)
        return States(start, polish, self.resume)


PHASES = ("start", "polish")


@dataclasses.dataclass(frozen=True)
class Job:
    """One distillation: its files, how to teach, and the words of the command."""

    files: DistilFiles
    recipe: StudentRecipe
    words: Words


def run_distil(job: Job, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: an output that cannot be, a teacher of which no student can be made, Ctrl-C, a loss that is not finite.
        TableError: the table of contexts.
    """
    files = job.files
    check_distil_files(files)
    teacher = load_table_model(files.teacher)
    contexts = contexts_of(teacher, files.teacher, files.data, files.array, console)
    found, student = distil_table(teacher, contexts, job, console)
    console.say(made_in_words(student.facts))
    for sentence in found.sentences():
        console.say(sentence)
    written = [str(path) for path in (files.out, files.log) if path is not None]
    console.say(f"Wrote {', '.join(written)}.")
    console.result({"written": written, **student.facts, "schema": student.schema.to_json()})


def check_distil_files(files: DistilFiles) -> None:
    """Refuse outputs that exist or cannot be written, and a resumption of nothing.

    Raises:
        Refusal: one of these.
    """
    inputs = [files.teacher, *([files.data] if files.data is not None else [])]
    check_output(files.out, [".safetensors"], overwrite=files.overwrite, inputs=inputs)
    again = files.overwrite or files.resume
    if files.log is not None:
        check_output(files.log, [".csv"], overwrite=again, inputs=inputs)
    there = [state for state in _both(files.states) if state.exists()]
    if files.resume and not there:
        raise Refusal(
            USAGE,
            f"--resume: there is no {files.states.start}, the state that an interrupted distillation leaves behind",
        )
    if there and not again:
        raise Refusal(
            OUTPUT, f"{there[0]} is left from an interrupted distillation; --resume goes on, --overwrite starts afresh"
        )


def distil_table(
    teacher: TableModel,
    contexts: Block | None,
    job: Job,
    console: Console,
) -> tuple[Certified, TableModel]:
    """Teach, certify, and save the student; on Ctrl-C keep the states and say how to go on."""
    files, recipe, words = job.files, job.recipe, job.words
    states = files.states
    first = states.start if recipe.start_steps else states.polish
    options = words.configuration and {**words.configuration, **_contents(files, contexts)}
    if files.resume:
        check_resumed(first, options)
    else:
        for stale in _both(states):
            stale.unlink(missing_ok=True)
    given = None if contexts is None else teacher.tensor(contexts)
    lesson = Lesson(teacher.model, str(files.teacher), given, recipe, console)
    with resumable(first, options):
        trained = _taught(lesson, files, words)
        try:
            if files.log is not None:
                write_curves(files.log, trained)
            student = TableModel(lesson.student.eval(), teacher.schema, _facts(teacher, trained, job))
            found = _certified(student, teacher, contexts, job, console)
            student = dataclasses.replace(student, facts={**student.facts, "certificate": found.to_json()})
            student.save(files.out)
        except KeyboardInterrupt:
            last = states.polish if recipe.steps else states.start
            after = f"interrupted after the training; {last} keeps its state, and this goes on: {words.resume}"
            raise Refusal(INTERRUPTED, after) from None
        for state in _both(states):
            state.unlink(missing_ok=True)
    return found, student


def write_curves(path: Path, trained: Trained) -> None:
    """Both curves, all or nothing: training, step, loss, held-out KL in nats per row and per column."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["training", "step", "loss", "held_out_kl_nats", "learning_rate", "gradient_norm", "seconds"])
        for phase in PHASES:
            history: History | None = getattr(trained, phase)
            for r in () if history is None else history.records:
                writer.writerow([phase, r.step, r.loss, r.validation, r.learning_rate, r.gradient_norm, r.seconds])


def _taught(lesson: Lesson, files: DistilFiles, words: Words) -> Trained:
    states = files.states
    try:
        return lesson.taught(states)
    except TrainingInterrupted as stopped:
        if stopped.path is None:
            raise Refusal(INTERRUPTED, "interrupted before the first checkpoint; no student was written") from None
        phase = "the start" if stopped.path == states.start else "the fit to draws"
        where = f"after step {stopped.history.steps:,} of {phase}"
        how = f"interrupted {where}; {stopped.path} keeps the state, and this goes on: {words.resume}"
        raise Refusal(INTERRUPTED, how) from None
    except TrainingDiverged as error:
        for state in _both(states):
            state.unlink(missing_ok=True)
        raise Refusal(DIVERGED, f"{error}; try a lower --learning-rate") from None
    except ValueError as error:
        if not files.resume:
            raise
        raise Refusal(USAGE, f"--resume: {error}") from None


def _certified(
    student: TableModel, teacher: TableModel, contexts: Block | None, job: Job, console: Console
) -> Certified:
    names = str(job.files.out), job.files.teacher.name
    return measured(student, teacher, contexts, console, names=names, draws=job.recipe.draws, seed=job.recipe.seed)


def _facts(teacher: TableModel, trained: Trained, job: Job) -> dict[str, Any]:
    files, recipe, words = job.files, job.recipe, job.words
    made = {name: value for name, value in teacher.facts.items() if name != "training"}
    return {
        "command": words.command,
        "configuration": words.configuration,
        "columns": list(teacher.schema.names) if teacher.schema.named else None,
        "teacher": {"file": files.teacher.name, "fingerprint": fingerprint(files.teacher), "made": made},
        "distillation": {
            "start": phase_facts(trained.start),
            "polish": phase_facts(trained.polish),
            "kept": trained.kept,
            "hidden": list(recipe.hidden),
            "layers": recipe.layers,
            "seed": recipe.seed,
        },
        "threads": torch.get_num_threads(),
        "versions": {"counterflow": version(), "torch": torch.__version__, "python": platform.python_version()},
    }


def _contents(files: DistilFiles, contexts: Block | None) -> dict[str, str]:
    """What the states cannot tell: whether teacher and contexts are still the same."""
    found = {"teacher-content": fingerprint(files.teacher)}
    if contexts is not None:
        found["data-content"] = hashlib.sha256(contexts.tobytes()).hexdigest()[:16]
    return found


def _both(states: States) -> tuple[Path, Path]:
    return states.start, states.polish
