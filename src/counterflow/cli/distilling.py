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
from .refusal import DIVERGED, INTERRUPTED, USAGE, Refusal
from .resuming import Unfinished
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
    def unfinished(self) -> Unfinished:
        """What the two trainings keep until the student is there."""
        return Unfinished("distil", "distillation", self.out, PHASES)

    @property
    def states(self) -> States:
        """Of the two trainings."""
        start, polish = self.unfinished.states
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
    if files.log is not None:
        check_output(files.log, [".csv"], overwrite=files.overwrite, inputs=inputs)
    files.unfinished.check(inputs, overwrite=files.overwrite, resume=files.resume)


def distil_table(
    teacher: TableModel,
    contexts: Block | None,
    job: Job,
    console: Console,
) -> tuple[Certified, TableModel]:
    """Teach, certify, and save the student; on Ctrl-C keep the states and say how to go on."""
    files, recipe, words = job.files, job.recipe, job.words
    unfinished = files.unfinished
    options = words.configuration and {**words.configuration, **_contents(files, contexts)}
    if files.resume:
        lengths = zip(PHASES, (recipe.start_steps, recipe.steps), strict=True)
        unfinished.check_options(options, left_out=[phase for phase, steps in lengths if not steps])
    given = None if contexts is None else teacher.tensor(contexts)
    lesson = Lesson(teacher.model, str(files.teacher), given, recipe, console)
    if not files.resume:
        unfinished.clear()
    with unfinished.kept(options):
        trained = _taught(lesson, files, words)
        try:
            student = TableModel(lesson.student.eval(), teacher.schema, _facts(teacher, trained, job))
            found = _certified(student, teacher, contexts, job, console)
            student = dataclasses.replace(student, facts={**student.facts, "certificate": found.to_json()})
            student.save(files.out)
        except KeyboardInterrupt:
            raise _interrupted(" after the training", "its state", files, words) from None
        unfinished.clear()
    if files.log is not None:
        write_curves(files.log, trained)
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
    try:
        return lesson.taught(files.states)
    except TrainingInterrupted as stopped:
        if stopped.path is None:
            raise _interrupted(" before the first checkpoint", "the state", files, words) from None
        phase = "the start" if stopped.path == files.states.start else "the fit to draws"
        where = f" after step {stopped.history.steps:,} of {phase}"
        raise _interrupted(where, "the state", files, words) from None
    except KeyboardInterrupt:  # between the two, or while the teacher draws
        raise _interrupted("", "the state", files, words) from None
    except TrainingDiverged as error:
        files.unfinished.clear()
        stopped_where = str(error).partition(";")[0]  # what follows names parameters of the student
        raise Refusal(DIVERGED, f"{stopped_where}; try a lower --learning-rate") from None
    except ValueError as error:
        if not files.resume:
            raise
        raise Refusal(USAGE, f"--resume: {error}") from None


def _interrupted(where: str, what: str, files: DistilFiles, words: Words) -> Refusal:
    kept = files.unfinished.latest
    if kept is None:
        return Refusal(INTERRUPTED, f"interrupted{where}; no student was written")
    return Refusal(INTERRUPTED, f"interrupted{where}; {kept} keeps {what}, and this goes on: {words.resume}")


def _certified(
    student: TableModel, teacher: TableModel, contexts: Block | None, job: Job, console: Console
) -> Certified:
    """Where the student has no certificate its training stays: other draws may tell."""
    draws, seed = job.recipe.draws, job.recipe.seed
    names = "the student", job.files.teacher.name
    try:
        return measured(student, teacher, contexts, console, names=names, draws=draws, seed=seed)
    except Refusal as refusal:
        kept, again = job.files.unfinished.latest, f"{job.words.resume} --draws {2 * draws}"
        raise Refusal(
            refusal.code, f"{refusal}; no student was written; {kept} keeps it, and this measures it again: {again}"
        ) from None


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
