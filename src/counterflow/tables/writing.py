"""Tables to files, all or nothing, in the format of the path's extension."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..files import replacing
from .array_writing import write_npy, write_npz
from .arrow_writing import write_feather, write_parquet
from .column_file import Piece
from .column_type import ColumnType, cast
from .hdf5_writing import write_hdf5
from .layout import Layout
from .root_writing import write_root
from .source import Block, TableError
from .text_writing import write_csv, write_tsv

_WRITERS: dict[str, Callable[[Path, Layout, Iterator[Piece]], None]] = {
    ".csv": write_csv,
    ".npy": write_npy,
    ".npz": write_npz,
    ".tsv": write_tsv,
    ".parquet": write_parquet,
    ".pq": write_parquet,
    ".feather": write_feather,
    ".arrow": write_feather,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".root": write_root,
}
WRITABLE = tuple(_WRITERS)

Floats = npt.NDArray[np.float32]


def write_columns(
    path: Path, columns: Sequence[ColumnType], blocks: Iterable[Block], *, rows: int, one_axis: bool = False
) -> None:
    """Write blocks of rows one after the other, each column as its type.

    Names, types and units go where the format has a place for them. Text (.csv, .tsv): names; whole numbers without
    decimals, floats with as many digits as give them back. NumPy (.npy, .npz): one array of the type that holds all
    columns, in .npz called `x`; .npz has an array per column instead if columns have names. Parquet and feather: names,
    types and units (metadata `unit` of the field); HDF5: a dataset per column with an attribute `units`, or one
    dataset `x` without names; ROOT: a branch per column of a tree `tree`.

    Args:
        path: With an extension among WRITABLE.
        columns: All with names or all without.
        blocks: The rows in order, (rows, columns); whole numbers in columns of integers.
        rows: Of all blocks together.
        one_axis: The array of a .npy file that holds a single column has the shape (rows,) rather than (rows, 1).

    Raises:
        TableError: another extension, a number that its type cannot hold, a type or a name that the format does not
            have, or the package that writes it is missing; nothing is written.
        ValueError: blocks that do not add up to `rows`, no columns, names that are not one for each, or one_axis for
            several columns.
        FileNotFoundError: the folder does not exist.

    Cost: memory of a block, in parquet and feather of a group of rows (32 MiB); .npz with names takes as much space on
    disk again while it is written.
    """
    if one_axis and len(columns) != 1:
        raise ValueError(f"expected one column for an array of one axis, got {len(columns)}")
    _write(path, Layout(path, tuple(columns), (rows,) if one_axis else (rows, len(columns))), blocks)


def write_column(path: Path, column: ColumnType, blocks: Iterable[Block], *, rows: int) -> None:
    """Write a single column as `write_columns` does, but that .npy gets an array of one axis.

    Args:
        path: With an extension among WRITABLE.
        column: Its name, type and unit.
        blocks: The rows in order, (rows, 1).
        rows: Of all blocks together.

    Raises:
        TableError, ValueError, FileNotFoundError: as `write_columns`.
    """
    _write(path, Layout(path, (column,), (rows,)), blocks)


def write_table(
    path: Path, shape: tuple[int, ...], blocks: Iterable[Floats], names: Iterable[str] | None = None
) -> None:
    """Write blocks of rows in single precision.

    Args:
        path: With an extension among WRITABLE; .npz gets one array, `x`.
        shape: Of all rows together: (rows, columns), or (rows,) for a single column.
        blocks: The rows in order, single precision.
        names: Of the columns.

    Raises:
        ValueError: another extension, or blocks that do not add up to `shape`; nothing is written.
        FileNotFoundError: the folder does not exist.

    Error: .csv keeps nine significant digits, which give single precision back exactly.    Cost: memory of a block.
    """
    if names is None or path.suffix.lower() == ".npz":
        columns = (ColumnType(None),) * (shape[1] if len(shape) > 1 else 1)
    else:
        columns = tuple(ColumnType(name) for name in names)
    _write(path, Layout(path, columns, shape), (_doubled(block, shape) for block in blocks))


def _doubled(block: Floats, shape: tuple[int, ...]) -> Block:
    if block.shape[1:] != shape[1:]:
        raise ValueError(f"expected blocks of shape (rows, {shape[1:]}), got {block.shape}")
    return block.reshape(len(block), -1).astype(np.float64)


def _write(path: Path, layout: Layout, blocks: Iterable[Block]) -> None:
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise TableError(
            f"{path}: cannot write {path.suffix or 'a file without extension'}, only {', '.join(WRITABLE)}"
        )
    with replacing(path) as temporary:
        write(temporary, layout, _cast(layout, blocks))


def _cast(layout: Layout, blocks: Iterable[Block]) -> Iterator[Piece]:
    rows, columns = 0, layout.columns
    for block in blocks:
        if block.shape[1] != len(columns):
            raise ValueError(f"expected blocks of {len(columns)} columns, got {block.shape[1]}")
        rows += len(block)
        if rows > layout.rows:
            raise ValueError(f"expected {layout.rows} rows, got more")
        if len(block):
            yield [cast(block[:, i], column, layout.words(i)) for i, column in enumerate(columns)]
    if rows != layout.rows:
        raise ValueError(f"expected {layout.rows} rows, got {rows}")
