"""`counterflow score`: the log density of every row of a file, in the rows' order and in bounded memory."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..diagnostics import RunningMean
from ..tables import WRITABLE, ColumnType, TableError
from ..tables.encoding import outside
from ..tables.source import Block
from ..tables.writing import write_column
from ..tabular import TableModel
from .console import Console
from .given import Distances
from .matching import Asked, Matched
from .model_file import load_table_model
from .outputs import check_at_least, check_output, check_seed
from .refusal import USAGE, Refusal
from .unfit_cells import check_logarithms, check_whole_numbers

DENSITY, MASS = "log_prob", "log_mass_bound"


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How to score.

    Attributes:
        array: Which array, group or tree of the file.
        drop_missing: Rows with gaps are scored nan.
        bound: Draws of noise for a bound on log P of whole numbers; None: the density of those with noise.
        seed: Of that noise.
        overwrite: Replace the output.
    """

    array: str | None = None
    drop_missing: bool = False
    bound: int | None = None
    seed: int = 0
    overwrite: bool = False


def run_score(path: Path, data: Path, out: Path, how: Scoring, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: the output, the model, or a bound for a model without whole numbers.
        TableError: the data, or columns other than the model's.
    """
    check_at_least("--bound", how.bound, 1)
    check_seed(how.seed)
    check_output(out, WRITABLE, overwrite=how.overwrite, inputs=[path, data])
    model = load_table_model(path)
    schema = model.schema
    if how.bound is not None and not schema.whole:
        raise Refusal(USAGE, "--bound: no column of this model holds whole numbers, so there is no log P to bound")
    matched = Matched(data, how.array, Asked.of(schema))
    for note in matched.notes:
        console.note(note)
    scored = _Scored(model, matched, how)
    blocks = ((len(block), block) for block in scored.blocks())
    name = DENSITY if how.bound is None else MASS
    rows = matched.rows(console)
    write_column(out, ColumnType(name, "float64", "nats"), console.watched(blocks, "scoring", rows), rows=rows)
    scored.distances.tell(console)
    for note in scored.notes():
        console.note(note)
    _tell(out, name, scored, console)


class _Scored:
    """Scores block by block, with their mean over rows that have one."""

    def __init__(self, model: TableModel, matched: Matched, how: Scoring) -> None:
        self._model, self._matched, self._how = model, matched, how
        self._noise = np.random.default_rng(how.seed)
        self.distances = Distances(model.schema.context)
        self.outside = self.beyond = 0
        self.mean = RunningMean()

    def blocks(self) -> Iterator[Block]:
        """Scores of all rows, (rows, 1); once a gap was met that is not to be kept, the rest is only counted.

        Raises:
            TableError: gaps that are not to be kept, or no rows; at the end, so that it can count them. A number that
                the model cannot take.
        """
        seen = 0
        for block in self._matched.blocks():
            seen += len(block)
            whole = self._matched.whole(block)
            if self._matched.gaps and not self._how.drop_missing:
                continue
            scores = np.full(len(block), np.nan)
            scores[whole] = self._scores(block, whole)
            yield scores[:, None]
        path = self._matched.source.path
        if not self._how.drop_missing:
            self._matched.refuse_gaps()
        if not seen:
            raise TableError(f"{path} holds no rows")
        if seen == self._matched.gaps:
            raise TableError(f"{path}: every row has a missing or infinite cell")

    def _scores(self, block: Block, whole: np.ndarray) -> np.ndarray:
        schema = self._model.schema
        split = len(schema.columns)
        values, context = block[:, :split], block[:, split : split + len(schema.context)]
        path, place = self._matched.source.path, self._matched.place_in(block)
        check_whole_numbers(self._model, values, path, place)
        check_logarithms(self._model, context, path, place)
        block, values, given = block[whole], values[whole], context[whole] if schema.context else None
        self.distances.see(given)
        if self._how.bound is None:
            scores = self._model.log_prob(values, given, generator=self._noise)
        else:
            scores = self._model.log_mass_bound(values, given, draws=self._how.bound, generator=self._noise)
        known, left = np.isfinite(scores), outside(schema.columns, values)
        self.outside += int(left.sum())
        self.beyond += int((~known & ~left).sum())
        self.mean.add(scores[known], block[known, -1] if self._matched.has_weight else None)
        return scores

    def notes(self) -> list[str]:
        """What the user should know of the numbers."""
        notes = []
        if self._matched.gaps:
            rows = f"{self._matched.gaps:,} row{'s' * (self._matched.gaps != 1)} with missing or infinite cells"
            notes.append(f"Note: {rows}: scored nan, the others keep their places.")
        if self.outside:
            rows = f"{self.outside:,} row{'s' * (self.outside != 1)}"
            notes.append(f"Note: {rows} outside the support of a column: log density -inf, left out of the mean.")
        if self.beyond:
            rows = f"{self.beyond:,} row{'s' * (self.beyond != 1)}"
            notes.append(
                f"Note: {rows} so far from the training rows that single precision gives no finite log density, "
                "left out of the mean."
            )
        whole = [column.name for column in self._model.schema.columns if column.whole]
        if whole:
            names = ", ".join(whole[:5]) + (", ..." if len(whole) > 5 else "")
            notes.append(
                f"Note: whole numbers ({names}) count as k + u with u uniform in [0, 1): {DENSITY} is the density of "
                "that, with one seeded draw of u per cell; --bound 10 gives a lower bound of log P instead."
                if self._how.bound is None
                else f"Note: {MASS} is, on average over its {self._how.bound} draws of noise per row, a lower bound of "
                f"log P of the whole numbers ({names})" + (" and density of the other columns." if self._mixed else ".")
            )
        return notes

    @property
    def _mixed(self) -> bool:
        return not all(column.whole for column in self._model.schema.columns)


def _tell(out: Path, name: str, scored: _Scored, console: Console) -> None:
    score = scored.mean.estimate()
    values = {"written": [str(out)], "score": name, "outside_support": scored.outside}
    if score is None:
        none = "No row has a finite log density" if not scored.mean.rows else "The weights have no positive sum"
        console.say(f"{none}: there is no mean. Wrote {out}.")
        console.result({**values, "rows": scored.mean.rows, "mean_log_prob": None, "standard_error": None})
        return
    what = "log density" if name == DENSITY else "bound on log P"
    weighted = "Weighted mean" if scored.mean.weighted else "Mean"
    error = f" ± {score.standard_error:.3f}" if score.rows > 1 else ""
    rows = f"{score.rows:,} row{'s' * (score.rows != 1)}"
    console.say(f"{weighted} {what} of {rows}: {score.mean:.3f}{error} nats per row.")
    console.say(f"Wrote {out}.")
    known = score.standard_error if math.isfinite(score.standard_error) else None
    console.result({**values, "rows": score.rows, "mean_log_prob": score.mean, "standard_error": known})
