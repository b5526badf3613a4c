"""`counterflow sample`: new rows from a model, written as they are drawn, with the names and types of its columns."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ..diagnostics import chunk_rows
from ..tables import WRITABLE, ColumnType, TableError, write_columns
from ..tables.schema import Column
from ..tables.source import Block
from ..tabular import TableModel
from .console import Console
from .given import Contexts, Distances
from .matching import Asked, in_table_order
from .model_file import load_table_model
from .outputs import check_at_least, check_output, check_seed


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What to draw.

    Attributes:
        rows: How many; for each context, if the model has one.
        given: Values of the context columns.
        context: A file of them.
        array: Which array, group or tree of that file.
        seed: Fixes the draws.
        overwrite: Replace the output.
    """

    rows: int
    given: Sequence[str] = ()
    context: Path | None = None
    array: str | None = None
    seed: int = 0
    overwrite: bool = False


def run_sample(path: Path, out: Path, how: Sampling, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: the output, the model, a context that does not fit, or a number of rows below 1.
        TableError: the file of contexts.
    """
    check_at_least("-n", how.rows, 1)
    check_seed(how.seed)
    check_output(out, WRITABLE, overwrite=how.overwrite, inputs=[path, *([how.context] if how.context else [])])
    model = load_table_model(path)
    schema = model.schema
    contexts = Contexts(model, how.given, how.context, how.array)
    seen = _Seen(schema.context)
    for block in console.watched(((len(b), b) for b in contexts.blocks()), "reading the contexts", None):
        seen.see(block)
    for note in contexts.notes():
        console.note(note)
    if schema.context and not seen.rows:
        raise TableError(f"{how.context} holds no rows")
    seen.distances.tell(console)
    total = how.rows * (seen.rows if schema.context else 1)
    drawn = _drawn(model, how, contexts)
    types = [*(_type(column, column.dtype, schema.named) for column in schema.columns), *seen.types(named=schema.named)]
    order = in_table_order(Asked.of(schema))
    blocks = (block[:, order] for block in console.watched(drawn, "sampling", total))
    write_columns(out, [types[i] for i in order], blocks, rows=total)
    columns = len(types)
    console.say(f"Wrote {total:,} row{'s' * (total != 1)} of {columns} column{'s' * (columns != 1)} to {out}.")
    names = [types[i].name for i in order] if schema.named else None
    console.result({"written": [str(out)], "rows": total, "columns": columns, "names": names, "seed": how.seed})


class _Seen:
    """What has to be known of all contexts before the first row is drawn."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._held = np.ones(len(columns), np.bool_)
        self.rows = 0
        self.distances = Distances(columns)

    def see(self, context: Block) -> None:
        """Look at more rows."""
        self.rows += len(context)
        self.distances.see(context)
        for i, column in enumerate(self._columns):
            self._held[i] &= _holds(np.dtype(column.dtype), context[:, i])

    def types(self, *, named: bool) -> list[ColumnType]:
        """As in the table of the fit, but for columns of integers that are given other numbers."""
        pairs = zip(self._columns, self._held, strict=True)
        return [_type(column, column.dtype if held else "float64", named) for column, held in pairs]


def _holds(dtype: np.dtype, values: np.ndarray) -> bool:
    if dtype.kind == "f":
        return True
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return bool(((values == np.rint(values)) & (values >= low) & (values <= high)).all())


def _drawn(model: TableModel, how: Sampling, contexts: Contexts) -> Iterator[tuple[int, Block]]:
    generator = torch.Generator().manual_seed(how.seed)
    size = chunk_rows(model.model.features + len(model.schema.context))
    if not model.schema.context:
        for start in range(0, how.rows, size):
            count = min(size, how.rows - start)
            yield count, model.sample(count, generator=generator)
        return
    for context in contexts.blocks():
        parts = min(len(context), -(-len(context) * how.rows // size))
        for some in np.array_split(context, max(1, parts)):
            for start in range(0, how.rows if len(some) == 1 else 1, size):
                count = min(size, how.rows - start) if len(some) == 1 else how.rows
                rows = model.sample(count, some, generator=generator)
                yield len(rows), np.concatenate([rows, np.repeat(some, count, axis=0)], axis=1)


def _type(column: Column, dtype: str, named: bool) -> ColumnType:
    return ColumnType(column.name if named else None, dtype, column.unit)
