"""Cells that a fitted model cannot take, refused with their place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..conditioners import ContextUnits
from ..tables import TableError
from ..tables.source import Block
from ..tabular import TableModel
from .naming import called

Place = Callable[[int], str]  # of a row, from 0, in the user's words


def check_whole_numbers(model: TableModel, values: Block, path: Path, place: Place) -> None:
    """Refuse other numbers in a column that held whole ones when the model was fitted; gaps are nobody's business here.

    Raises:
        TableError: with the place.
    """
    whole = model.schema.whole
    with np.errstate(invalid="ignore"):
        odd = np.isfinite(values[:, whole]) & (values[:, whole] != np.rint(values[:, whole]))
    if odd.any():
        row, which = (int(i) for i in np.argwhere(odd)[0])
        column = model.schema.columns[whole[which]]
        raise TableError(
            f"{path}, {place(row)}: {called(column.name)} held whole numbers when the model was fitted, and "
            f"now {values[row, whole[which]]:g}"
        )


def check_logarithms(model: TableModel, context: Block, path: Path, place: Place) -> None:
    """Refuse a number that is not positive in a context column whose logarithm the model takes.

    Raises:
        TableError: with the place.
    """
    found = not_positive(model, context)
    if found is not None:
        row, column = found
        raise TableError(f"{path}, {place(row)}: {in_words(model, column, context[row, column])}")


def not_positive(model: TableModel, context: Block) -> tuple[int, int] | None:
    """Row and column of the first such number."""
    encoder = model.model.context_encoder
    if not isinstance(encoder, ContextUnits) or not any(encoder.log):
        return None
    wrong = np.argwhere((context <= 0) & np.array(encoder.log))
    return (int(wrong[0, 0]), int(wrong[0, 1])) if len(wrong) else None


def in_words(model: TableModel, column: int, value: float) -> str:
    """What is wrong with it."""
    name = model.schema.context[column].name
    return f"{called(name, 'context column')} was positive in all training rows, and now is {value:g}"
