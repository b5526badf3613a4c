"""Columns to Arrow's formats, parquet and feather, with names, types and units."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .column_file import Piece
from .extra import optional
from .layout import Layout, regrouped

GROUP_CELLS = 2**22  # of a group of rows, which is collected in memory


def write_parquet(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """Groups of rows of a parquet file."""
    pa = optional("pyarrow", layout.path, "writing parquet")
    parquet = optional("pyarrow.parquet", layout.path, "writing parquet")
    with parquet.ParquetWriter(path, _schema(pa, layout)) as writer:
        _write(pa, layout, pieces, writer)


def write_feather(path: Path, layout: Layout, pieces: Iterator[Piece]) -> None:
    """Batches of a feather file of version 2, not compressed, so that a reader may map it into memory."""
    pa = optional("pyarrow", layout.path, "writing feather")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _schema(pa, layout)) as writer:
        _write(pa, layout, pieces, writer)


def _schema(pa: Any, layout: Layout) -> Any:
    fields = []
    for name, column in zip(layout.needed_names, layout.columns, strict=True):
        kind = pa.from_numpy_dtype(column.dtype)
        fields.append(pa.field(name, kind, metadata=None if column.unit is None else {"unit": column.unit}))
    return pa.schema(fields)


def _write(pa: Any, layout: Layout, pieces: Iterator[Piece], writer: Any) -> None:
    schema = _schema(pa, layout)
    for piece in regrouped(pieces, max(1, GROUP_CELLS // len(layout.columns))):
        writer.write_batch(pa.record_batch([pa.array(column) for column in piece], schema=schema))
