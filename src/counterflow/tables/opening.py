"""From a path to a source of rows, by the file's extension."""

from pathlib import Path

from .array_file import open_npy, open_npz
from .csv_file import CsvFile
from .source import Source, TableError

READABLE = (".csv", ".npy", ".npz")


def open_table(path: Path, *, array: str | None = None) -> Source:
    """The rows of a file; `array` names one of several in a .npz file.

    Raises:
        TableError: no such file, an empty one, an unknown extension, or not what its extension says.
    """
    extension = path.suffix.lower()
    if not path.exists():
        raise TableError(f"{path}: no such file")
    if path.is_dir():
        raise TableError(f"{path} is a folder, expected a file")
    if extension not in READABLE:
        raise TableError(f"{path}: cannot read {extension or 'a file without extension'}, only {', '.join(READABLE)}")
    try:
        if path.stat().st_size == 0:
            raise TableError(f"{path} is empty (0 bytes)")
        if array is not None and extension != ".npz":
            raise TableError(f"{path}: --array {array} names an array of a .npz file, this is {extension}")
        if extension == ".npz":
            return open_npz(path, array)
        return open_npy(path) if extension == ".npy" else CsvFile(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror})") from None
