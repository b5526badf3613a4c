"""The rows of a table cut into three disjoint parts: to learn from, to stop by, to be judged by."""

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..tables import TableError, check_trainable
from ..tables.checks import COARSEST_STEP
from ..tables.encoding import dequantised
from ..tables.schema import Column, Schema
from ..tables.source import Block
from ..training import Rows
from .recipe import Recipe

Order = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """A table in memory, its columns in the order of a schema.

    Attributes:
        values: (rows, D).
        context: (rows, M), or None.
        weight: (rows,), or None.
    """

    values: Block
    context: Block | None = None
    weight: npt.NDArray[np.float64] | None = None

    def take(self, rows: Order) -> "Cells":
        """Some rows, in that order."""
        context, weight = self.context, self.weight
        return Cells(
            self.values[rows],
            None if context is None else context[rows],
            None if weight is None else weight[rows],
        )

    def fingerprint(self) -> str:
        """Of the cells: the same table gives the same one."""
        digest = hashlib.sha256()
        for part in (self.values, self.context, self.weight):
            if part is not None:
                digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """Three disjoint parts of the rows; the last two may be empty.

    Attributes:
        training: As the file has them: whole numbers get new noise at every step.
        validation, test: With their noise.
        order: Rows of the table, those to train on first.
    """

    training: Rows
    validation: Rows
    test: Rows
    order: Order


def shuffled(rows: int, recipe: Recipe) -> tuple[Order, int, int]:
    """The order of rows by the recipe's seed, and where validation and test begin; a part below one row is empty."""
    order = np.random.default_rng(recipe.seed).permutation(rows)
    validation, test = int(rows * recipe.validation), int(rows * recipe.test)
    return order, rows - validation - test, rows - test


def parted(cells: Cells, schema: Schema, recipe: Recipe, label: str) -> Parts:
    """Shuffle, cut, and make tensors.

    Raises:
        TableError: the training rows are fewer than 2, or a column is constant in them; the weights of a part have no
            positive sum; a context column has digits that single precision loses.
    """
    order, validation, test = shuffled(len(cells.values), recipe)
    if validation != len(order):
        check_trainable(cells.values[order[:validation]], schema.names, f"{label}, the {validation} training rows")
    parts = [cells.take(rows) for rows in np.split(order, [validation, test])]
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        _check_weights(part, f"{label}: the weights of the {len(part.values):,} {name} rows")
    _check_context(parts[0], schema, label)
    held_out = noised_held_out(schema.columns, parts[1], parts[2], recipe.seed)
    return Parts(as_rows(parts[0]), as_rows(held_out[0]), as_rows(held_out[1]), order)


def noised_held_out(columns: tuple[Column, ...], validation: Cells, test: Cells, seed: int) -> tuple[Cells, Cells]:
    """Both with the noise on whole numbers that they have whenever a model of that seed is judged by them."""
    noise = np.random.default_rng([seed, 1])
    first, last = (dequantised(columns, part.values, noise) for part in (validation, test))
    return dataclasses.replace(validation, values=first), dataclasses.replace(test, values=last)


def _check_weights(part: Cells, words: str) -> None:
    """A mean over the part must exist."""
    if part.weight is not None and len(part.weight) and not part.weight.sum() > 0:
        raise TableError(f"{words} sum to {part.weight.sum():g}; the sum must be positive")


def _check_context(training: Cells, schema: Schema, label: str) -> None:
    """What `check_trainable` asks of columns, but that a context may be constant and depend on others."""
    if training.context is None:
        return
    for column, c in zip(schema.context, training.context.T, strict=True):
        words = f"{label}: context column {column.name!r} reaches {np.abs(c).max():g}"
        if np.abs(c).max() > np.finfo(np.float32).max:
            raise TableError(f"{words}, too large for single precision; change its unit")
        coarse = np.abs(c).max() * np.finfo(np.float32).eps > COARSEST_STEP * c.std()
        if coarse and c.min() < c.max():
            raise TableError(
                f"{words} with a standard deviation of {c.std():.3g}, too fine for single precision; "
                "subtract a constant or change its unit"
            )


def as_rows(cells: Cells) -> Rows:
    """In single precision, as models compute."""
    return Rows(single(cells.values), _optional(cells.context), _optional(cells.weight))


def single(values: npt.NDArray[np.float64]) -> Tensor:
    """A tensor in single precision."""
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _optional(values: npt.NDArray[np.float64] | None) -> Tensor | None:
    return None if values is None else single(values)


def noised(columns: tuple[Column, ...], rows: Rows, seed: int) -> Block:
    """Training rows with noise on whole numbers, once: what standardisation is computed from."""
    return dequantised(columns, rows.x.double().numpy(), np.random.default_rng([seed, 2]))
