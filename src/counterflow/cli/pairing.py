"""A student and a teacher as model files: whether they are a pair, the contexts of both, and what is measured."""

import hashlib
import math
import shlex
from pathlib import Path

import numpy as np
import torch

from ..distillation.stages import stages_of
from ..distillation.weights import Incomparable
from ..report.certified import Certified
from ..report.certifying import PairMeasurement, certified
from ..tables import TableError
from ..tables.schema import Column
from ..tables.source import Block
from ..tabular import TableModel
from ..univariate import OutsideSupport
from .console import Console
from .given import Contexts, Distances
from .naming import called, number_in
from .refusal import MODEL, USAGE, Refusal


def fingerprint(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def contexts_of(
    teacher: TableModel, path: Path, data: Path | None, array: str | None, console: Console
) -> Block | None:
    """The contexts of a teacher that takes any, from the table that has them; None for the others.

    Raises:
        Refusal: a table without need of one, or the other way round.
        TableError: the table.
    """
    names = teacher.schema.context_names
    if not names and data is not None:
        raise Refusal(USAGE, f"{path} takes no context: leave out --data")
    if data is None and array is not None:
        raise Refusal(USAGE, "--array speaks of the table of --data, and there is none")
    if not names:
        return None
    if data is None:
        listed = ", ".join(names)
        raise Refusal(
            USAGE, f"{path} is given {listed}: name a table that has {listed}, --data TABLE, to take contexts from"
        )
    given = Contexts(teacher, (), data, array)
    for note in given.notes():
        console.note(note)
    blocks = list(console.watched(((len(block), block) for block in given.blocks()), "reading the contexts", None))
    if not sum(map(len, blocks)):
        raise TableError(f"{data} holds no rows")
    rows = np.concatenate(blocks)
    distances = Distances(teacher.schema.context)
    distances.see(rows)
    distances.tell(console)
    return rows


def check_pair(
    student: TableModel, teacher: TableModel, paths: tuple[Path, Path], console: Console, *, hint: str
) -> None:
    """Refuse two models of which one cannot be the other's student; warn where it is another's.

    Args:
        student: Its columns and supports are the teacher's, and its draws are reparameterised.
        teacher: Draws and scores.
        paths: Of the two files.
        console: Where to warn.
        hint: What to do if the first one is no student.

    Raises:
        Refusal: with the reason.
    """
    _check_same_columns(student, teacher, paths)
    if not _draws_reparameterised(student):
        raise Refusal(MODEL, f"{paths[0]} has no reparameterised draws and is no student; {hint}")
    taught_by = student.facts.get("teacher", {}).get("fingerprint")
    if taught_by is not None and taught_by != fingerprint(paths[1]):
        console.note(f"Warning: {paths[1]} is not the file that {paths[0]} was distilled from.")


def _check_same_columns(student: TableModel, teacher: TableModel, paths: tuple[Path, Path]) -> None:
    words = f"{paths[0]} and {paths[1]} are not of the same columns"
    for what, ours, theirs in (
        ("", student.schema.names, teacher.schema.names),
        ("given ", student.schema.context_names, teacher.schema.context_names),
    ):
        if tuple(ours) != tuple(theirs):
            raise Refusal(MODEL, f"{words}: {what}{_listed(ours)} against {what}{_listed(theirs)}")
    for one, other in zip(student.schema.columns, teacher.schema.columns, strict=True):
        if one.whole != other.whole:
            kinds = f"{one.kind.value} in {paths[0]} and {other.kind.value} in {paths[1]}"
            raise Refusal(MODEL, f"{words}: {called(one.name)} is {kinds}")
        if (one.low, one.high) != (other.low, other.high):
            here, there = (column.support_in_words().partition(",")[0] for column in (one, other))
            raise Refusal(
                MODEL,
                f"{called(one.name)} is {here} in {paths[0]} and {there} in {paths[1]}, and a density is zero outside "
                f"its support; fit {paths[0]} with --support {_as_option(other)}, or distil {paths[1]}",
            )


def _as_option(column: Column) -> str:
    """As `fit --support` reads it."""
    low, high = (
        "" if end in (-math.inf, math.inf) else repr(end).removesuffix(".0") for end in (column.low, column.high)
    )
    return shlex.quote(f"{number_in(column.name) or column.name}={low}..{high}")


def _draws_reparameterised(student: TableModel) -> bool:
    try:
        with torch.random.fork_rng(devices=[]):  # the base is asked for a draw
            stages_of(student.model)
    except TypeError:
        return False
    return True


def measured(
    student: TableModel,
    teacher: TableModel,
    contexts: Block | None,
    console: Console,
    *,
    names: tuple[str, str],
    draws: int,
    seed: int,
) -> Certified:
    """Certificate and throughput.

    Args:
        student: See `check_pair`.
        teacher: See `check_pair`.
        contexts: If both take any.
        console: Where to show how far it is.
        names: Of the two files.
        draws: Of each.
        seed: Of everything random.

    Raises:
        Refusal: densities that are not finite.
    """
    parts = list(PairMeasurement(student, teacher, contexts, draws=draws, seed=seed).parts(corrected=False))
    steps = ((1, (name, measure())) for name, measure in parts)
    try:
        found = dict(console.watched(steps, "measuring the student", len(parts)))
    except (Incomparable, OutsideSupport) as error:
        raise Refusal(MODEL, f"{names[0]} cannot be held against {names[1]}: {error}") from None
    return certified(found, student, names[1])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "nothing"
