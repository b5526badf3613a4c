"""`counterflow report`: a model and its data in one page for a colleague."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from ..report import Figure, render
from ..report.assembling import About, assembled
from ..report.certified import Certified
from ..report.measuring import Judged, Measurement
from ..tables import Table, TableError, read_table
from ..tables.encoding import outside
from ..tables.schema import Column
from ..tabular import Cells, Fitted, Recipe, TableModel
from ..tabular.parts import noised_held_out, shuffled
from .console import Console
from .given import Distances
from .matching import Asked, Matched
from .model_file import load_table_model
from .outputs import check_at_least, check_output, check_seed
from .pairing import check_pair
from .refusal import MODEL, Refusal
from .unfit_cells import check_logarithms, check_whole_numbers
from .watched_source import WatchedSource

ROWS = 5000  # held-out rows to judge by, unless told otherwise


@dataclasses.dataclass(frozen=True)
class Reporting:
    """How to report.

    Attributes:
        previous: An earlier model of the same table.
        rows: Held-out rows at most.
        array: Which array, group or tree of the file.
        drop_missing: Go on without rows that have gaps.
        seed: Of samples and of noise.
        overwrite: Replace the output.
        teacher: Of a student, for its certificate.
    """

    previous: Path | None = None
    rows: int = ROWS
    array: str | None = None
    drop_missing: bool = False
    seed: int = 0
    overwrite: bool = False
    teacher: Path | None = None


def run_report(path: Path, data: Path, out: Path, how: Reporting, console: Console, *, command: str) -> None:
    """The whole command.

    Raises:
        Refusal: the output, a model, or two models of different columns.
        TableError: the data.
    """
    check_at_least("--rows", how.rows, 2)
    check_seed(how.seed)
    inputs = [path, data, *(other for other in (how.previous, how.teacher) if other is not None)]
    check_output(out, [".html"], overwrite=how.overwrite, inputs=inputs)
    model = load_table_model(path)
    previous = None if how.previous is None else (_previous(how.previous, model), how.previous.name)
    teacher = None if how.teacher is None else (_teacher(how.teacher, path, model, console), how.teacher.name)
    matched = Matched(data, how.array, Asked.of(model.schema))
    for note in matched.notes:
        console.note(note)
    table = read_table(WatchedSource(matched.source, console, "reading"), drop_missing=how.drop_missing)
    cells = cells_of(model, table, weighted=matched.has_weight)
    with console.waiting("looking for rows to judge by"):
        judged = _judged(model, cells, how.rows, data)
    judged, warnings = _inside(model, judged, data)
    for warning in warnings:
        console.note(f"Warning: {warning}.")
    console.note(f"Judging on {len(judged.held_out.values):,} rows: {judged.rows_are}.")
    about = About(data.name, len(cells.values), table.dropped, command, [f"{warning}." for warning in warnings])
    others: Any = {"previous": previous, "teacher": teacher}
    missing = write_report(out, model, judged, about, console, seed=how.seed, **others)
    console.say(f"Wrote {out}.")
    console.result({"written": [str(out)], "rows": len(judged.held_out.values), "missing": list(missing)})


def write_report(
    path: Path,
    model: TableModel,
    judged: Judged,
    about: About,
    console: Console,
    *,
    previous: tuple[TableModel, str] | None = None,
    teacher: tuple[TableModel, str] | None = None,
    images: tuple[Figure, ...] = (),
    certificate: Certified | None = None,
    seed: int = 0,
) -> tuple[str, ...]:
    """Measure, and write the page, all or nothing; sentences about what could not be measured."""
    with console.waiting("drawing samples"):
        measurement = Measurement(model, judged, previous, teacher, seed=seed)
    parts = list(measurement.parts())
    steps = ((1, (name, measure())) for name, measure in parts)
    measured: dict[str, Any] = dict(console.watched(steps, "measuring", len(parts)))
    if certificate is not None:
        measured["certificate"] = certificate
    missing = measurement.missing
    with console.waiting("writing the report"):
        page = render(assembled(model, measured, about, previous=previous, images=images, missing=missing))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    for sentence in missing:
        console.note(f"Note: {sentence}")
    return missing


def judged_of(fitted: Fitted, cells: Cells, rows: int = ROWS) -> Judged | None:
    """What a model that has just been fitted is judged on: its test rows, or without any its validation rows."""
    parts = fitted.parts
    first, last = parts.training.count, parts.training.count + parts.validation.count
    model = fitted.model
    judged = _split(cells, parts.order, (first, last), model.schema.columns, model.facts["recipe"]["seed"])
    return None if judged is None else judged.take(np.arange(len(judged.held_out.values))[:rows])


def _judged(model: TableModel, cells: Cells, rows: int, data: Path) -> Judged:
    """Rows that the model has not learnt from, found again by its seed if this is the table that it was fitted to."""
    made = model.facts.get("teacher", {}).get("made", model.facts)  # what a teacher has seen, its student has, too
    fitted_to = made.get("data", {}).get("fingerprint")
    if fitted_to == cells.fingerprint():
        cut = Recipe(**{name: made["recipe"][name] for name in ("validation", "test", "seed")})
        order, first, last = shuffled(len(cells.values), cut)
        found = _split(cells, order, (first, last), model.schema.columns, cut.seed)
        if found is not None:
            return found.take(np.arange(len(found.held_out.values))[:rows])
        raise TableError(f"{data}: the model has learnt from every row of it; give rows that it has not seen")
    chosen = np.random.default_rng(0).permutation(len(cells.values))[:rows]
    what = "rows of" if len(chosen) == len(cells.values) else "rows drawn from"
    return Judged(cells.take(chosen), None, f"{what} {data.name}{_beside(made, known=fitted_to is not None)}")


def _beside(made: Mapping[str, Any], *, known: bool) -> str:
    """What such rows are to a model that was made like this."""
    if known:
        return ", another table than the one the model was fitted to"
    if "converted_from" in made:
        return f" (the model was converted from {made['converted_from']['library']}: its own table is not known)"
    return " (the model's file does not say which table it was fitted to)"


def _split(
    cells: Cells, order: np.ndarray, cuts: tuple[int, int], columns: tuple[Column, ...], seed: int
) -> Judged | None:
    training, validation, test = (cells.take(part) for part in np.split(order, cuts))
    noisy = noised_held_out(columns, validation, test, seed)
    if len(test.values):
        return Judged(test, training, "test rows", noisy[1].values)
    if len(validation.values):
        return Judged(validation, training, "validation rows, which also chose when to stop", noisy[0].values)
    return None


def cells_of(model: TableModel, table: Table, *, weighted: bool) -> Cells:
    """The columns of a table in the model's order as its cells.

    Raises:
        TableError: cells that the model cannot take, or weights without a positive sum.
    """
    columns, values = len(model.schema.columns), table.values
    context = values[:, columns : columns + len(model.schema.context)] if model.schema.context else None
    check_whole_numbers(model, values[:, :columns], table.path, table.place)
    if context is not None:
        check_logarithms(model, context, table.path, table.place)
    weight = values[:, -1] if weighted else None
    if weight is not None and not weight.sum() > 0:
        raise TableError(f"{table.path}: the weights in column {model.schema.weight!r} sum to {weight.sum():g}")
    return Cells(values[:, :columns], context, weight)


def _inside(model: TableModel, judged: Judged, data: Path) -> tuple[Judged, list[str]]:
    """Without rows that have no density at all, and what is to be said of those and of far contexts."""
    cells, warnings = judged.held_out, list[str]()
    left = outside(model.schema.columns, cells.values)
    if left.all():
        raise TableError(f"{data}: every row lies outside the support of a column")
    if left.any():
        rows = f"{int(left.sum()):,} row{'s' * (int(left.sum()) != 1)}"
        warnings.append(f"{rows} outside the support of a column, where the density is zero: left out")
        judged = judged.take(np.flatnonzero(~left))
    distances = Distances(model.schema.context)
    distances.see(judged.held_out.context)
    return judged, [*warnings, *distances.warnings()]


def _teacher(path: Path, student_path: Path, student: TableModel, console: Console) -> TableModel:
    teacher = load_table_model(path)
    hint = "--teacher belongs to the report of a student"
    check_pair(student, teacher, (student_path, path), console, hint=hint)
    return teacher


def _previous(path: Path, model: TableModel) -> TableModel:
    previous = load_table_model(path)
    ours, theirs = model.schema, previous.schema
    if (ours.names, ours.context_names) != (theirs.names, theirs.context_names):
        given = f" given {', '.join(theirs.context_names)}" if theirs.context else ""
        raise Refusal(
            MODEL, f"{path} is a model of other columns ({', '.join(theirs.names)}{given}): the two cannot be compared"
        )
    return previous
