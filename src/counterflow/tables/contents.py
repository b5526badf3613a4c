"""What a file is by its first bytes, held against what its extension says."""

from pathlib import Path

from .source import TableError

_BEGINNINGS = {
    b"\x93NUMPY": "a NumPy array",
    b"PK": "an archive of arrays (or another zip file)",
    b"PAR1": "a parquet file",
    b"ARROW1": "a feather file",
    b"\xff\xff\xff\xff": "a feather file",  # a stream of Arrow batches, which some libraries call .arrow
    b"FEA1": "a feather file of version 1",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"root": "a ROOT file",
    b"\x1f\x8b": "a gzip file",
    b"SQLite format 3": "a database of SQLite",
    b"%PDF": "a PDF document",
}
_EXPECTED = {
    ".npy": "a NumPy array",
    ".npz": "an archive of arrays (or another zip file)",
    ".parquet": "a parquet file",
    ".pq": "a parquet file",
    ".feather": "a feather file",
    ".arrow": "a feather file",
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".root": "a ROOT file",
    ".gz": "a gzip file",
}
# HDF5 lets a block of the user's stand before its own beginning, at one of these lengths.
_HDF5_BEGINNINGS = tuple(512 * 2**i for i in range(8))


def check_contents(path: Path) -> None:
    """Refuse a file that begins as another format does, or not as its own.

    Raises:
        TableError: it does.
    """
    with path.open("rb") as file:
        first = file.read(64)
    extension = path.suffix.lower()
    expected = _EXPECTED.get(extension)
    found = next((what for beginning, what in _BEGINNINGS.items() if first.startswith(beginning)), None)
    if expected == found or (expected is None and _is_text(first)):
        return
    if found is not None:
        raise TableError(f"{path} begins as {found} does, not as its extension {extension} says")
    if expected is not None and not (expected == "an HDF5 file" and _begins_later(path)):
        raise TableError(f"{path} does not begin as {expected} does")


def _is_text(first: bytes) -> bool:
    """Whether these bytes could begin a line of names, such as `root_energy,PK`: no control byte but white space."""
    return not any(byte < 32 and byte not in b"\t\n\v\f\r" for byte in first)


def _begins_later(path: Path) -> bool:
    with path.open("rb") as file:
        for start in _HDF5_BEGINNINGS:
            file.seek(start)
            if file.read(8) == b"\x89HDF\r\n\x1a\n":
                return True
    return False
