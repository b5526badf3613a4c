"""What a table must be for a density of it to exist, each failure a sentence with its column and place."""

import numpy as np
import numpy.typing as npt

from .source import Block, MissingValues, Source, TableError, column_in_words

# Residual variance of a column given those before it, in units of its own, below which it is a combination of them.
DEPENDENT = 1e-13
# Steps of single precision at a column's largest value, in units of the column's standard deviation.
COARSEST_STEP = 1e-2


class Gaps:
    """Counts rows with missing or infinite cells over blocks, and remembers the first."""

    def __init__(self, source: Source, order: list[int] | None = None) -> None:
        self._source, self._order = source, order
        self._seen = 0
        self._first: tuple[int, int] | None = None
        self.rows = self.nan = self.infinite = 0

    def whole(self, block: Block) -> npt.NDArray[np.bool_]:
        """Which rows of this block, the next one, have a finite number in every cell."""
        finite = np.isfinite(block)
        whole = np.logical_and.reduce(finite, axis=1)
        if not whole.all():
            nan = int(np.isnan(block).sum())
            self.nan += nan
            self.infinite += int((~finite).sum()) - nan
            self.rows += int((~whole).sum())
            if self._first is None:
                row = int(np.argmin(whole))
                column = int(np.argmin(finite[row]))
                self._first = (self._seen + row, self._order[column] if self._order else column)
        self._seen += len(block)
        return np.asarray(whole, dtype=np.bool_)

    def refuse(self) -> None:
        """Raise if a gap was met.

        Raises:
            MissingValues: how many rows and cells, and the first place.
        """
        if self._first is None:
            return
        row, column = self._first
        counts = [f"{self.nan} missing or NaN"] * bool(self.nan) + [f"{self.infinite} infinite"] * bool(self.infinite)
        rows = "1 row has a cell" if self.rows == 1 else f"{self.rows} rows have cells"
        raise MissingValues(
            f"{self._source.path}: {rows} without a finite number ({' and '.join(counts)}), "
            f"first at {self._source.place(row)}, {self._source.column(column)}"
        )


def check_trainable(values: Block, names: tuple[str, ...] | None, label: str) -> None:
    """Refuse a table of which no density exists, or none that single precision can hold.

    Args:
        values: Finite numbers, (rows, columns).
        names: Of the columns.
        label: What the sentence begins with: the file.

    Raises:
        TableError: fewer than 2 rows, a constant or dependent column, digits that single precision loses.
    """
    rows, columns = values.shape
    if rows < 2:
        raise TableError(f"{label}: {rows} row{'s' * (rows != 1)}, expected at least 2")
    low, high = values.min(axis=0), values.max(axis=0)
    for i in range(columns):
        column = column_in_words(names, i)
        if low[i] == high[i]:
            raise TableError(f"{label}: {column} is constant (every row holds {low[i]:g}), so it has no density")
    largest, spread = np.maximum(abs(low), abs(high)), values.std(axis=0)
    for i in range(columns):
        if not largest[i] * np.finfo(np.float32).eps <= COARSEST_STEP * spread[i] or largest[i] > 1e37:
            raise TableError(
                f"{label}: {column_in_words(names, i)} reaches {largest[i]:g} with a standard deviation of "
                f"{spread[i]:.3g}, too fine for single precision; subtract a constant or change its unit"
            )
    if rows > columns:
        _check_independent(values, names, label)


def _check_independent(values: Block, names: tuple[str, ...] | None, label: str) -> None:
    # R of a QR factorisation holds, on its diagonal, what each standardised column adds to those before it.
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    added = np.diagonal(np.linalg.qr(standard, mode="r")) ** 2 / len(values)
    if added.min() < DEPENDENT:
        column = column_in_words(names, int(np.argmax(added < DEPENDENT)))
        raise TableError(
            f"{label}: {column} is a linear combination of the columns before it, so there is no density; leave it out"
        )


def whole_number_columns(values: Block) -> list[int]:
    """The columns that hold whole numbers only, where a density can grow without bound."""
    return [i for i in range(values.shape[1]) if bool(np.all(values[:, i] == np.rint(values[:, i])))]
