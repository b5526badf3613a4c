"""The table in a feather file (Arrow's own format), with its batches one after the other or with an index of them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .arrow_columns import arrow_damage_named, file_columns, piece_of
from .choice import Found
from .column_file import ColumnFile, Piece
from .extra import optional


def find_arrow(path: Path) -> Found:
    """The columns of a feather file of version 2, or of a stream of Arrow batches.

    Raises:
        TableError: damaged.

    Cost: of the source, memory of one batch of the file; of nothing but a block if the file is not compressed.
    """
    pa = optional("pyarrow", path, "reading feather")
    with arrow_damage_named(str(path)), _opened(pa, path) as reader:
        columns = file_columns(path, reader.schema)
        rows = sum(int(batch.num_rows) for batch in _batches(reader)) if _is_indexed(reader) else None

    def opened(order: list[int]) -> ColumnFile:
        names = [columns[i].name or "" for i in order]
        return ColumnFile(path, columns, order, _reader(pa, path, names), rows=rows)

    return Found(str(path), columns, opened)


@contextlib.contextmanager
def _opened(pa: Any, path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        indexed = file.read(6) == b"ARROW1"
    # All columns of a batch, since pyarrow copies the whole of it to leave some out.
    with pa.memory_map(str(path)) as source:
        opening = pa.ipc.open_file if indexed else pa.ipc.open_stream
        with opening(source, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            yield reader


def _is_indexed(reader: Any) -> bool:
    return hasattr(reader, "num_record_batches")


def _batches(reader: Any) -> Iterator[Any]:
    if not _is_indexed(reader):
        yield from reader
        return
    for i in range(reader.num_record_batches):
        yield reader.get_batch(i)


def _reader(pa: Any, path: Path, names: list[str]) -> Callable[[int], Iterator[Piece]]:
    def pieces(step: int) -> Iterator[Piece]:
        with arrow_damage_named(str(path)), _opened(pa, path) as reader:
            for batch in _batches(reader):
                for start in range(0, batch.num_rows, step):
                    yield piece_of(batch.slice(start, step), names)

    return pieces
