"""A table with a column of every type, named and with units, that the tests of all formats share."""

import numpy as np

from counterflow.tables import ColumnType

WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
ROWS = 23

COLUMNS = [
    ColumnType("zeta", "float32", "GeV"),
    ColumnType("alpha, beta", "float64"),
    ColumnType("flag", "bool"),
    *(ColumnType(dtype, dtype, "m/s" if dtype == "int16" else None) for dtype in WHOLE),
]
NAMES = tuple(column.name for column in COLUMNS)
TYPES = tuple(column.dtype for column in COLUMNS)
UNITS = tuple(column.unit for column in COLUMNS)


def values(columns: list[ColumnType] = COLUMNS, rows: int = ROWS) -> np.ndarray:
    """Numbers of these types, with the extremes of each in the first two rows."""
    rng = np.random.default_rng(3)
    table = np.empty((rows, len(columns)))
    for i, column in enumerate(columns):
        dtype = np.dtype(column.dtype)
        if dtype.kind == "f":
            table[:, i] = (1e3 * rng.normal(size=rows)).astype(dtype)
            extremes = [np.finfo(dtype).max, np.finfo(dtype).tiny]
        elif dtype.kind == "b":
            table[:, i] = rng.integers(0, 2, rows)
            extremes = [1, 0]
        else:
            info = np.iinfo(dtype)
            low, high = max(info.min, -(2**53)), min(info.max, 2**53)
            table[:, i] = rng.integers(low, high, rows)
            extremes = [high, low]
        table[:2, i] = extremes[: len(table)]
    return table


def arrays(columns: list[ColumnType] = COLUMNS, rows: int = ROWS) -> dict[str, np.ndarray]:
    """The same as an array of its own type per column."""
    table = values(columns, rows)
    return {str(c.name): table[:, i].astype(c.dtype) for i, c in enumerate(columns)}
