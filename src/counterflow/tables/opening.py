"""From a path to a source of rows, by the file's extension."""

from collections.abc import Callable, Sequence
from pathlib import Path

from .archive_file import find_npz
from .array_file import find_npy
from .arrow_file import find_arrow
from .choice import Found, choose
from .contents import check_contents
from .csv_file import find_csv
from .hdf5_file import find_hdf5
from .parquet_file import find_parquet
from .root_file import find_root
from .source import Source, TableError, reading

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".csv.gz": ",", ".tsv.gz": "\t"}
_SINGLE: dict[str, Callable[[Path], Found]] = {
    ".npy": find_npy,
    ".parquet": find_parquet,
    ".pq": find_parquet,
    ".feather": find_arrow,
    ".arrow": find_arrow,
}
_SEVERAL: dict[str, Callable[[Path, str | None], Found]] = {
    ".npz": find_npz,
    ".h5": find_hdf5,
    ".hdf5": find_hdf5,
    ".root": find_root,
}
READABLE = (".csv", ".npy", ".npz", *sorted({*_DELIMITERS, *_SINGLE, *_SEVERAL} - {".csv", ".npy", ".npz"}))


def open_table(
    path: Path,
    *,
    array: str | None = None,
    columns: Sequence[str | int] | None = None,
    delimiter: str | None = None,
) -> Source:
    """The rows of a file, or of a folder of parquet files; nothing but its beginning or its end is read here.

    Args:
        path: The file.
        array: Which of several tables: an array of a .npz file, a group or dataset of HDF5, a tree of ROOT.
        columns: The columns to read, in this order: names, or numbers from 1 where columns have no names. All if not
            given. The others are never parsed and may hold anything.
        delimiter: One character between the cells of text; a comma in .csv, a tab in .tsv if not given.

    Raises:
        TableError: no such file, an empty one, an unknown extension, not what its extension says, an unknown column, a
            column that does not hold numbers, or the package that reads the format is missing.
    """
    found = _find(path, array, columns, delimiter)
    with reading(path):
        return found.opened(choose(found, columns))


def column_names(path: Path, *, array: str | None = None, delimiter: str | None = None) -> tuple[str, ...] | None:
    """The names of all columns of a file, those without numbers included; None if they have none.

    Raises:
        TableError: as `open_table`.
    """
    return _find(path, array, None, delimiter).names


def _find(path: Path, array: str | None, columns: Sequence[str | int] | None, delimiter: str | None) -> Found:
    with reading(path):
        if not path.exists():
            raise TableError(f"{path}: no such file")
        extension = "folder" if path.is_dir() else _extension(path)
        _check_options(path, extension, array, delimiter)
        if path.is_dir():
            return find_parquet(path)
        if path.stat().st_size == 0:
            raise TableError(f"{path} is empty (0 bytes)")
        check_contents(path)
        if extension in _DELIMITERS:
            return find_csv(path, delimiter or _DELIMITERS[extension], columns)
        return _SEVERAL[extension](path, array) if extension in _SEVERAL else _SINGLE[extension](path)


def _extension(path: Path) -> str:
    extension = path.suffix.lower()
    if extension == ".gz":
        extension = "".join(path.suffixes[-2:]).lower()
    if extension not in READABLE:
        raise TableError(f"{path}: cannot read {extension or 'a file without extension'}, only {', '.join(READABLE)}")
    return extension


def _check_options(path: Path, extension: str, array: str | None, delimiter: str | None) -> None:
    if array is not None and extension not in _SEVERAL:
        raise TableError(
            f"{path}: --array {array} names an array of a .npz file, a group of HDF5 or a tree of ROOT, "
            f"this is {extension}"
        )
    if delimiter is not None and (extension not in _DELIMITERS or len(delimiter) != 1):
        raise TableError(f"{path}: a delimiter {delimiter!r} is one character between the cells of .csv or .tsv")
