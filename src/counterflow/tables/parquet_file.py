"""The table in a parquet file, or in a folder of them that have the same columns."""

import bisect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .arrow_columns import arrow_damage_named, file_columns, piece_of
from .choice import FileColumn, Found
from .column_file import ColumnFile, Piece
from .extra import optional
from .source import TableError

EXTENSIONS = (".parquet", ".pq")

# Bytes that are read ahead: of all chosen columns together, and of each at least and at most.
BUFFERED, LEAST_BUFFERED, MOST_BUFFERED = 2**25, 2**12, 2**18


def find_parquet(path: Path) -> Found:
    """The columns of a file, or of the files of a folder in the order of their names.

    Raises:
        TableError: not parquet, damaged, or a file of the folder with other columns than the first; it is named.

    Cost: the end of every file is read.
    """
    parquet = optional("pyarrow.parquet", path, "reading parquet")
    files = _files(path) if path.is_dir() else [path]
    ends = [_columns_and_rows(parquet, file) for file in files]
    columns = ends[0][0]
    for file, (others, _) in zip(files, ends, strict=True):
        _check_same(file, others, files[0], columns)
    starts = [0, *itertools.accumulate(rows for _, rows in ends)]

    def place(row: int) -> str:
        which = bisect.bisect_right(starts, row) - 1
        return f"row {row - starts[which] + 1}" + (f" of {files[which].name}" if path.is_dir() else "")

    def opened(order: list[int]) -> ColumnFile:
        names = [columns[i].name or "" for i in order]
        return ColumnFile(path, columns, order, _reader(parquet, files, names), rows=starts[-1], place=place)

    return Found(str(path), columns, opened)


def _files(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir())
    files = [file for file in inside if file.suffix.lower() in EXTENSIONS and file.is_file()]
    if not files:
        raise TableError(f"{folder} is a folder without parquet files, expected a file or a folder of those")
    for sub in inside:
        if sub.is_dir() and any(next(sub.rglob(f"*{extension}"), None) for extension in EXTENSIONS):
            raise TableError(
                f"{folder} holds parquet files and a folder of more ({sub.name}): give a folder of files alone"
            )
    return files


def _columns_and_rows(parquet: Any, file: Path) -> tuple[list[FileColumn], int]:
    if file.stat().st_size == 0:
        raise TableError(f"{file} is empty (0 bytes)")
    with arrow_damage_named(str(file)), parquet.ParquetFile(file) as opened:
        return file_columns(file, opened.schema_arrow), opened.metadata.num_rows


def _check_same(file: Path, columns: list[FileColumn], first: Path, expected: list[FileColumn]) -> None:
    if columns == expected:
        return
    here, there = ({column.name: column for column in some} for some in (columns, expected))
    for name in there:
        if name not in here:
            raise TableError(f"{file} has no column {name!r}, which {first.name} has")
    for name, column in here.items():
        if name not in there:
            raise TableError(f"{file} has a column {name!r}, which {first.name} has not")
        for what in ("type", "unit"):
            mine, other = _said(column, what), _said(there[name], what)
            if mine != other:
                raise TableError(f"{file}: column {name!r} has {what} {mine}, in {first.name} it has {what} {other}")


def _said(column: FileColumn, what: str) -> str:
    return str(column.unit or "none") if what == "unit" else str(column.type or column.instead)


def _reader(parquet: Any, files: list[Path], names: list[str]) -> Callable[[int], Iterator[Piece]]:
    buffered = min(MOST_BUFFERED, max(LEAST_BUFFERED, BUFFERED // len(names)))

    def pieces(step: int) -> Iterator[Piece]:
        for file in files:
            # With a buffer, pages are read as they are needed; without one, all of a row group is.
            with (
                arrow_damage_named(str(file)),
                parquet.ParquetFile(file, buffer_size=buffered, pre_buffer=False) as opened,
            ):
                if not opened.num_row_groups:  # pyarrow 18 calls that a mistake
                    continue
                for batch in opened.iter_batches(step, columns=names, use_threads=False):
                    yield piece_of(batch, names)

    return pieces
