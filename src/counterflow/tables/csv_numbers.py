"""A chunk of delimited text to numbers in compiled code, or None where its cells need a closer look."""

import importlib.util
import io
import itertools
import re
from collections.abc import Collection, Sequence

import numpy as np

from .number_type import LARGEST_WHOLE
from .source import Block

# Cells that stand for a missing value, in lower case.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
# Cells of a column of booleans, in lower case.
BOOLEANS = {"true": 1.0, "false": 0.0}


def _as_written(*words: str) -> list[str]:
    """In every mixture of small letters and capitals."""
    return sorted({"".join(case) for word in words for case in itertools.product(*({c, c.upper()} for c in word))})


_MISSING_AS_WRITTEN, _TRUE, _FALSE = _as_written(*MISSING), _as_written("true"), _as_written("false")
# A number that tables do not hold. Behind a chunk with quotes comes a row of it; if that row is not the last one that
# is read, an open quote has swallowed it, so the chunk is cut within a cell. (Counting quotes does not tell: 5" tall.)
_END = b"-6.02214076e-297"
# Enough digits for an integer that double precision may not hold.
_LONG_INTEGER = re.compile(rb"(?<![\w.+-])[+-]?\d{16,}(?![\w.])")


def parsed(
    chunk: bytes, columns: int, order: Sequence[int], delimiter: str, booleans: Collection[int] = ()
) -> Block | None:
    """The chosen columns of whole lines of text; other columns may hold anything.

    Args:
        chunk: The lines.
        columns: Cells of every line.
        order: Places of the chosen ones, from 0.
        delimiter: Between cells.
        booleans: Which of `order` (from 0) hold true and false, and no numbers.

    Returns:
        The numbers, NaN for a missing one; true is 1, false 0. None if the chunk is cut within a cell, a line has
        another length, a chosen cell is not what the compiled parser reads, or an integer may lose digits. Every number
        that it reads, `float` reads as the same.
    """
    compiled = _by_pyarrow if importlib.util.find_spec("pyarrow") else _by_numpy
    values = compiled(chunk, columns, order, delimiter, booleans)
    if values is None or values.size == 0:
        return values
    with np.errstate(invalid="ignore"):
        large = bool((np.abs(values) >= LARGEST_WHOLE).any())
    return None if large and _LONG_INTEGER.search(chunk) else values


def _by_pyarrow(
    chunk: bytes, columns: int, order: Sequence[int], delimiter: str, booleans: Collection[int]
) -> Block | None:
    import pyarrow as pa
    import pyarrow.csv

    names = [str(i) for i in range(columns)]
    chosen = [names[i] for i in order]
    quoted = b'"' in chunk
    if quoted and booleans:  # the row behind the chunk is one of numbers
        return None
    if quoted:
        chunk += b"\n" + delimiter.encode().join([_END] * columns)
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(chunk),
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=len(chunk) + 1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=chosen,
                column_types={name: pa.bool_() if i in booleans else pa.float64() for i, name in enumerate(chosen)},
                null_values=_MISSING_AS_WRITTEN,
                true_values=_TRUE,
                false_values=_FALSE,
            ),
        )
    except pa.ArrowException:
        return None
    block = np.empty((table.num_rows, len(chosen)))
    for i, column in enumerate(table.columns):
        block[:, i] = column.cast(pa.float64()).to_numpy()
    if not quoted:
        return block
    return block[:-1] if len(block) and (block[-1] == float(_END)).all() else None


def _by_numpy(
    chunk: bytes, columns: int, order: Sequence[int], delimiter: str, booleans: Collection[int]
) -> Block | None:
    # NumPy does not hold lines to a length when it chooses among columns, and cannot skip a missing cell.
    if booleans or len(order) < columns or not chunk.strip() or b'"' in chunk or b"x" in chunk:
        return None
    try:
        block = np.loadtxt(io.BytesIO(chunk), delimiter=delimiter, comments=None, ndmin=2, encoding="utf-8")
    except ValueError:
        return None
    return block[:, list(order)] if block.shape[1] == columns else None
