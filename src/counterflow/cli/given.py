"""What a model with context columns is given: numbers on the command line, or the rows of a file."""

import dataclasses
import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..tables import MissingValues, TableError
from ..tables.encoding import farthest
from ..tables.schema import Column
from ..tables.source import Block
from ..tabular import TableModel
from .console import Console
from .declared import numbers
from .matching import Asked, Matched
from .naming import called, titled
from .refusal import USAGE, Refusal
from .unfit_cells import check_logarithms, in_words, not_positive

FAR = 0.5  # standard deviations of a context column beyond its training range, from which on we warn


class Distances:
    """How far contexts reach beyond those of the training rows, over many blocks."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._far = np.zeros(len(columns))

    def see(self, context: Block | None) -> None:
        """Look at more rows."""
        if context is not None and len(context):
            self._far = np.maximum(self._far, farthest(self._columns, context))

    def warnings(self) -> list[str]:
        """A sentence for every column that went too far."""
        return [
            f"{called(column.name, 'context column')} goes {far:.1f} standard deviations beyond its training "
            f"range ({column.smallest:g} to {column.largest:g}): the model extrapolates there"
            for column, far in zip(self._columns, self._far, strict=True)
            if far > FAR
        ]

    def tell(self, console: Console) -> None:
        """Say so."""
        for warning in self.warnings():
            console.note(f"Warning: {warning}.")


@dataclasses.dataclass(frozen=True)
class Contexts:
    """Rows of context, read as often as asked.

    Attributes:
        model: That is given them.
        words: NAME=NUMBER.
        file: A table of them instead.
        array: Which array, group or tree of that file.

    Raises:
        Refusal: a model without context that is given one, or the other way round; a column left out.
        TableError: the file.
    """

    model: TableModel
    words: Sequence[str]
    file: Path | None = None
    array: str | None = None

    def __post_init__(self) -> None:
        names = self.model.schema.context_names
        if not names and (self.words or self.file is not None):
            raise Refusal(USAGE, "this model takes no context: leave out --given and --context")
        if names and bool(self.words) == (self.file is not None):
            raise Refusal(
                USAGE,
                f"this model is given {', '.join(names)}: name values, {example(self.model)}, "
                "or a file of them, --context FILE",
            )
        if self.file is None and self.array is not None:
            raise Refusal(USAGE, "--array speaks of the file of --context, and there is none")

    def blocks(self) -> Iterator[Block]:
        """(rows, M) each; none for a model without context."""
        if self.file is None:
            yield from [self._one()] if self.words else []
            return
        matched = self._matched(self.file)
        for block in matched.blocks():
            if not matched.whole(block).all():
                self._refuse_gaps(matched)
            check_logarithms(self.model, block, self.file, matched.place_in(block))
            yield block

    def notes(self) -> list[str]:
        """What the user should know of the file."""
        return [] if self.file is None else self._matched(self.file).notes

    def _matched(self, file: Path) -> Matched:
        schema = self.model.schema
        return Matched(file, self.array, Asked((), schema.context, named=schema.named, why="the model is given"))

    def _one(self) -> Block:
        names, found = self.model.schema.context_names, numbers("--given", self.words)
        if not self.model.schema.named:  # by number
            found = {titled(name, named=False): value for name, value in found.items()}
        unknown = [name for name in found if name not in names]
        missing = [name for name in names if name not in found]
        if unknown:
            raise Refusal(USAGE, f"--given {unknown[0]}: the model is given {', '.join(names)}")
        if missing:
            raise Refusal(USAGE, f"--given says nothing of {', '.join(map(repr, missing))}; {example(self.model)}")
        block = np.array([[found[name] for name in names]])
        wrong = not_positive(self.model, block)
        if wrong is not None:
            raise Refusal(USAGE, f"--given: {in_words(self.model, wrong[1], block[wrong])}")
        return block

    def _refuse_gaps(self, matched: Matched) -> None:
        try:
            matched.refuse_gaps()
        except MissingValues as error:  # here there is no option to drop rows
            raise TableError(str(error)) from None


def example(model: TableModel) -> str:
    """`--given energy=51.2`, which can be typed."""
    values = [f"{column.mean:.4g}" if math.isfinite(column.mean) else "NUMBER" for column in model.schema.context]
    names = [f'"{name}"' if "," in name else name for name in model.schema.context_names]
    pairs = [f"{name}={value}" for name, value in zip(names, values, strict=True)]
    return f"--given {shlex.quote(','.join(pairs))}"
